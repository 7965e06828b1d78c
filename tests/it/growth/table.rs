//! What docs/growth.md says that each combination promises, held against what operators plan and what networks do.
//!
//! The page's tables are the data, one for vectors and one for images: the rows are the actions, the columns the norms. Each row is proved in every place
//! that it names, behind every activation that it names, at several widths, on networks that each optimiser has
//! trained. A promise that is weaker than listed fails, so does a stronger one (then the page is out of date), and
//! so does one that is broken.

use super::lab::*;
use super::*;
use growrun::base::Shape;
use growrun::grow::{OPERATORS, Probe, Promise};
use growrun::nn::Network;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../../docs/growth.md");

/// A table of the page, and the networks that it is proved on.
struct Sheet {
    heading: &'static str,
    places: &'static [Place],
    norms: &'static [(&'static str, Option<Norm>)],
    /// `h` before, after it was widened to `N` and after it was narrowed to `M`.
    widths: &'static [(usize, usize, usize)],
    /// Whether every width is proved with each norm and activation, or one in turn.
    every_width: bool,
}

const VECTORS: Sheet = Sheet {
    heading: "## What each combination promises",
    places: &PLACES,
    norms: &NORMS,
    // An odd number of fresh units; an even number, more than twice as many; across the border of a block of 256, in
    // the sums that read `h`.
    widths: &[(7, 12, 4), (5, 23, 1), (250, 271, 131)],
    every_width: true,
};

const IMAGES: Sheet = Sheet {
    heading: "## What it promises for images",
    places: &IMAGE_PLACES,
    // The others are refused for convolutions.
    norms: NORMS.split_at(2).0,
    // 31 channels of 9 taps are 279 products: the last is across the border of a block, too.
    widths: &[(5, 8, 2), (4, 11, 1), (26, 31, 9)],
    every_width: false,
};

const SHEETS: [Sheet; 2] = [VECTORS, IMAGES];

/// A row of a table.
struct Row {
    /// With `N` and `M` for the new width of `h`.
    action: &'static str,
    places: Vec<&'static str>,
    activations: Vec<Activation>,
    /// What is listed for each norm.
    listed: Vec<&'static str>,
}

impl Row {
    /// The action, and where it stands if not everywhere.
    fn label(&self, sheet: &Sheet) -> String {
        let everywhere = self.places.len() == sheet.places.len();
        let places = if everywhere { String::new() } else { format!(" in {}", self.places.join(", ")) };
        let behind = match self.activations.as_slice() {
            all if all.len() == Activation::ALL.len() => String::new(),
            [only] => format!(" behind {only}"),
            [first, ..] => format!(" behind {first} …"),
            [] => String::new(),
        };
        format!("{}{places}{behind}", self.action)
    }
}

fn rows(sheet: &Sheet) -> Vec<Row> {
    let section = PAGE.split_once(sheet.heading).expect("the page has the section").1;
    let section = section.split("\n## ").next().expect("the section's text");
    let mut lines = section.lines().filter(|line| line.starts_with('|')).map(cells);
    let columns: Vec<&str> = sheet.norms.iter().map(|(word, _)| *word).collect();
    assert_eq!(lines.next().expect("a head"), [&["action", "in", "behind"][..], &columns].concat());
    lines
        .skip(1)
        .map(|cells| {
            let &[action, places, activations, ref listed @ ..] = &cells[..] else { panic!("{cells:?}") };
            let every: Vec<&str> = sheet.places.iter().map(|place| place.word).collect();
            Row {
                action: action.trim_matches('`'),
                places: words(places, &every),
                activations: words(activations, &Activation::words())
                    .into_iter()
                    .map(|word| Activation::find(word).expect("an activation"))
                    .collect(),
                listed: listed.to_vec(),
            }
        })
        .collect()
}

fn cells(line: &'static str) -> Vec<&'static str> {
    line.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// `any`, or some of `all` with commas between.
fn words<'a>(cell: &'a str, all: &[&'a str]) -> Vec<&'a str> {
    if cell == "any" {
        return all.to_vec();
    }
    let words: Vec<&str> = cell.split(", ").collect();
    words.iter().for_each(|word| assert!(all.contains(word), "`{word}` is none of {all:?}"));
    words
}

/// What happened in one cell of the table.
#[derive(Default)]
struct Cell {
    combinations: usize,
    /// Those that the engine ran.
    ran: usize,
    /// Largest change of the network's output, and where.
    drift: f64,
    worst: String,
    /// Largest change at a reader, and the most that was allowed there in the same event.
    reader: f64,
    bound: f64,
}

struct Report {
    sheet: &'static Sheet,
    rows: Vec<Row>,
    /// [row][norm]
    cells: Vec<Vec<Cell>>,
    /// The first of each row and place, and how many there were.
    failures: BTreeMap<(usize, &'static str), (String, usize)>,
}

/// Proves a whole table. `every_optimizer`: each combination with all of them, not with one in turn.
fn prove(sheet: &'static Sheet, every_optimizer: bool) -> Report {
    let rows = rows(sheet);
    let cells = rows.iter().map(|_| sheet.norms.iter().map(|_| Cell::default()).collect()).collect();
    let mut report = Report { sheet, rows, cells, failures: BTreeMap::new() };
    let (mut turn, mut width_turn) = (0, 0);
    for place in sheet.places {
        for activation in Activation::ALL {
            for (column, &(norm_word, norm)) in sheet.norms.iter().enumerate() {
                width_turn += 1;
                let in_turn = &sheet.widths[width_turn % sheet.widths.len()..][..1];
                for &(from, more, less) in if sheet.every_width { sheet.widths } else { in_turn } {
                    let net = (place.build)(from, &Settings { activation, norm, ..Settings::default() });
                    turn += 1;
                    let in_turn = [RULES[turn % RULES.len()]];
                    for (rule_word, rule, lr) in if every_optimizer { &RULES[..] } else { &in_turn[..] } {
                        let trained = trained(&net, *rule, *lr);
                        let what = format!("{}, {activation}, {norm_word}, {from}, {rule_word}", place.word);
                        for row in 0..report.rows.len() {
                            let of = &report.rows[row];
                            if of.places.contains(&place.word) && of.activations.contains(&activation) {
                                let action = of.action.replace('N', &more.to_string()).replace('M', &less.to_string());
                                let mut combination =
                                    Combination { action, place: place.word, net: &net, rule: *rule, lr: *lr };
                                combination.prove(row, column, &trained, &what, &mut report);
                            }
                        }
                    }
                }
            }
        }
    }
    report
}

const STEPS_BEFORE: u64 = 4;
const STEPS_AFTER: u64 = 3;

fn trained(net: &Architecture, rule: growrun::optim::Rule, lr: f64) -> Network<f32> {
    let mut network = network(net);
    assert!(train(&mut network, rule, lr, 0..STEPS_BEFORE), "{net} stays finite");
    network
}

struct Combination<'a> {
    action: String,
    place: &'static str,
    net: &'a Architecture,
    rule: growrun::optim::Rule,
    lr: f64,
}

impl Combination<'_> {
    fn prove(&mut self, row: usize, column: usize, trained: &Network<f32>, what: &str, report: &mut Report) {
        let Report { rows, cells, failures, .. } = report;
        let (listed, cell) = (rows[row].listed[column], &mut cells[row][column]);
        cell.combinations += 1;
        let mut fail = |why: String| {
            let first = || (format!("`{}` ({what}): {why}", self.action), 0);
            failures.entry((row, self.place)).or_insert_with(first).1 += 1;
        };
        let plan = match plan_of(&self.action, self.net) {
            Ok(plan) => plan,
            Err(refusal) => {
                if listed != "refused" {
                    fail(format!("the page lists {listed}, and it is refused: {refusal}"));
                }
                return;
            }
        };
        if plan.promise.word() != listed {
            let than = if Some(plan.promise) < promise(listed) { "weaker" } else { "stronger" };
            fail(format!("{} is {than} than {listed}, which the page lists", plan.promise.word()));
        }
        let mut network = trained.clone();
        let x = normal::<f32>(24, network.inputs(), "probe");
        let probe = Probe::before(&mut network, x.view(), &plan);
        grow(&plan, &mut network);
        let measured = probe.after(&mut network, x.view(), &plan);
        let verdict = measured.verdict;
        if !verdict.held {
            fail(format!("the promise is broken: {measured:?}"));
        }
        if plan.promise == Promise::Bitwise && measured.drift != 0.0 {
            fail(format!("the output moved by {:e}", measured.drift));
        }
        if !train(&mut network, self.rule, self.lr, STEPS_BEFORE..STEPS_BEFORE + STEPS_AFTER) {
            fail("training does not go on: a value is not finite".into());
        }
        cell.ran += 1;
        if measured.drift > cell.drift {
            (cell.drift, cell.worst) = (measured.drift, what.to_string());
        }
        if verdict.largest > cell.reader {
            (cell.reader, cell.bound) = (verdict.largest, verdict.bound.unwrap_or(f64::NAN));
        }
    }
}

fn promise(word: &str) -> Option<Promise> {
    [Promise::None, Promise::Bounded, Promise::Rounding, Promise::Bitwise].into_iter().find(|p| p.word() == word)
}

impl Report {
    /// Fails with what did; and where cells list less than what was seen anywhere.
    fn assert_proved(mut self) {
        for (at, (row, cells)) in self.rows.iter().zip(&self.cells).enumerate() {
            for ((cell, &listed), (norm, _)) in cells.iter().zip(&row.listed).zip(self.sheet.norms) {
                // Rounding of numbers of order 10 through a few layers stays below this.
                let seen = match listed {
                    "rounding" => cell.drift > 0.0,
                    "bounded" | "none" => cell.drift > 1e-5,
                    _ => true,
                };
                if cell.ran > 0 && !seen {
                    let least = if listed == "rounding" { "exactly" } else { "to rounding" };
                    let why = format!(
                        "`{}` ({norm}) lists {listed}, and all {} combinations kept the output {least}",
                        row.action, cell.ran
                    );
                    self.failures.insert((at, norm), (why, cell.ran));
                }
            }
        }
        let lines: Vec<String> =
            self.failures.values().map(|(first, count)| format!("{count} times: {first}")).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = "ran       drift  at reader    allowed  largest drift at";
        writeln!(f, "{:66} {:8} {:8} {columns:>12}", "action", "norm", "promise")?;
        for (row, cells) in self.rows.iter().zip(&self.cells) {
            let label = row.label(self.sheet);
            let listed = cells.iter().zip(&row.listed).zip(self.sheet.norms);
            for ((cell, listed), (norm, _)) in listed.filter(|cell| *cell.0.1 != "refused") {
                write!(f, "{label:66} {norm:8} {listed:8}")?;
                match cell.ran {
                    0 => writeln!(f, "    none of {}", cell.combinations)?,
                    ran => writeln!(
                        f,
                        "{ran:5}  {:>10.1e} {:>10.1e} {:>10.1e}  {}",
                        cell.drift, cell.reader, cell.bound, cell.worst
                    )?,
                }
            }
        }
        Ok(())
    }
}

fn keeps_what_the_page_promises(sheet: &'static Sheet) {
    let report = prove(sheet, false);
    println!("{report}");
    report.assert_proved();
}

#[test]
fn every_combination_keeps_what_the_page_promises() {
    keeps_what_the_page_promises(&SHEETS[0]);
}

#[test]
fn every_combination_of_images_keeps_what_the_page_promises() {
    keeps_what_the_page_promises(&SHEETS[1]);
}

#[test]
#[ignore = "prints a table; the tests above prove it with one optimiser for each combination in turn"]
fn largest_drift_of_every_combination() {
    for sheet in &SHEETS {
        let report = prove(sheet, true);
        println!("{report}");
        report.assert_proved();
    }
}

/// Each action, place and activation stands in one row, if the layers that the action names are there; every
/// operator and every method of an operator stands in some row.
#[test]
fn the_page_lists_every_combination_once() {
    for sheet in &SHEETS {
        let rows = rows(sheet);
        let actions: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.action).collect();
        for action in &actions {
            for place in sheet.places {
                let net = (place.build)(7, &Settings::default());
                let there = action.split(' ').all(|word| !["c", "r"].contains(&word) || net.layer(word).is_some());
                for activation in Activation::ALL {
                    let listed = rows
                        .iter()
                        .filter(|row| row.action == *action)
                        .filter(|row| row.places.contains(&place.word) && row.activations.contains(&activation))
                        .count();
                    let what = format!("rows for `{action}` in a {} behind {activation}", place.word);
                    assert_eq!(listed, usize::from(there), "{what}");
                }
            }
        }
        for operator in OPERATORS {
            let doc = operator.doc();
            assert!(actions.iter().any(|action| action.starts_with(doc.word)), "no row for `{}`", doc.word);
            for arg in doc.args {
                let Shape::Keyword([growrun::base::Kind::Word(choices)]) = arg.shape else { continue };
                for choice in choices() {
                    let written = format!("{} {choice}", arg.name);
                    let is_default = arg.default.starts_with(choice);
                    let stands = actions.iter().any(|action| action.starts_with(doc.word) && action.contains(&written));
                    assert!(stands || is_default, "no row for `{} … {written}`", doc.word);
                }
            }
        }
    }
}

/// A test that is renamed or goes must not leave the page pointing at nothing.
#[test]
fn every_test_that_the_page_names_is_there() {
    let mut named = 0;
    for (at, _) in PAGE.match_indices("growth::") {
        let path = PAGE[at + "growth::".len()..].split('`').next().expect("a name in backticks");
        let Some((module, tests)) = path.split_once("::") else { continue };
        let file = format!("{}/tests/it/growth/{module}.rs", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("`growth::{path}`: {error}"));
        for test in tests.trim_matches(['{', '}']).split(", ") {
            assert!(text.contains(&format!("fn {test}(")), "{file} has no test `{test}`");
            named += 1;
        }
    }
    assert!(named > 20, "the page names its tests, {named} were found");
}
