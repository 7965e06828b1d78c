//! The language as text: every form, every mistake with its place, and what a hostile file may cost.

use growrun::base::{Diagnostic, World, args::Comparison, world::Real};
use growrun::syntax::{self, Atom, Lexeme, Schedule};
use std::time::{Duration, Instant};

const EXAMPLE: &str = r#"grow 1                                   # language version, optional
experiment "first growth"
seed 7                                   # default 0
let width = 256

data digits { batch 32; normalize zscore; split train 80% val 20% stratified }

model {
  h1  dense 32 relu
  h2  dense 32 relu
  out dense 10
}

train 60 epochs { optimizer adam lr 1e-3; loss cross_entropy; metrics accuracy }

at epoch 20 widen h2 to $width eps 1e-3
at epoch 40 insert identity after h2
"#;

/// Every form of the language that the example does not have.
const FORMS: &str = r#"let pause = 5 epochs; let goal = 95%; let act = relu; let file = "w.npz"; let twice = 2x
let first = 20
data csv "a b/f.csv" {
  target label; task classification
  batch all; split train 800 val 100 test 97; limit 1000; shuffle no; drop_last yes
  class_weights balanced # a comment
}
model from "weights.safetensors" {
  map "fc1.weight" to h1.norm.weight
  c1 conv 32 kernel 3 relu stride 2 pad valid norm batch dropout 0.1 bias no init he
  p1 pool max 2
  h1 dense 64 $act from $file prefix "fc2"
  r1 residual project { a dense 64 relu; b dense 32 }
  r2 residual {
    c dense 20_000 tanh
  }
}
train 20_000 steps {
  optimizer adamw lr 1e-3 weight_decay 0.01 betas 0.9 0.999 clip 1
  lr step 0.1x every 20 epochs warmup 5%
  stop when val_loss < 0.1 and val_accuracy >= 99%
  on_divergence rollback lr 0.5x at most 3 times
}
at start freeze h1
at epoch $first widen h1..h2 by 2x
at step 100 { widen c1 kernel to 5; save "a # b" }
at 50% set lr to -0.5
at end evaluate test
every $pause save "again"
every 10 epochs from epoch 5 until 90% widen all by $twice lr rewarm $pause
every 1 epoch save "e"
during epoch 5..10 freeze h1..h3
during 10%..20% { set dropout h1 to 0.2 }
when val_loss plateaus for $pause delta 1e-3 and epoch > 3 at most 2 times cooldown 3 epochs from start until end {
  widen h2 to 256
}
when val_accuracy>$goal stop
arm grown { at 30% widen h1..h2 to 256; let first = 30 }
arm small { }
arm scratch from final grown {}
sweep first in [10, 20, 5_0]
compare grown, small, scratch by val_accuracy match flops seeds 5
"#;

fn read(text: &str) -> (Schedule, Vec<Diagnostic>) {
    let (mut schedule, mut found) = syntax::parse("test.grow", text);
    found.extend(syntax::resolve(&mut schedule));
    (schedule, found)
}

/// The atoms of a phrase, written in one way each.
fn show(atoms: &[growrun::base::Spanned<Atom>]) -> String {
    let one = |atom: &Atom| match atom {
        Atom::Word(word) => word.clone(),
        Atom::Text(text) => format!("{text:?}"),
        Atom::Number { integer: Some(n), .. } => format!("{n}"),
        Atom::Number { value, .. } => format!("{value:?}"),
        Atom::Percent(value) => format!("%{value}"),
        Atom::Factor(value) => format!("×{value}"),
        Atom::Variable(name) => format!("${name}"),
        Atom::Compare(Comparison::Less) => "<".into(),
        Atom::Compare(Comparison::LessOrEqual) => "<=".into(),
        Atom::Compare(Comparison::Greater) => ">".into(),
        Atom::Compare(Comparison::GreaterOrEqual) => ">=".into(),
        Atom::Bad => "BAD".into(),
        Atom::Range(..) => unreachable!("ranges are shown by their ends"),
    };
    let shown: Vec<String> = atoms
        .iter()
        .map(|atom| match &atom.node {
            Atom::Range(first, last) => format!("{}..{}", one(first), one(last)),
            atom => one(atom),
        })
        .collect();
    shown.join(" ")
}

#[test]
fn the_example_reads_without_a_mistake() {
    let (schedule, found) = read(EXAMPLE);
    assert_eq!(found, vec![]);
    assert_eq!(schedule.events.len(), 2);
    assert_eq!(schedule.events[0].actions[0].atoms[3].node, Atom::Number { value: 256.0, integer: Some(256) });
    assert_eq!(schedule.model.expect("a model").body.len(), 3);
    assert_eq!(schedule.experiment.expect("a title").node, "first growth");
}

#[test]
fn the_line_of_the_design_is_two_events_with_or_without_a_newline() {
    let line = "at epoch 20 widen h2 to 256 eps 1e-3; at epoch 40 insert identity after h2";
    for text in [line.to_string(), format!("{line}\n"), format!("{line}\r\n"), format!("\u{feff}{line}")] {
        let (schedule, found) = read(&text);
        assert_eq!(found, vec![], "{text:?}");
        let actions: Vec<String> = schedule.events.iter().map(|event| show(&event.actions[0].atoms)).collect();
        assert_eq!(actions, ["widen h2 to 256 eps 0.001", "insert identity after h2"], "{text:?}");
        let times: Vec<String> = schedule.events.iter().map(|event| show(&event.trigger.head)).collect();
        assert_eq!(times, ["epoch 20", "epoch 40"], "{text:?}");
    }
}

#[test]
fn every_form_reads_without_a_mistake() {
    for text in [FORMS.to_string(), FORMS.replace('\n', "\r\n"), FORMS.replace("  ", "\t"), FORMS.trim().to_string()] {
        let (schedule, found) = read(&text);
        assert_eq!(found, vec![]);
        let model = schedule.model.expect("a model");
        assert_eq!(show(&model.head), r#"from "weights.safetensors""#);
        assert_eq!(show(&model.body[3].atoms), r#"h1 dense 64 relu from "w.npz" prefix "fc2""#);
        let block = model.body[4].block.as_ref().expect("a block");
        assert_eq!(block.iter().map(|p| show(&p.atoms)).collect::<Vec<_>>(), ["a dense 64 relu", "b dense 32"]);
        let triggers: Vec<String> = schedule
            .events
            .iter()
            .map(|event| {
                let mut text = format!("{} {}", event.trigger.word.node, show(&event.trigger.head));
                for (word, atoms) in &event.trigger.options {
                    text.push_str(&format!(" | {} {}", word.node, show(atoms)));
                }
                text
            })
            .collect();
        assert_eq!(
            triggers,
            [
                "at start",
                "at epoch 20",
                "at step 100",
                "at %0.5",
                "at end",
                "every 5 epochs",
                "every 10 epochs | from epoch 5 | until %0.9",
                "every 1 epoch",
                "during epoch 5..10",
                "during %0.1..%0.2",
                "when val_loss plateaus for 5 epochs delta 0.001 and epoch > 3 | at most 2 | cooldown 3 epochs | from start | until end",
                "when val_accuracy > %0.95",
            ]
        );
        let arms: Vec<String> =
            schedule.arms.iter().map(|arm| format!("{} {}", arm.name.node, show(&arm.head))).collect();
        assert_eq!(arms, ["grown ", "small ", "scratch from final grown"]);
        assert_eq!(show(&schedule.sweeps[0].values), "10 20 50");
        let compare = schedule.compare.expect("a comparison");
        assert_eq!(show(&compare.atoms), "compare grown small scratch by val_accuracy match flops seeds 5");
    }
}

#[test]
fn atoms_have_their_values_and_places() {
    let cases = [
        ("256", "256"),
        ("20_000", "20000"),
        ("1e-3", "0.001"),
        ("-0.5", "-0.5"),
        ("2e4", "20000"),
        ("2.0", "2.0"),
        ("1e12", "1000000000000"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e19"),
        ("95%", "%0.95"),
        ("2x", "×2"),
        ("0.5x", "×0.5"),
        ("5..10", "5..10"),
        ("1.5..2", "1.5..2"),
        ("h1..h3", "h1..h3"),
        ("h1.norm.weight", "h1.norm.weight"),
        ("\"a b ; { # é\"", "\"a b ; { # é\""),
        ("<0.1", "< 0.1"),
        (">=", ">="),
    ];
    for (text, expected) in cases {
        let (schedule, found) = read(&format!("train {text} {{ }}"));
        assert_eq!(found, vec![], "{text}");
        let head = schedule.train.expect("a section").head;
        assert_eq!(show(&head), expected);
        let (first, last) = (head[0].span, head[head.len() - 1].span);
        assert_eq!(schedule.sources.slice(first.to(last)), text);
    }
}

/// A text, and for each of its mistakes in order: code, the text at its place, message, help.
type Case = (&'static str, &'static [(&'static str, &'static str, &'static str, &'static str)]);

const MISTAKES: &[Case] = &[
    (
        "at epoch widen h2 to 256",
        &[("G0001", "widen", "expected a number after `at epoch`", "the form is `at epoch 20 widen h2 to 256`")],
    ),
    (
        "at epoch",
        &[("G0001", "epoch", "expected a number after `at epoch`", "the form is `at epoch 20 widen h2 to 256`")],
    ),
    (
        "at epoch 5",
        &[("G0001", "5", "expected an action after `at epoch 5`", "the form is `at epoch 20 widen h2 to 256`")],
    ),
    (
        "at epohc 20 widen h2 by 2x",
        &[("G0001", "epohc", "expected a point in time after `at`", "did you mean `epoch`?")],
    ),
    (
        "at dawn widen h2 by 2x",
        &[(
            "G0001",
            "dawn",
            "expected a point in time after `at`",
            "write `at epoch 20`, `step 100`, `50%`, `start` or `end`",
        )],
    ),
    (
        "at 20 epochs stop",
        &[("G0001", "20 epochs", "`at` takes a point in time, not a duration", "write `at epoch 20`")],
    ),
    (
        "at epoch 5 7",
        &[(
            "G0001",
            "7",
            "expected an action after `at epoch 5`",
            "an action begins with a word: `at epoch 5 widen h2 to 256`",
        )],
    ),
    (
        "every epoch stop",
        &[(
            "G0001",
            "epoch",
            "expected a duration such as `5 epochs` after `every`",
            "the form is `every 10 epochs widen h2 by 2x`",
        )],
    ),
    (
        "during 5 freeze h1",
        &[(
            "G0001",
            "5",
            "expected a stretch of time such as `epoch 5..10` after `during`",
            "the form is `during epoch 5..10 freeze h1`",
        )],
    ),
    (
        "during epoc 5..10 freeze h1",
        &[("G0001", "epoc", "expected a stretch of time after `during`", "did you mean `epoch`?")],
    ),
    (
        "when val_loss plateaus 5 epochs stop",
        &[(
            "G0001",
            "5",
            "expected `for` after `when val_loss plateaus`",
            "the form is `when val_loss plateaus for 5 epochs widen h2 by 2x`",
        )],
    ),
    (
        "when val_loss stop",
        &[(
            "G0001",
            "stop",
            "expected `plateaus for` or a comparison such as `> 95%` after `when val_loss`",
            "the form is `when val_loss plateaus for 5 epochs widen h2 by 2x`",
        )],
    ),
    (
        "at epoch 5 cooldown 2 epochs stop",
        &[("G0001", "cooldown", "`at` has no `cooldown`", "only `when` has `cooldown`")],
    ),
    ("every 5 epochs from start from end stop", &[("G0006", "from", "`from` stands here a second time", "")]),
    ("let x 5", &[("G0001", "5", "expected `=` after `let x`", "the form is `let width = 256`")]),
    ("let = 5", &[("G0001", "=", "expected a name after `let`", "the form is `let width = 256`")]),
    (
        "sweep x in 5",
        &[(
            "G0001",
            "5",
            "expected a list such as `[128, 256]` after `sweep x in`",
            "the form is `sweep width in [128, 256]`",
        )],
    ),
    (
        "include a",
        &[("G0001", "a", "expected a path in quotes after `include`", "the form is `include \"common/digits.grow\"`")],
    ),
    ("seed seven", &[("G0001", "seven", "`seed` needs a whole number: `seed 7`", "write a whole number: `seed 7`")]),
    ("seed 7 8", &[("G0001", "8", "`seed` takes one value", "write a whole number: `seed 7`")]),
    (
        "experiment",
        &[("G0001", "experiment", "`experiment` needs a title in quotes: `experiment \"first growth\"`", "")],
    ),
    ("$x 5", &[("G0001", "$x", "a statement cannot begin with `$x` here", "a statement begins with a word")]),
    (
        "arm a { widen h2 by 2x }",
        &[("G0001", "widen", "a statement cannot begin with `widen` here", "an arm holds `let` and events only")],
    ),
    ("model {\n h1 dense 8", &[("G0002", "{", "this `{` is never closed", "write `}` where the block ends")]),
    ("seed 1 }", &[("G0002", "}", "this `}` closes nothing", "remove it, or write the `{` that it belongs to")]),
    (
        "at start save \"a",
        &[("G0003", "\"a", "this quote is never closed", "text ends with `\"` on the line on which it began")],
    ),
    ("at start save 'a b'", &[("G0003", "'a b'", "text stands in double quotes", "write `\"a b\"`")]),
    (
        "",
        &[(
            "G0005",
            "",
            "this file says nothing",
            "write an event such as `at epoch 20 widen h2 to 256`, or begin with `growrun new`",
        )],
    ),
    (
        "data digits\ndata moons",
        &[("G0006", "data", "`data` stands here a second time", "keep one of them; nothing is merged")],
    ),
    ("modle { h1 dense 8 }", &[("G0007", "modle", "`modle` begins no statement", "did you mean `model`?")]),
    (
        "every 5 epcohs widen h2 by 2x",
        &[("G0001", "epcohs", "expected `epochs` or `steps` after `every 5`", "did you mean `epochs`?")],
    ),
    ("evry 5 epochs stop", &[("G0007", "evry", "`evry` begins no statement", "did you mean `every`?")]),
    (
        "grow 2",
        &[(
            "G0008",
            "2",
            "this growrun reads version 1 of the language only",
            "write `grow 1`, or use the growrun that the file was written for",
        )],
    ),
    (
        "include \"a.grow\"",
        &[(
            "G0009",
            "\"a.grow\"",
            "cannot include `a.grow`: this text is in no file, so there is no folder to look in",
            "save the text as a file first",
        )],
    ),
    (
        "let width = 8\ntrain $widht steps\nseed $width",
        &[("G0010", "$widht", "no `let` defines `widht`", "did you mean `width`?")],
    ),
    (
        "at start widen\u{a0}h2 by 2x",
        &[("G0011", "\u{a0}", "a no-break space, U+00A0, cannot stand here", "write an ordinary space")],
    ),
    (
        "at start save “a”",
        &[("G0011", "“a”", "a typographic quote, U+201C, cannot stand here", "write a straight `\"` at both ends")],
    ),
    (
        "at start freeze h\u{430}",
        &[(
            "G0011",
            "\u{430}",
            "a Cyrillic letter, U+0430, cannot stand here",
            "names are made of the letters a to z, digits and `_`",
        )],
    ),
    (
        "seed 1\u{0}",
        &[(
            "G0011",
            "\u{0}",
            "a control character, U+0000, cannot stand in a schedule",
            "remove it; is this a text file?",
        )],
    ),
    (
        "experiment \"red\u{1b}[31m\"",
        &[("G0011", "\u{1b}", "a control character, U+001B, cannot stand in quotes", "remove it")],
    ),
    (
        "at start save \"a\u{202e}b\"",
        &[("G0011", "\u{202e}", "a control character, U+202E, cannot stand in quotes", "remove it")],
    ),
    (
        "model\n{ h1 dense 8 }",
        &[(
            "G0012",
            "{",
            "this block belongs to no statement",
            "a `{` stands on the line of the statement that it opens: `model {`",
        )],
    ),
    (
        "model { r residual { a dense 8 { } } }",
        &[(
            "G0012",
            "{",
            "blocks stand at most two deep",
            "only a section or an arm has a block whose statements have blocks of their own",
        )],
    ),
    (
        "at start { widen h2 { } }",
        &[(
            "G0012",
            "widen h2 { }",
            "an action has no block of its own",
            "several actions share one: `at start { widen h1 by 2x; save \"grown\" }`",
        )],
    ),
    ("train .5 epochs", &[("G0013", ".5", "cannot read `.5`", "write `0.5`")]),
    ("train 5. epochs", &[("G0013", "5.", "cannot read `5.`", "write `5`")]),
    ("train 60epochs", &[("G0013", "60epochs", "cannot read `60epochs`", "write `60 epochs`")]),
    (
        "train { loss cross-entropy }",
        &[("G0013", "cross-entropy", "cannot read `cross-entropy`", "write `cross_entropy`")],
    ),
    ("data csv a/b.csv", &[("G0013", "a/b.csv", "cannot read `a/b.csv`", "write it in quotes: `\"a/b.csv\"`")]),
    (
        "train { optimizer sgd lr=0.1, momentum 0.9 }",
        &[
            ("G0013", "=", "a `=` cannot stand here", "a word and its value are separated by a space: `lr 1e-3`"),
            ("G0013", ",", "a `,` cannot stand here", "values are separated by spaces"),
        ],
    ),
    ("train 1e999 steps", &[("G0013", "1e999", "`1e999` is too large for a number", "")]),
    ("at start freeze h1..", &[("G0013", "h1..", "cannot read `h1..`", "write both, as in `5..10` or `h1..h3`")]),
    (
        "when a == 1 stop",
        &[(
            "G0001",
            "==",
            "expected `plateaus for` or a comparison such as `> 95%` after `when a`",
            "the form is `when val_loss plateaus for 5 epochs widen h2 by 2x`",
        )],
    ),
    (
        "let a = 1\nlet b = $a\nseed $b\ntrain $a steps",
        &[(
            "G0014",
            "$a",
            "the value of a name cannot be another name, `$a`",
            "write one value, such as `let b = 256`, `95%`, `2x`, `relu`, `\"text\"` or `5 epochs`",
        )],
    ),
    (
        "let a = 5 epochs\nseed $a",
        &[("G0014", "$a", "`$a` is a duration, and one value stands here", "use a `let` without a unit")],
    ),
    ("let a = 1", &[("G0015", "a", "`a` is never used", "write `$a` where the value belongs, or remove the line")]),
];

#[test]
fn every_mistake_has_its_code_place_message_and_help() {
    for (text, expected) in MISTAKES {
        let (schedule, found) = read(text);
        let found: Vec<(&str, &str, &str, &str)> = found
            .iter()
            .map(|d| (d.code, schedule.sources.slice(d.span()), d.message.as_str(), d.help.as_deref().unwrap_or("")))
            .collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn every_code_has_a_case_and_a_page_entry() {
    let mut codes: Vec<&str> = MISTAKES.iter().flat_map(|(_, expected)| expected.iter().map(|e| e.0)).collect();
    // Not UTF-8 and too large need a file: `load` has its own tests.
    codes.push("G0004");
    codes.sort_unstable();
    codes.dedup();
    let table: Vec<&str> = syntax::CODES.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, table);
}

#[test]
fn a_mistake_spoils_only_its_own_statement() {
    let text = "modle { h1 dense 8 relu; h2 dense .5 relu }\nat epoch widen h2\nat 20 epochs widen h2 to 16\nevry 2 epochs stop\nat start freeze h1";
    let (schedule, found) = read(text);
    assert_eq!(found.iter().map(|d| d.code).collect::<Vec<_>>(), ["G0007", "G0013", "G0001", "G0001", "G0007"]);
    let model = schedule.model.expect("the word was put right");
    assert_eq!(model.body.iter().map(|p| show(&p.atoms)).collect::<Vec<_>>(), ["h1 dense 8 relu", "h2 dense BAD relu"]);
    let events: Vec<String> =
        schedule.events.iter().map(|e| format!("{} / {}", show(&e.trigger.head), show(&e.actions[0].atoms))).collect();
    assert_eq!(events, ["epoch 20 / widen h2 to 16", "start / freeze h1"]);
}

#[test]
fn an_unclosed_block_ends_where_a_statement_begins_that_it_cannot_hold() {
    let text = "model {\n  h1 dense 8 # one\ntrain 5 epochs { loss mse }\narm a {\n  at start {\n    stop\n  at end stop\n}\nat start stop\n";
    let (schedule, found) = read(text);
    let places: Vec<(&str, (usize, usize))> =
        found.iter().map(|d| (d.code, schedule.sources.line_column(d.span()))).collect();
    assert_eq!(places, [("G0002", (1, 7)), ("G0002", (5, 12))]);
    assert_eq!(schedule.sources.line_column(found[0].labels[1].span), (3, 1));
    assert_eq!(schedule.model.expect("a model").body.len(), 1);
    assert_eq!(schedule.train.expect("a section").body.len(), 1);
    assert_eq!(schedule.arms[0].events.len(), 2);
    assert_eq!(schedule.events.len(), 1);
}

#[test]
fn names_take_the_values_of_set_of_an_arm_and_of_the_file_in_that_order() {
    let text = "let width = 8\nlet pause = 5 epochs\nat $pause widen h2 to $width\nat epoch $width..9 stop\narm a { let width = 9; every $pause widen h2 to $width }";
    let text = text.replace("at epoch $width..9 stop", "during epoch $width..9 freeze h1");
    let (mut schedule, found) = syntax::parse("t.grow", &text);
    assert_eq!(found, vec![]);
    let set = [("width".to_string(), "1_6".to_string()), ("pause".to_string(), "10%".to_string())];
    assert_eq!(syntax::set(&mut schedule, &set), vec![]);
    assert_eq!(syntax::resolve(&mut schedule), vec![]);
    assert_eq!(show(&schedule.events[0].trigger.head), "%0.1");
    assert_eq!(show(&schedule.events[0].actions[0].atoms), "widen h2 to 16");
    assert_eq!(show(&schedule.events[1].trigger.head), "epoch 16..9");
    assert_eq!(show(&schedule.arms[0].events[0].actions[0].atoms), "widen h2 to 9");
    assert_eq!(schedule.sources.slice(schedule.events[0].actions[0].atoms[3].span), "$width");
    let lets = syntax::lets_as_text(&schedule);
    assert_eq!(lets, [("width".into(), "1_6".into()), ("pause".into(), "10%".into())]);
}

#[test]
fn a_wrong_set_is_reported_in_a_source_of_its_own() {
    let cases = [
        ("widht", "8", "G0010", "8", "did you mean `width`?"),
        ("width", "", "G0014", "", "write `--set width=256`"),
        (
            "width",
            "$x",
            "G0014",
            "$x",
            "write one value, such as `let width = 256`, `95%`, `2x`, `relu`, `\"text\"` or `5 epochs`",
        ),
        ("width", "a/b", "G0013", "a/b", "write it in quotes: `\"a/b\"`"),
        (
            "width",
            "1 2",
            "G0014",
            "2",
            "write one value, such as `let width = 256`, `95%`, `2x`, `relu`, `\"text\"` or `5 epochs`",
        ),
    ];
    for (name, value, code, place, help) in cases {
        let (mut schedule, _) = syntax::parse("t.grow", "let width = 8\nseed $width");
        let mut found = syntax::set(&mut schedule, &[(name.into(), value.into())]);
        found.extend(syntax::resolve(&mut schedule));
        assert_eq!(found.len(), 1, "{name}={value}: {found:?}");
        assert_eq!((found[0].code, schedule.sources.slice(found[0].span())), (code, place));
        assert_eq!(found[0].help.as_deref(), Some(help));
        assert_eq!(schedule.sources.0[1].name, format!("<--set {name}>"));
    }
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> (Schedule, Vec<Diagnostic>) {
    let world: &dyn World = &Real::default();
    syntax::load(world, &folder.path().join("a.grow")).expect("the file is there")
}

#[test]
fn includes_stand_in_place_and_relative_to_their_file() {
    let folder = folder(&[
        ("a.grow", b"at epoch 1 stop\ninclude \"sub/b.grow\"\nat epoch 4 stop"),
        ("sub/b.grow", b"at epoch 2 stop\ninclude \"../c.grow\"\nlet unused = 1"),
        ("c.grow", b"at epoch 3 stop"),
    ]);
    let (mut schedule, found) = load(&folder);
    assert_eq!(found, vec![]);
    let times: Vec<String> = schedule.events.iter().map(|event| show(&event.trigger.head)).collect();
    assert_eq!(times, ["epoch 1", "epoch 2", "epoch 3", "epoch 4"]);
    assert_eq!(schedule.sources.0.len(), 3);
    assert_eq!(syntax::resolve(&mut schedule), vec![], "what an included file defines may be unused");
}

#[test]
fn an_include_that_cannot_be_followed_says_why() {
    let cases: [(&str, &str); 5] = [
        ("missing.grow", "there is no such file"),
        ("../a.grow", "it lies outside of the schedule's folder"),
        ("/etc/hosts", "it lies outside of the schedule's folder"),
        ("sub/../../x.grow", "it lies outside of the schedule's folder"),
        ("a.grow", "it includes this file"),
    ];
    for (path, reason) in cases {
        let folder = folder(&[("a.grow", format!("include \"{path}\"").as_bytes())]);
        let (schedule, found) = load(&folder);
        assert_eq!(found.len(), 1, "{path}: {found:?}");
        assert_eq!(found[0].code, "G0009");
        assert_eq!(found[0].message, format!("cannot include `{path}`: {reason}"));
        assert_eq!(schedule.sources.slice(found[0].span()), format!("\"{path}\""));
    }
}

#[test]
fn a_twin_through_an_include_shows_both_places() {
    let folder =
        folder(&[("a.grow", b"let w = 1\ninclude \"b.grow\"\ndata digits"), ("b.grow", b"let w = 2\ndata moons")]);
    let (schedule, found) = load(&folder);
    let shown: Vec<(&str, u16, u16)> = found.iter().map(|d| (d.code, d.span().file, d.labels[1].span.file)).collect();
    assert_eq!(shown, [("G0006", 0, 1), ("G0006", 1, 0)]);
    assert_eq!(schedule.sources.slice(found[1].labels[1].span), "w");
}

#[test]
fn includes_are_neither_deep_nor_many() {
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for i in 0..12 {
        let name = if i == 0 { "a.grow".to_string() } else { format!("{i}.grow") };
        // Each includes the next one twice: 2^12 files without a limit.
        let next = format!("include \"{0}.grow\"\ninclude \"{0}.grow\"\n", i + 1);
        files.push((name, next.into_bytes()));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    let (schedule, found) = load(&folder(&files));
    assert!(schedule.sources.0.len() <= 256);
    assert!(found.iter().all(|d| d.code == "G0009"));
    assert!(found.iter().any(|d| d.message.ends_with("includes stand at most 8 deep")), "{found:?}");
    assert!(found.iter().any(|d| d.message.ends_with("a schedule has at most 256 files")), "{found:?}");
}

#[test]
fn a_file_that_is_no_text_is_reported_at_its_byte() {
    let (schedule, found) = load(&folder(&[("a.grow", b"seed 1\nseed \xff\n")]));
    assert_eq!(found[0].code, "G0004");
    assert_eq!(found[0].message, "this file is not UTF-8 text: byte 12 is 0xff");
    assert_eq!(schedule.sources.slice(found[0].span()), "\u{fffd}");
    let (_, found) = load(&folder(&[("a.grow", b"\xff\xfes\0e\0")]));
    assert_eq!(found[0].help.as_deref(), Some("it looks like UTF-16; save it as UTF-8"));
    let (_, found) = load(&folder(&[("a.grow", &vec![b'#'; syntax::LIMIT_BYTES + 1])]));
    assert_eq!((found.len(), found[0].code), (1, "G0004"));
}

#[test]
fn the_world_keeps_its_own_errors() {
    let folder = folder(&[]);
    let world = Real::default();
    let missing = syntax::load(&world, &folder.path().join("a.grow")).expect_err("nothing is there");
    assert_eq!(missing.reason, "there is no such file");
    let directory = syntax::load(&world, folder.path()).expect_err("a folder");
    assert_eq!(directory.reason, "it is a folder, not a file");
}

#[test]
fn lexemes_cover_everything_but_blanks() {
    for text in [EXAMPLE, FORMS, "\"open\nx ☃ }{ 5.. .5 $a $", ""] {
        let pieces = syntax::lexemes(text);
        let mut at = 0;
        for (range, _) in &pieces {
            assert_eq!(text[at..range.start].trim(), "", "{text:?}");
            assert!(range.end > range.start);
            at = range.end;
        }
        assert_eq!(text[at..].trim(), "");
    }
    let kinds: Vec<Lexeme> = syntax::lexemes("at end save \"at\" 2x # at").into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, [Lexeme::Keyword, Lexeme::Word, Lexeme::Word, Lexeme::Text, Lexeme::Number, Lexeme::Comment]);
}

/// A generator that needs no crate: the numbers only have to be spread out.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// Pieces of the grammar, and what people and programs put between them.
const TOKENS: &[&str] = &[
    "at",
    "every",
    "during",
    "when",
    "epoch",
    "epochs",
    "steps",
    "start",
    "end",
    "from",
    "until",
    "most",
    "times",
    "cooldown",
    "plateaus",
    "for",
    "delta",
    "and",
    "or",
    "let",
    "include",
    "arm",
    "sweep",
    "in",
    "compare",
    "data",
    "model",
    "train",
    "grow",
    "seed",
    "experiment",
    "h1",
    "h1.w",
    "$x",
    "$",
    "5",
    "1e-3",
    "95%",
    "2x",
    "5..10",
    "h1..h3",
    "..",
    "\"a\"",
    "\"",
    "'",
    "{",
    "}",
    "{",
    "}",
    "[",
    "]",
    ",",
    ";",
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "#",
    "=",
    "==",
    "<",
    ">=",
    "\u{1}",
    "\u{2}",
    "\0",
    "\u{a0}",
    "“",
    "é",
    "\u{feff}",
    "-",
    ".",
    "1_",
    "1e",
    "1e999",
    "%",
];

fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let length = dice.roll(12).min(bytes.len() - at);
        match dice.roll(5) {
            0 => {
                bytes.splice(at..at + length, []);
            }
            1 => {
                let copy = bytes[at..at + length].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            2 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            _ => {
                let token = TOKENS[dice.roll(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What fuzzing asks of a schedule, too.
fn hold(text: &str) {
    let (schedule, found) = read(text);
    for label in found.iter().flat_map(|diagnostic| &diagnostic.labels) {
        schedule.sources.slice(label.span);
    }
    crate::fuzz_entries::hold(&schedule, &found);
    syntax::lexemes(text);
}

#[test]
fn mutated_schedules_never_panic_and_lose_nothing_in_silence() {
    // The whole 100,000 run with GROWRUN_FUZZ_CASES; a few thousand are enough to notice a slip.
    let cases = std::env::var("GROWRUN_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for case in 0..cases {
        let text = match case % 3 {
            0 => mutate(EXAMPLE, &mut dice),
            1 => mutate(FORMS, &mut dice),
            _ => (0..dice.roll(40))
                .map(|_| [TOKENS[dice.roll(TOKENS.len())], [" ", "", "\n"][dice.roll(3)]].concat())
                .collect(),
        };
        hold(&text);
    }
}

#[test]
fn extreme_files_take_linear_time() {
    let fill = |piece: &str| piece.repeat(syntax::LIMIT_BYTES / 4 / piece.len());
    let mut texts: Vec<(String, String)> = [
        "{",
        "}",
        "{\n",
        "}\n",
        "\"",
        "\"\n",
        "'",
        "„",
        "“",
        ";",
        "#",
        "a",
        "a ",
        "let ",
        "let\n",
        "at epoch 1 ",
        "a{b{c{}}}\n",
        "at epoch 1 {\n",
        "1..1",
        "a.",
        "-",
        "$",
        "[,",
        "\u{1}",
        "\u{a0}",
        "é\n",
        "\r",
    ]
    .iter()
    .map(|piece| (piece.to_string(), fill(piece)))
    .collect();
    texts.push(("and".into(), format!("when a > 1 {}stop", fill("and a > 1 "))));
    texts.push(("at most".into(), format!("when a > 1 {}stop", fill("at most 1 "))));
    texts.push(("arm".into(), format!("arm a {{\n{}", fill("at epoch 1 {\n"))));
    texts.push(("list".into(), format!("let a = 1\nsweep a in [{}1]", fill("1, "))));
    texts.push(("200k braces".into(), "{".repeat(200_000)));
    for (name, text) in texts {
        let start = Instant::now();
        let (_, found) = read(&text);
        // Quadratic work on 256 KiB would be minutes; linear work in a slow build on a busy machine is below one second.
        assert!(start.elapsed() < Duration::from_secs(8), "{name:?} took {:?}", start.elapsed());
        assert!(found.len() <= 2 * syntax::MISTAKES + 2, "{name:?}: {}", found.len());
        assert!(found.iter().all(|d| d.message.len() < 400), "{name:?}");
    }
}

#[test]
fn ten_thousand_events_are_read() {
    let text: String = (1..=10_000).map(|n| format!("at epoch {n} widen h2 to {} eps 1e-3\n", n + 32)).collect();
    let start = Instant::now();
    let (schedule, found) = read(&text);
    assert_eq!((schedule.events.len(), found.len()), (10_000, 0));
    // A release build on an idle machine takes some 40 ms; this bound only catches work that grows with the square.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// The fenced block under a heading of a page.
fn block<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n\n```grow\n")).expect("a block under the heading");
    rest.split_once("\n```\n").expect("the block ends").0
}

#[test]
fn the_pages_of_these_codes_fail_and_are_repaired_as_they_say() {
    for (code, title) in syntax::CODES {
        let path = format!("{}/docs/errors/{code}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(page.lines().next(), Some(format!("# {code}: {title}").as_str()));
        let (_, found) = read(block(&page, "Fails"));
        assert!(found.iter().any(|d| d.code == *code), "{code}: {found:?}");
        let (_, found) = read(block(&page, "Repaired"));
        assert_eq!(found, vec![], "{code}");
    }
}

#[test]
fn the_blocks_of_the_reference_read_without_a_mistake() {
    let path = format!("{}/docs/LANGUAGE.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let blocks: Vec<&str> = page.split("```grow\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "the reference shows what it says");
    for block in blocks {
        let (_, found) = read(block);
        assert_eq!(found, vec![], "{block}");
    }
}
