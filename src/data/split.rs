//! Which example goes to which part.
//!
//! The sizes of the parts are whole numbers that follow from the header alone ([`part_sizes`]), stratified
//! or not, so that the checker's epochs are the run's epochs. The examples are then dealt to those sizes
//! ([`deal`]) and keep the order of their source inside a part.

use super::Header;
use crate::base::Refusal;
use crate::base::rng::{Purpose, Stream};
use crate::nn::Task;

/// How examples are divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    pub train: Share,
    pub val: Share,
    /// `None` when the source brings its own test part, or there is none.
    pub test: Option<Share>,
    pub stratified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// In 0..=1.
    Fraction(f64),
    Count(u64),
}

/// How many examples each part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub train: usize,
    pub val: usize,
    /// `None`: there is no test part. The source's own test part counts whole.
    pub test: Option<usize>,
}

impl Split {
    /// What holds without a `split` statement: 80/10/10, or 90/10 when the source brings its own test
    /// part; stratified when there are classes.
    pub fn default_for(header: &Header) -> Split {
        let own_test = header.test_examples.is_some();
        Split {
            train: Share::Fraction(if own_test { 0.9 } else { 0.8 }),
            val: Share::Fraction(0.1),
            test: (!own_test).then_some(Share::Fraction(0.1)),
            stratified: header.task == Task::Classification,
        }
    }
}

/// The exact size of every part. Percents are rounded by largest remainder, so the parts add up to all
/// examples; counts may leave some unused. `limit` counts examples before the split and never touches
/// the source's own test part.
///
/// Refused: percents that do not sum to 100, counts beyond the examples, percents beside counts, an
/// empty training or validation part, a `test` share where the source brings its own test part,
/// stratification without classes.
pub fn part_sizes(header: &Header, split: &Split, limit: Option<usize>) -> Result<Sizes, Refusal> {
    let available = limit.map_or(header.examples, |limit| limit.min(header.examples));
    if split.stratified && header.task == Task::Regression {
        return Err(Refusal::error(
            "G0726",
            "cannot stratify a regression: there are no classes",
            "remove `stratified`",
        )
        .at("stratified"));
    }
    if let (Some(own), Some(_)) = (header.test_examples, split.test) {
        return Err(Refusal::error(
            "G0725",
            format!("this source brings its own test part of {own} examples"),
            "split only into `train` and `val`, for instance `split train 90% val 10%`",
        )
        .at("test")
        .here("a second test part"));
    }
    let shares = [("train", Some(split.train)), ("val", Some(split.val)), ("test", split.test)];
    let given: Vec<Share> = shares.iter().filter_map(|(_, share)| *share).collect();
    let percents = given.iter().filter(|share| matches!(share, Share::Fraction(_))).count();
    let sizes = if percents == given.len() {
        by_percents(&given, available)?
    } else if percents == 0 {
        by_counts(&given, available, limit)?
    } else {
        return Err(Refusal::error(
            "G0722",
            "a split is given in percents or in counts, not in both",
            "write all shares in one way, for instance `split train 80% val 10% test 10%`",
        ));
    };
    for (&size, (name, share)) in sizes.iter().zip(shares) {
        let asked_for_none = name == "test" && matches!(share, Some(Share::Fraction(0.0) | Share::Count(0)));
        if size == 0 && !asked_for_none {
            return Err(Refusal::error(
                "G0724",
                format!("the {name} part would be empty: there are {available} examples to divide"),
                if limit.is_some() { "give it a larger share, or raise `limit`" } else { "give it a larger share" },
            )
            .at(name)
            .here("no example falls here"));
        }
    }
    let own = sizes.get(2).copied().filter(|&size| size > 0);
    Ok(Sizes { train: sizes[0], val: sizes[1], test: header.test_examples.or(own) })
}

fn by_percents(shares: &[Share], available: usize) -> Result<Vec<usize>, Refusal> {
    let fractions: Vec<f64> =
        shares.iter().map(|share| if let Share::Fraction(fraction) = share { *fraction } else { 0.0 }).collect();
    let sum: f64 = fractions.iter().sum();
    // A percent is read as a decimal and divided by 100: each is off by one rounding at most, far below 1e-9.
    if !fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)) || (sum - 1.0).abs() > 1e-9 {
        return Err(Refusal::error(
            "G0722",
            format!("the shares of the split sum to {} %, not to 100 %", percent(sum)),
            "change one of them so that they sum to 100 %",
        ));
    }
    let exact: Vec<f64> = fractions.iter().map(|fraction| fraction / sum * available as f64).collect();
    // A product that should be whole may fall one rounding short of it: 0.29 · 100 is 28.999999999999996.
    let mut sizes: Vec<usize> = exact.iter().map(|x| (x + 1e-9).floor() as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    let remainder = |i: usize| exact[i] - (exact[i] + 1e-9).floor();
    // Stable, so equal remainders favour train before val before test. A difference below 1e-9 is rounding.
    order.sort_by_key(|&i| std::cmp::Reverse((remainder(i) * 1e9).round() as i64));
    let missing = available.saturating_sub(sizes.iter().sum());
    for &i in order.iter().filter(|&&i| fractions[i] > 0.0).cycle().take(missing) {
        sizes[i] += 1;
    }
    Ok(sizes)
}

fn by_counts(shares: &[Share], available: usize, limit: Option<usize>) -> Result<Vec<usize>, Refusal> {
    let counts: Vec<u64> =
        shares.iter().map(|share| if let Share::Count(count) = share { *count } else { 0 }).collect();
    let sum = counts.iter().fold(0u64, |sum, &count| sum.saturating_add(count));
    if sum > available as u64 {
        return Err(Refusal::error(
            "G0723",
            format!("the split asks for {sum} examples, but there are {available}"),
            if limit.is_some() {
                "ask for fewer, raise `limit`, or use percents"
            } else {
                "ask for fewer, or use percents such as `split train 80% val 10% test 10%`"
            },
        ));
    }
    // Each fits, because the sum is at most `available`.
    Ok(counts.iter().map(|&count| count as usize).collect())
}

/// `80`, `12.5`.
fn percent(fraction: f64) -> String {
    let text = format!("{:.4}", fraction * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// The examples of each part by index, ascending, for parts of these sizes (which sum to at most `n`).
///
/// Plain: a permutation is cut into parts. Stratified (`classes`): within every class the order is random,
/// and the classes, one behind the other, are dealt out in proportion, so that every part has its share
/// of every class to within one or two examples while the sizes stay exact.
pub(super) fn deal(n: usize, sizes: &[usize], classes: Option<&[u32]>, seed: u64) -> Vec<Vec<u32>> {
    assert!(sizes.iter().sum::<usize>() <= n, "part_sizes never hands out more than there are");
    let mut order = Stream::new(seed, Purpose::Split, "", 0).permutation(n);
    let mut parts: Vec<Vec<u32>> = sizes.iter().map(|&size| Vec::with_capacity(size)).collect();
    match classes {
        None => {
            let mut rest = order.as_slice();
            for (part, &size) in parts.iter_mut().zip(sizes) {
                let (mine, others) = rest.split_at(size);
                part.extend_from_slice(mine);
                rest = others;
            }
        }
        Some(classes) => {
            // Stable: the random order stays within each class.
            order.sort_by_key(|&index| classes[index as usize]);
            let mut quotas = sizes.to_vec();
            quotas.push(n - sizes.iter().sum::<usize>());
            let mut dealt = vec![0usize; quotas.len()];
            for (position, &index) in order.iter().enumerate() {
                // What is due by now less what was dealt, in units of 1/n; the first of equals wins.
                let due = |part: usize| quotas[part] as i128 * (position as i128 + 1) - dealt[part] as i128 * n as i128;
                let part = (0..quotas.len())
                    .filter(|&part| dealt[part] < quotas[part])
                    .max_by_key(|&part| (due(part), std::cmp::Reverse(part)))
                    .expect("the quotas sum to n");
                dealt[part] += 1;
                if let Some(part) = parts.get_mut(part) {
                    part.push(index);
                }
            }
        }
    }
    for part in &mut parts {
        part.sort_unstable();
    }
    parts
}
