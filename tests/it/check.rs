//! The checker on whole schedules: expectations stand in the text, as `# error: 19-22 G0101` behind a line.

use growrun::base::world::Real;
use growrun::base::{Diagnostic, Severity};
use growrun::check::codes::{CODES, page};
use growrun::check::program::Base;
use growrun::check::{Checked, Limits, MetricWord, Request, Vocabulary, check};
use growrun::optim::OPTIMIZERS;
use growrun::syntax;
use growrun::train::{LOSSES, METRICS};
use std::collections::BTreeMap;
use std::path::Path;

fn vocabulary() -> Vocabulary {
    Vocabulary {
        optimizers: OPTIMIZERS.iter().map(|kind| kind.doc()).collect(),
        losses: LOSSES.to_vec(),
        metrics: METRICS
            .iter()
            .map(|metric| MetricWord {
                doc: metric.doc,
                task: metric.task,
                higher_is_better: metric.higher_is_better,
                scalar: metric.scalar,
            })
            .collect(),
    }
}

/// Parses, resolves and checks one text; what the parser found comes first.
pub fn checked(text: &str) -> Checked {
    checked_within(text, Limits { memory: Some(8 << 30), disk: Some(50 << 30), ..Limits::default() })
}

fn checked_within(text: &str, limits: Limits) -> Checked {
    let (schedule, mut found) = syntax::parse("test.grow", text);
    let world = Real::default();
    let vocabulary = vocabulary();
    let named = BTreeMap::new();
    let request = Request { limits, ..Request::new(&world, &vocabulary, Path::new("tests"), &named) };
    let mut checked = check(schedule, &request);
    found.append(&mut checked.diagnostics);
    checked.diagnostics = found;
    checked
}

/// `error: 19-22 G0101`: severity, columns from 1 with the end excluded, code.
fn expectation(diagnostic: &Diagnostic, checked: &Checked) -> (usize, String) {
    let (line, column) = checked.sources.line_column(diagnostic.span());
    let severity = if diagnostic.severity == Severity::Error { "error" } else { "warning" };
    let end = column + checked.sources.slice(diagnostic.span()).chars().count();
    (line, format!("{severity}: {column}-{end} {}", diagnostic.code))
}

/// Checks a schedule against the expectations behind its lines.
fn hold(case: &str) {
    let checked = checked(case);
    let mut found: Vec<(usize, String)> = checked.diagnostics.iter().map(|d| expectation(d, &checked)).collect();
    found.sort();
    let mut annotated = String::new();
    for (number, line) in case.lines().enumerate() {
        let bare = line.split(" # ").next().unwrap_or(line);
        annotated.push_str(bare);
        let here: Vec<&str> = found.iter().filter(|(at, _)| *at == number + 1).map(|(_, text)| text.as_str()).collect();
        if !here.is_empty() {
            annotated.push_str(&format!(" # {}", here.join(", ")));
        }
        annotated.push('\n');
    }
    let messages: Vec<&str> = checked.diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(annotated, case, "found: {messages:#?}");
}

/// The sections that most cases stand on, in lines of their own.
const COMPLETE: &str = "data digits { batch 32 }
model { h1 dense 32 relu; h2 dense 32 relu; out dense 10 }
train 60 epochs { optimizer adam lr 1e-3 }
";

/// Cases are parted by `---`; `complete` in a first line stands for [`COMPLETE`].
#[test]
fn every_case_finds_exactly_what_it_expects() {
    for case in include_str!("check_cases.grow").split("---\n") {
        hold(&case.replace("#complete\n", COMPLETE));
    }
}

#[test]
fn a_fragment_runs_on_the_starter() {
    let checked = checked("at epoch 20 widen h2 to 256 eps 1e-3; at epoch 40 insert identity after h2");
    assert_eq!(checked.diagnostics, []);
    let program = checked.program.expect("nothing is wrong");
    assert_eq!(program.base, Some(Base::Starter));
    assert_eq!(program.train.steps, 60 * program.data.steps_per_epoch);
    let steps: Vec<u64> = checked.timeline.iter().map(|planned| planned.step).collect();
    assert_eq!(steps, [20 * program.data.steps_per_epoch, 40 * program.data.steps_per_epoch]);
}

#[test]
fn a_second_widening_shows_where_the_first_one_stood() {
    let text = format!("{COMPLETE}at epoch 20 widen h2 to 256\nat epoch 30 widen h2 to 192\n");
    let checked = checked(&text);
    let [found] = checked.diagnostics.as_slice() else { panic!("{:#?}", checked.diagnostics) };
    assert_eq!(found.message, "cannot widen `h2` to 192: it is already 256 wide here");
    assert_eq!(found.help.as_deref(), Some("use `narrow h2 to 192` to prune, or a size above 256"));
    let labels: Vec<(usize, &str)> =
        found.labels.iter().map(|label| (checked.sources.line_column(label.span).0, label.text.as_str())).collect();
    assert_eq!(labels, [(5, "smaller than 256"), (4, "became 256 here")]);
}

#[test]
fn widths_behind_a_when_are_compared_as_intervals() {
    // h2 reads 32 and gives 32, or 64..256 and 32..128: it may be the same number, and the run will see.
    let events = "when val_loss plateaus for 3 epochs at most 2 times until epoch 40 widen h1..h2 by 2x
when val_accuracy > 90% until epoch 40 widen h1 by 2x
at epoch 50 remove h2";
    let found = checked(&format!("{COMPLETE}{events}\n")).diagnostics;
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((found.code, found.severity), ("G0401", Severity::Warning));
    let message = "removing `h2` changes the network's output if it reads another width than it gives: ";
    assert!(found.message.starts_with(message), "{}", found.message);
    // Surely another width: h1 grows, h2 does not.
    let events = "when val_loss plateaus for 3 epochs until epoch 40 widen h1 by 2x\nat epoch 50 remove h2";
    let found = checked(&format!("{COMPLETE}{events}\n")).diagnostics;
    let [found] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(found.severity, Severity::Warning);
    assert!(found.message.ends_with("is drawn afresh (once a `when` has fired)"), "{}", found.message);
}

/// A block whose skip ties `h1` and `b`, and one that maps its skip; the input of both is 16 wide.
const BLOCKS: [(&str, usize); 2] = [("residual", 16), ("residual project", 12)];

fn with_block((kind, width): (&str, usize), events: &str) -> String {
    format!(
        "data digits
model {{ h1 dense 16 tanh; r1 {kind} {{ a dense 8 relu; b dense {width} }}; out dense 10 }}
train 40 epochs {{ optimizer adam lr 1e-3 }}
{events}
"
    )
}

/// Reads every axis of every network on the way, as the printed timeline does.
fn count_all(checked: &Checked) {
    for planned in &checked.timeline {
        let (low, high) = planned.parameters();
        assert!(0 < low && low <= high, "{low}..{high} parameters in {}", planned.after);
    }
}

#[test]
fn a_when_may_make_layers_inside_and_around_blocks() {
    for events in [
        "when val_loss plateaus for 3 epochs insert identity after h1\nat epoch 30 widen h1 to 24",
        "when val_loss plateaus for 5 epochs stack r1 2x\nat epoch 5 widen a to 12",
        "when val_loss < 0.5 insert identity after a\nat epoch 5 widen a to 12",
    ] {
        let checked = checked(&with_block(BLOCKS[0], events));
        assert!(!checked.has_errors(), "{events}: {:#?}", checked.diagnostics);
        count_all(&checked);
    }
    // The layer that may stand between `a` and `b` has their widths, not those of its neighbours by number.
    let events = "when val_loss < 0.5 insert identity after a as c\nat epoch 5 widen h1 to 24";
    let checked = checked(&with_block(BLOCKS[0], events));
    let after = &checked.timeline.last().expect("two events").after;
    let of = |name: &str| after.layer(name).map(|layer| after.width(layer.output.axis).to_string());
    let found = ["h1", "a", "c", "b"].map(|name| of(name).expect("it is there, or may be"));
    assert_eq!(found, ["24", "8", "8", "24"], "{after}");
    let block: Vec<&str> =
        after.layer("r1").expect("the block").block.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(block, ["a", "c", "b"]);
}

#[test]
fn every_operator_behind_a_when_meets_later_growth() {
    // Whether it can change the width of what flows past the block.
    let actions = [
        ("widen h1 to 24", true),
        ("widen a to 12", false),
        ("narrow h1 to 12", true),
        ("narrow a to 6", false),
        ("insert identity after h1", false),
        ("insert identity after a", false),
        ("insert identity after r1", false),
        ("insert dense 20 relu after h1 accept change", true),
        ("insert dense 20 relu after a accept change", true),
        ("duplicate r1 as r9", false),
        ("remove r1 accept change", false),
        ("remove a accept change", true),
        ("stack r1 3x", false),
        ("freeze a", false),
        ("unfreeze a", false),
    ];
    for operator in growrun::grow::OPERATORS {
        let word = operator.doc().word;
        assert!(actions.iter().any(|(action, _)| action.starts_with(word)), "`{word}` is not tried");
    }
    for block in BLOCKS {
        for (action, resizes) in actions {
            for later in ["widen all by 2x", "narrow all to 4", "stack r1 2x", "widen a to 16"] {
                let events = format!("when val_loss plateaus for 3 epochs {action}\nat epoch 30 {later}");
                let checked = checked(&with_block(block, &events));
                // Only a block whose ends have one width can follow itself; all else is possible, with or without the `when`.
                let repeats = action.starts_with("duplicate") || action.starts_with("stack");
                let refused = block.0 == "residual project" && repeats && later.starts_with("stack");
                assert!(refused || !checked.timeline.is_empty(), "{} {events}: {:#?}", block.0, checked.diagnostics);
                count_all(&checked);
                if resizes || later.contains("all") {
                    continue;
                }
                for planned in &checked.timeline {
                    for (name, width) in [("h1", 16), ("b", block.1)] {
                        // A removed block takes `b` along.
                        let Some(layer) = planned.after.layer(name) else { continue };
                        let found = planned.after.width(layer.output.axis);
                        assert!(found.is_exact() && found.min == width, "{} {events}: `{name}` is {found}", block.0);
                    }
                }
            }
        }
    }
}

#[test]
fn ten_mistakes_give_ten_diagnostics() {
    let text = "data digits { batsh 32 }
model {
  h1 dens 64 relu
  h2 dense 64 rellu
  out dense 12
}
train 60 epochs { optimizer adm lr 1e-3; metrics acuracy }
at epoch 20 widen h9 to 256
at epoch 80 widen h2 to 256
at 30 freeze h1
when val_loss plateaus for 5 epochs or val_loss > 1 stop
";
    let checked = checked(text);
    let codes: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert_eq!(
        codes,
        ["G0105", "G0105", "G0105", "G0301", "G0105", "G0502", "G0101", "G0202", "G0104", "G0902"],
        "{:#?}",
        checked.diagnostics
    );
}

#[test]
fn ten_thousand_events_are_checked_quickly() {
    use std::fmt::Write;
    let mut text = COMPLETE.replace("60 epochs", "100_000 steps");
    for n in 0..10_000 {
        let action = match n % 4 {
            0 => format!("widen h1 to {}", 33 + n / 4),
            1 => "freeze h1".into(),
            2 => "unfreeze h1".into(),
            _ => "set lr by 0.999x".into(),
        };
        writeln!(text, "at step {} {action}", n + 1).expect("a string takes all");
    }
    let world = Real::default();
    let begin = growrun::base::World::seconds(&world);
    let checked = checked(&text);
    let seconds = growrun::base::World::seconds(&world) - begin;
    println!("parsed and checked in {seconds:.3} s");
    assert_eq!(checked.diagnostics, []);
    assert_eq!(checked.timeline.len(), 10_000);
    // 0.1 s is asked of a release build; this profile and a busy machine are many times slower.
    assert!(seconds < 5.0, "{seconds} s");
}

/// The first `grow` block under a heading of a page.
fn block<'p>(page: &'p str, heading: &str) -> Option<&'p str> {
    let (_, below) = page.split_once(heading)?;
    let (_, block) = below.split_once("```grow\n")?;
    Some(block.split_once("```")?.0)
}

#[test]
fn every_code_has_a_page_that_fails_and_is_repaired() {
    for (code, title) in CODES {
        let Some(page) = page(code) else { panic!("{code} has no page") };
        assert!(page.starts_with(&format!("# {code}: ")), "{code}: {title}");
        // Pages on foreign files need those files beside the schedule; their own floors hold them, as the parser's. Two are about the
        // command line.
        if code.starts_with("G00")
            || code.starts_with("G07")
            || code.starts_with("G08")
            || code.starts_with("G022")
            || ["G0910", "G0911"].contains(code)
        {
            continue;
        }
        let bad = checked(block(page, "## Fails").expect("a failing block"));
        let found: Vec<&str> = bad.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert!(found.contains(code), "{code} is not in {found:?}");
        let good = checked(block(page, "## Repaired").expect("a repaired block"));
        assert!(!good.has_errors(), "{code}: {:#?}", good.diagnostics);
        assert!(good.diagnostics.iter().all(|diagnostic| diagnostic.code != *code), "{code}: {:#?}", good.diagnostics);
    }
}

#[test]
fn no_code_is_used_that_is_not_in_the_table() {
    fn visit(folder: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("src is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                visit(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                let codes = text.match_indices("\"G0").filter_map(|(at, _)| text.get(at + 1..at + 7));
                into.extend(codes.filter(|code| code.ends_with('"')).map(|code| code[..5].to_string()));
            }
        }
    }
    let mut used = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
    assert!(used.len() > 100, "the search finds codes");
    for code in used {
        assert!(CODES.iter().any(|(known, _)| *known == code), "{code} is not in the table");
    }
}

#[test]
fn the_examples_check_clean() {
    for (name, text) in examples() {
        let checked = checked(&text);
        // A data file that is not on this machine is a warning; nothing else may be found.
        let found: Vec<&Diagnostic> =
            checked.diagnostics.iter().filter(|d| !matches!(d.code, "G0701" | "G0729")).collect();
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
}

fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
    let mut all: Vec<(String, String)> = std::fs::read_dir(folder)
        .expect("there are examples")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "grow"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).expect("UTF-8")))
        .collect();
    all.sort();
    assert!(all.len() >= 8);
    all
}

/// Images take memory by their pixels, of which no weight tells.
#[test]
fn activations_of_images_beyond_the_limit_are_refused_before_and_by_growth() {
    let text = |width: usize, event: &str| {
        format!(
            "data digits {{ batch all }}
model {{ c1 conv {width} kernel 3 relu norm batch; p1 pool global; out dense 10 }}
train 2 epochs {{ }}
{event}"
        )
    };
    let limited = |text: &str| {
        let checked = checked_within(text, Limits { memory: Some(500 << 20), ..Limits::default() });
        let codes: Vec<&str> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        (checked.program.is_some(), codes.join(" "))
    };
    // 1437 images of 64 pixels with 512 channels: z, its gradient, what the norm keeps and what comes out are 189 MB each.
    assert_eq!(limited(&text(512, "")), (false, "G0602".into()));
    assert_eq!(limited(&text(64, "")), (true, String::new()));
    assert_eq!(limited(&text(64, "at epoch 1 widen c1 to 512")), (false, "G0602".into()));
    // A kernel costs a frame with its border for each image that is worked on, and no pixel more.
    assert_eq!(limited(&text(64, "at epoch 1 widen c1 kernel to 15")), (true, String::new()));
}

/// A timeline holds the network after every action: a few lines must not fill the memory.
#[test]
fn a_large_network_is_not_followed_through_every_event() {
    let blocks = "data digits { batch 32 }
model { h1 dense 1 relu; r1 residual { a dense 1; b dense 1 }; out dense 10 }
train 60 epochs { optimizer adam lr 1e-3 }
at start stack r1 300x
";
    let few = checked(&format!("{blocks}every 1 epochs until epoch 50 widen h1 by 1\n"));
    assert_eq!(few.diagnostics, []);
    let many = checked(&format!("{blocks}every 1 steps until epoch 50 widen h1 by 1\n"));
    let [found] = many.diagnostics.as_slice() else { panic!("{:#?}", many.diagnostics) };
    assert_eq!((found.code, found.severity), ("G0604", Severity::Error));
    assert_eq!(found.message, "the network is too large to be followed through so many events");
}

/// Examples with words dropped, doubled, swapped between places and replaced by extreme ones: whatever comes out,
/// the checker answers. A fixed stream of numbers, so that a failure repeats.
#[test]
fn mutated_examples_never_panic() {
    const EXTREME: [&str; 24] = [
        "0",
        "1e308",
        "18446744073709551615",
        "1e12",
        "100%",
        "0%",
        "0x",
        "1e300x",
        "\"\"",
        "h1",
        "h1..out",
        "all",
        "epoch",
        "steps",
        "to",
        "as",
        "$x",
        "{",
        "}",
        ";",
        "residual",
        "remove",
        "when",
        "from",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut broken = 0;
    for (_, text) in examples() {
        let words: Vec<&str> = text.lines().flat_map(|line| line.split(' ').chain(["\n"])).collect();
        for _ in 0..600 {
            let mut mutated = words.clone();
            for _ in 0..1 + draw(4) {
                let at = draw(mutated.len());
                match draw(4) {
                    0 => drop(mutated.remove(at)),
                    1 => mutated.insert(at, words[draw(words.len())]),
                    2 => mutated[at] = words[draw(words.len())],
                    _ => mutated[at] = EXTREME[draw(EXTREME.len())],
                }
            }
            let checked = checked(&mutated.join(" "));
            broken += usize::from(checked.has_errors());
        }
    }
    assert!(broken > 100, "mutations that break nothing test nothing");
}
