//! Adam and AdamW, as PyTorch's (ε outside the root, decoupled decay), with one difference: the correction of the
//! moments' bias goes by the age of each *entry*, not by one step count for all.
//!
//! Why: fresh entries have m = v = 0. Under the step count of the old ones they would take 3.2 times the
//! learning rate at their first step and 6.6 times at the twelfth. Where nothing grew, ages are equal and the
//! numbers are PyTorch's.

use super::*;
use crate::tensor::Line;

pub struct Adam;
pub struct AdamW;

const BETAS: Arg = Arg {
    name: "betas",
    shape: Shape::Keyword(&[Kind::Number, Kind::Number]),
    required: false,
    default: "0.9 0.999",
    help: "how much of the moments of gradient and squared gradient a step keeps",
};

static ADAM: Doc = Doc {
    word: "adam",
    help: "Adam, as torch.optim.Adam, with the age of each entry in place of one step count",
    args: &[
        LR,
        BETAS,
        Arg {
            name: "weight_decay",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "",
            help: "refused: use adamw, whose decay is not rescaled by the moments",
        },
        CLIP,
    ],
    one_of: &[],
    example: "optimizer adam lr 1e-3",
    source: "Kingma & Ba 2015",
};

static ADAMW: Doc = Doc {
    word: "adamw",
    help: "Adam with decoupled weight decay, as torch.optim.AdamW",
    args: &[
        LR,
        BETAS,
        Arg {
            name: "weight_decay",
            shape: Shape::Keyword(&[Kind::Number]),
            required: false,
            default: "0.01",
            help: "share of the value that a step of rate 1 takes off",
        },
        CLIP,
    ],
    one_of: &[],
    example: "optimizer adamw lr 1e-3 weight_decay 0.01",
    source: "Loshchilov & Hutter 2019",
};

/// ε of Adam and AdamW: PyTorch's.
pub const EPSILON: f64 = 1e-8;

impl OptimizerKind for Adam {
    fn doc(&self) -> &'static Doc {
        &ADAM
    }

    fn read(&self, args: &Args) -> Result<Rule, Refusal> {
        if args.has("weight_decay") {
            return Err(Refusal::error(
                "G0906",
                "adam takes no weight decay: its moments would rescale the decay of every weight differently",
                "use adamw, such as `optimizer adamw lr 1e-3 weight_decay 0.01`",
            )
            .at("weight_decay"));
        }
        Ok(Rule::Adam { betas: betas(args)?, epsilon: EPSILON, weight_decay: 0.0 })
    }
}

impl OptimizerKind for AdamW {
    fn doc(&self) -> &'static Doc {
        &ADAMW
    }

    fn read(&self, args: &Args) -> Result<Rule, Refusal> {
        let weight_decay = at_least_zero(args, "weight_decay")?.unwrap_or(0.01);
        Ok(Rule::Adam { betas: betas(args)?, epsilon: EPSILON, weight_decay })
    }
}

fn betas(args: &Args) -> Result<(f64, f64), Refusal> {
    use crate::base::Value;
    let number = |value: &Value| match value {
        Value::Number(x) | Value::Factor(x) => *x,
        Value::Integer(n) => *n as f64,
        _ => f64::NAN,
    };
    let (beta1, beta2) = match args.values("betas") {
        Some([beta1, beta2]) => (number(beta1), number(beta2)),
        _ => (0.9, 0.999),
    };
    for beta in [beta1, beta2] {
        if !(0.0..1.0).contains(&beta) {
            return Err(out_of_range("betas", beta, "two shares from 0 up to, not including, 1, such as 0.9 0.999"));
        }
    }
    Ok((beta1, beta2))
}

/// 1/(1 − β1ᵃ) and 1/√(1 − β2ᵃ) by age a, powers by repeated multiplication in f64. Each list ends where
/// the correction has become exactly 1.
#[derive(Clone, Debug)]
pub(super) struct Corrections {
    first: Powers,
    second: Powers,
}

#[derive(Clone, Debug)]
struct Powers {
    beta: f64,
    /// βᵃ of the last age in the list.
    power: f64,
    /// 1/(1 − βᵃ), from age 1 on.
    by_age: Vec<f64>,
}

impl Powers {
    fn new(beta: f64) -> Powers {
        // Room for the first thousand steps.
        Powers { beta, power: 1.0, by_age: Vec::with_capacity(1024) }
    }

    /// Extends the list to `age`, unless it has ended.
    fn reach(&mut self, age: u64) {
        while (self.by_age.len() as u64) < age && self.by_age.last() != Some(&1.0) {
            self.power *= self.beta;
            self.by_age.push(1.0 / (1.0 - self.power));
        }
    }

    fn at(&self, age: u64) -> f64 {
        let place = usize::try_from(age.max(1) - 1).unwrap_or(usize::MAX);
        self.by_age.get(place).copied().unwrap_or(1.0)
    }
}

impl Corrections {
    pub(super) fn new(betas: (f64, f64)) -> Corrections {
        Corrections { first: Powers::new(betas.0), second: Powers::new(betas.1) }
    }

    fn reach(&mut self, age: u64) {
        self.first.reach(age);
        self.second.reach(age);
    }

    /// Of an entry that has had `age` updates, this one included. [`Corrections::reach`] has been there.
    fn at(&self, age: u64) -> (f64, f64) {
        (self.first.at(age), self.second.at(age).sqrt())
    }
}

/// Corrections of one parameter in one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Ages {
    /// Where all entries are of one age.
    uniform: Option<(f64, f64)>,
    /// Of each input unit (a vector has one row), and of each output unit.
    rows: Vec<(f64, f64)>,
    columns: Vec<(f64, f64)>,
}

/// The corrections of this step, which `parameters` count already. `out` is used again.
pub(super) fn ages<T>(corrections: &mut Corrections, parameters: &[Parameter<T>], out: &mut Vec<Ages>) {
    out.resize_with(parameters.len(), Ages::default);
    for (parameter, ages) in parameters.iter().zip(out).filter(|(parameter, _)| parameter.learns()) {
        let updates = parameter.updates;
        corrections.reach(updates);
        let (columns, rows) = match parameter.births.as_slice() {
            [] => (&[][..], &[][..]),
            [columns, rows @ ..] => (columns.as_slice(), rows),
        };
        let mut births = columns.iter().chain(rows.iter().flatten());
        let first = births.next().copied().unwrap_or(0);
        ages.uniform = births.all(|birth| *birth == first).then(|| corrections.at(updates - first));
        if ages.uniform.is_some() {
            continue;
        }
        ages.columns.clear();
        ages.columns.extend(columns.iter().map(|birth| corrections.at(updates - birth)));
        ages.rows.clear();
        // Every combination of the other dimensions, as old as the youngest of its indices; none: as old as can be.
        let combinations: usize = rows.iter().map(Vec::len).product();
        ages.rows.extend((0..combinations).map(|mut at| {
            let mut youngest = 0;
            for births in rows.iter().rev() {
                youngest = youngest.max(births[at % births.len()]);
                at /= births.len();
            }
            corrections.at(updates - youngest)
        }));
    }
}

pub(super) fn apply<T: Real>(path: Path, rule: kernels::Adam<T>, ages: &Ages, piece: Piece<'_, T>) -> bool {
    let [m, v] = piece.slots;
    if let Some((first, second)) = ages.uniform {
        let age = (T::from_f64(first), T::from_f64(second));
        return kernels::adam(path, rule, age, flat_mut(piece.value), flat_mut(m), flat_mut(v), flat(piece.gradient));
    }
    // Spare columns get the correction of no age at all, which is finite.
    let mut columns = (Line([T::ONE; LANES]), Line([T::ONE; LANES]));
    for (lane, (first, second)) in ages.columns[piece.panel * LANES..].iter().take(LANES).enumerate() {
        columns.0.0[lane] = T::from_f64(*first);
        columns.1.0[lane] = T::from_f64(*second);
    }
    let rows = &ages.rows[piece.first..][..piece.value.len()];
    kernels::adam_aged(path, rule, rows, &columns, piece.value, m, v, piece.gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_are_those_of_the_power_and_end_at_one() {
        let mut corrections = Corrections::new((0.9, 0.999));
        corrections.reach(100_000);
        for age in [1u64, 2, 12, 400, 100_000] {
            let (first, second) = corrections.at(age);
            let power = |beta: f64| libm::pow(beta, age as f64);
            // A chain of at most 1e5 roundings of half a unit each, in f64.
            assert!((first * (1.0 - power(0.9)) - 1.0).abs() < 1e-10, "{age} {first}");
            assert!((second * (1.0 - power(0.999)).sqrt() - 1.0).abs() < 1e-10, "{age} {second}");
        }
        assert_eq!(corrections.at(u64::MAX), (1.0, 1.0));
        assert!(corrections.second.by_age.len() < 40_000, "the list ends where nothing changes any more");
    }
}
