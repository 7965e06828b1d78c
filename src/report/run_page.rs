//! The page of a run.

use super::chart::{Chart, Series};
use super::course::{Along, Course};
use super::markup::{Markup, cut};
use super::page::{banner, card, commands, facts, footer, grid, page, quoted, section, table};
use super::scale::Unit;
use super::subject::{Headline, Run, what};
use super::{events, network, schedule, sketch, timeline};
use crate::base::numbers;
use crate::base::numbers::{count, plural};
use crate::record::schema::{self, DataFile, Record, Resolved};

const GROWTH_NOTE: &str = "\
    Each event promises what it does to the network's output, and is measured against that on real examples: \
    bitwise (the same bits), rounding (the same but for the order of sums), bounded (off by at most the \
    bound), none. Drift is the largest change of an output; shock is how far the loss rose after the event.";
const REPLAY_NOTE: &str = "\
    The record holds the schedule, every setting and the digests of the data. With the same numerics it \
    gives the same bits on any machine, with any number of threads. In the folder of the run:";
const MARKS_NOTE: &str = "\
    Numbered lines are the growth events, told below. Point at one, or at a point, to see its numbers.";
const RUNNING: &str = "\
    The record says that this run is going on, or it was killed. What is here is what it had saved.";
const DIVERGED: &str = "\
    The loss, a gradient or a weight stopped being a finite number, and training ended there.";
const INTERRUPTED: &str = "\
    A signal ended it with its work saved; `growrun resume` goes on with it.";
const CHANGED: &str = "\
    run.yaml is not as growrun wrote it: the digest in its last line does not fit.";
const DAMAGED: &str = "\
    metrics.jsonl had been changed or lost lines when the run was gone on with.";
/// Drawings before and after so many events; then it is said how many there are not.
const DRAWN_MAX: usize = 12;
/// Charts of metrics beside the loss.
const METRICS_MAX: usize = 3;
const CLASSES_MAX: usize = 24;

/// The whole page.
pub fn html(run: &Run) -> String {
    let record = &run.record;
    page(&format!("{} – growrun report", record.name), |m| {
        m.tag("header", &[], |m| {
            let seed =
                format!("run {} · seed {} · {}", cut(&run.label, 80), record.seed, numbers::date(record.host.started));
            m.leaf("p", &[("class", "kicker")], &seed);
            m.leaf("h1", &[], &cut(&record.name, 200));
            m.leaf("p", &[("class", "lead")], &sentence(run));
            status(m, run);
            cards(m, run);
        });
        m.tag("main", &[], |m| {
            section(m, "course", "Course of training", |m| course(m, run));
            growth(m, run, "Growth");
            section(m, "schedule", "The schedule", |m| schedule::listing(m, &record.schedule));
            section(m, "setup", "Everything that was set", |m| setup(m, record));
            confusion(m, record);
            section(m, "replay", "Train it again", |m| replay(m, run));
        });
        footer(m, &record.growrun);
    })
}

/// The result in one sentence.
pub fn sentence(run: &Run) -> String {
    let step = run.last_step();
    let when = format!("{} ({} epochs)", plural(step, "step"), events::epoch(run.epochs(step)));
    let size = match (run.first_parameters(), run.last_parameters()) {
        (Some(first), Some(last)) if first != last => format!(
            "the network had gone from {} to {} parameters in {}",
            count(first),
            count(last),
            plural(run.event_count(), "growth event")
        ),
        (_, Some(last)) => format!("the network had {} parameters", count(last)),
        _ => "the network had not grown yet".into(),
    };
    let metric = match run.headline() {
        Some(Headline { name, value: Some(value), best }) => {
            let value_word = numbers::metric(&name, value);
            let best =
                best.map(|(best, step)| (numbers::metric(&name, best), step)).filter(|(best, _)| *best != value_word);
            let best = best.map_or_else(String::new, |(best, step)| format!(" (best: {best} at step {step})"));
            format!(", and {} was {value_word}{best}", cut(&name, 60))
        }
        _ => String::new(),
    };
    format!("After {when} {size}{metric}.").replace(" %", "\u{a0}%")
}

/// What is not as it should be.
fn status(m: &mut Markup, run: &Run) {
    let record = &run.record;
    let reason = record.reason.as_deref().unwrap_or("no reason was written down");
    match record.status.as_str() {
        "finished" | "stopped" => {}
        "running" => banner(m, "warn", "Not ended.", RUNNING),
        "failed" => banner(m, "bad", "Failed.", reason),
        "diverged" => banner(m, "bad", "Diverged.", DIVERGED),
        "interrupted" => banner(m, "warn", "Interrupted.", INTERRUPTED),
        other => banner(m, "warn", "Unknown end.", other),
    }
    let broken = run.broken_promises();
    if broken > 0 {
        let text =
            format!("{} did to the output what it had promised not to do.", plural(broken as u64, "growth event"));
        banner(m, "bad", "A promise was broken.", &text);
    }
    if !run.is_sealed {
        banner(m, "warn", "Changed by hand.", CHANGED);
    }
    if record.metrics_damaged {
        banner(m, "warn", "Lines are missing.", DAMAGED);
    }
    if let Some(trouble) = &run.course.trouble {
        banner(m, "warn", "metrics.jsonl:", trouble);
    }
    if let Some(parent) = &record.parent {
        let text = format!(
            "It began with the network of {} at step {}, checkpoint {}.",
            parent.run, parent.step, parent.checkpoint
        );
        banner(m, "plain", "Went on from another run.", &text);
    }
    if let Some(arm) = &record.arm {
        let steps = arm.steps.map_or_else(String::new, |steps| format!(", given {steps} steps"));
        let from = if arm.from_final { ", with fresh weights of another arm's final network" } else { "" };
        banner(m, "plain", "An arm of a comparison:", &format!("{}{steps}{from}.", arm.name));
    }
}

fn cards(m: &mut Markup, run: &Run) {
    let record = &run.record;
    m.tag("dl", &[("class", "cards")], |m| {
        if let Some(Headline { name, value: Some(value), best }) = run.headline() {
            let best = best.map_or_else(String::new, |(best, _)| format!("best {}", numbers::metric(&name, best)));
            card(m, &cut(&name, 40), &numbers::metric(&name, value), &best);
        }
        if let Some(last) = run.last_parameters() {
            let from = run
                .first_parameters()
                .filter(|first| *first != last)
                .map_or_else(String::new, |first| format!("from {}", count(first)));
            card(m, "parameters", &count(last), &from);
        }
        let broken = run.broken_promises();
        let promises = match (run.event_count(), broken) {
            (0, _) => "it never grew".to_string(),
            (_, 0) => "every promise kept".into(),
            _ => format!("{broken} broke a promise"),
        };
        card(m, "growth events", &run.event_count().to_string(), &promises);
        if let Some(result) = &record.result {
            card(m, "compute", &numbers::flops(result.flops as f64), &plural(result.step, "step"));
            let expected =
                result.expected_seconds.map_or_else(String::new, |s| format!("expected {}", numbers::seconds(s)));
            card(m, "time", &numbers::seconds(result.seconds), &expected);
        }
        card(
            m,
            "data",
            &cut(&record.data.source, 24),
            &format!("{} examples", count(record.data.train_examples as u64)),
        );
    });
}

/// The word of a metric without the part that it is of.
fn word(name: &str) -> &str {
    ["val_", "train_", "test_"].iter().find_map(|part| name.strip_prefix(part)).unwrap_or(name)
}

/// One chart of all metrics of a word: `val_accuracy`, `test_accuracy`.
pub fn chart(course: &Course, run: &Run, wanted: &str, along: Along) -> Option<Markup> {
    let of_word = course.metrics.iter().filter(|(name, _)| word(name) == wanted);
    let mut series: Vec<Series> = of_word
        .map(|(name, _)| {
            let kind = ["val_", "train_", "test_"].iter().position(|part| name.starts_with(part)).unwrap_or(3);
            Series { name: name.clone(), points: course.points(name, along), band: Vec::new(), kind, faint: false }
        })
        .filter(|one| !one.points.is_empty())
        .collect();
    series.sort_by_key(|one| one.kind);
    if wanted == "loss" && along == Along::Steps && !course.batches.is_empty() {
        let points = course.batches.iter().copied().filter(|point| point.1.is_finite()).collect();
        series.insert(0, Series { name: "batch_loss".into(), points, band: Vec::new(), kind: 4, faint: true });
    }
    let shown = cut(wanted, 40);
    let (against, x) = match along {
        Along::Steps => ("steps", ("steps".to_string(), Unit::Count)),
        Along::Flops => ("FLOPs", ("training operations".to_string(), Unit::Flops)),
    };
    let grown = match run.record.events.len() {
        0 => "",
        _ => " Numbered lines mark the growth events.",
    };
    Chart {
        id: format!(
            "{}-{}",
            if wanted == "loss" { "loss" } else { "metric" },
            if along == Along::Steps { "steps" } else { "flops" }
        ) + &course
            .metrics
            .iter()
            .position(|(name, _)| word(name) == wanted)
            .map_or_else(String::new, |at| format!("-{at}")),
        title: format!("{shown} against {against}"),
        about: format!("{shown} at each evaluation, along {}.{grown}", x.0),
        x,
        y: (shown.clone(), Unit::of_metric(wanted)),
        may_be_log: wanted.ends_with("loss") || wanted.ends_with("accuracy"),
        spans_decades: false,
        series,
        marks: events::marks(run, along),
    }
    .svg()
}

/// The words of what was measured, the loss last of all.
pub fn words(course: &Course) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    for (name, _) in &course.metrics {
        let word = word(name);
        if word != "loss" && !words.contains(&word) {
            words.push(word);
        }
    }
    words.truncate(METRICS_MAX);
    words.push("loss");
    words
}

fn course(m: &mut Markup, run: &Run) {
    let both = words(&run.course).into_iter().flat_map(|word| [Along::Steps, Along::Flops].map(|along| (word, along)));
    let mut figures: Vec<Option<Markup>> = both.map(|(word, along)| chart(&run.course, run, word, along)).collect();
    figures.push(strata(run));
    figures.push(rate(run));
    match figures.iter().any(Option::is_some) {
        true => grid(m, figures),
        false => m.leaf("p", &[("class", "note")], "Nothing was measured on the way that could be drawn."),
    }
    if !run.record.events.is_empty() {
        m.leaf("p", &[("class", "note")], MARKS_NOTE);
    }
}

/// Width × depth over time.
pub fn strata(run: &Run) -> Option<Markup> {
    timeline::svg("strata", &run.phases(), run.last_step(), &events::marks(run, Along::Steps))
}

fn rate(run: &Run) -> Option<Markup> {
    let points = run.course.learning_rate();
    Chart {
        id: "rate".into(),
        title: "learning rate against steps".into(),
        about: "The learning rate at each evaluation.".into(),
        x: ("steps".into(), Unit::Count),
        y: ("learning rate".into(), Unit::Plain),
        may_be_log: false,
        spans_decades: false,
        series: vec![Series { name: "learning rate".into(), points, band: Vec::new(), kind: 4, faint: false }],
        marks: events::marks(run, Along::Steps),
    }
    .svg()
}

/// Events as a table and as drawings; without events the one network that there was.
pub fn growth(m: &mut Markup, run: &Run, title: &str) {
    let record = &run.record;
    if record.events.is_empty() {
        let network = record
            .result
            .as_ref()
            .map_or_else(|| run.beginning(), |result| Some(sketch::of(&result.model, &record.data)));
        let Some(network) = network else { return };
        section(m, "growth", "The network", |m| {
            let drawing = network::draw(
                "network",
                "The network",
                &network,
                None,
                network::Side::After,
                network::widest(&network),
            );
            m.tag("figure", &[("class", "drawing")], |m| m.add(&drawing));
        });
        return;
    }
    section(m, "growth", title, |m| {
        m.leaf("p", &[], GROWTH_NOTE);
        events_table(m, run);
        drawings(m, run);
    });
}

fn events_table(m: &mut Markup, run: &Run) {
    let events = &run.record.events;
    let head = ["", "step", "what", "promise", "drift", "kept", "shock", "gradient, fresh / old", "parameters"];
    table(m, "growth events", &head, |m| {
        for (at, event) in events.iter().take(events::ROWS_MAX).enumerate() {
            let (what, why) = what(event);
            m.tag("tr", &[], |m| {
                m.tag("td", &[], |m| m.leaf("span", &[("class", "badge-cell")], &(at + 1).to_string()));
                m.tag("td", &[("class", "n")], |m| {
                    m.text(&event.step.to_string());
                    m.leaf("small", &[("class", "tight")], &format!("epoch {}", events::epoch(event.epoch)));
                });
                m.tag("td", &[], |m| {
                    m.text(&cut(&what, 200));
                    // A kernel grows in one way only.
                    let method = match event.method.as_str() {
                        "" => String::new(),
                        method => format!("method {}", cut(method, 40)),
                    };
                    m.leaf("small", &[], &why.map_or(method, |why| cut(&why, 300)));
                });
                m.tag("td", &[], |m| {
                    m.text(&events::promise(event));
                    m.leaf("small", &[], &cut(&event.rule, 300));
                });
                m.leaf("td", &[("class", "n")], &numbers::tiny(event.drift));
                match event.held {
                    true => m.leaf("td", &[("class", "good")], "✓ yes"),
                    false => m.leaf("td", &[("class", "wrong")], "× no"),
                }
                m.leaf("td", &[], &events::shock(event));
                m.leaf("td", &[("class", "n")], &events::gradients(event));
                m.leaf("td", &[("class", "n")], &events::parameters(event));
            });
        }
    });
    let hidden = run.event_count().saturating_sub(events.len().min(events::ROWS_MAX) as u64);
    if hidden > 0 {
        m.leaf(
            "p",
            &[("class", "note")],
            &format!("{hidden} more events are not shown; run.yaml has the first thousand."),
        );
    }
}

fn drawings(m: &mut Markup, run: &Run) {
    let count = run.record.events.len();
    let widest = run.widest();
    m.leaf("h3", &[], "Before and after");
    m.tag("p", &[("class", "note")], |m| {
        m.text("A bar is a layer, as high as the root of its units; ");
        m.leaf("span", &[("class", "key fresh-key")], "");
        m.text(" is fresh. A dashed frame is a residual block with its skip. Of images the units are channels; below stand kernel and size.");
    });
    for at in 0..count.min(DRAWN_MAX) {
        let event = &run.record.events[at];
        let (before, after) = run.around(at);
        m.tag("figure", &[("class", "step")], |m| {
            m.tag("figcaption", &[], |m| {
                m.leaf("span", &[("class", "badge-cell")], &(at + 1).to_string());
                m.text(&format!(" {} ", cut(&what(event).0, 200)));
                let when = format!("step {} · {}", event.step, events::parameters(event));
                m.leaf("span", &[("class", "when")], &format!("{when} parameters"));
            });
            m.tag("div", &[("class", "pair")], |m| {
                let mut draw = |side, layers: Option<&[sketch::Drawn]>, other: Option<&[sketch::Drawn]>| {
                    let (id, word) = match side {
                        network::Side::Before => (format!("before-{at}"), "before"),
                        network::Side::After => (format!("after-{at}"), "after"),
                    };
                    m.tag("div", &[], |m| match layers {
                        Some(layers) => {
                            let title = format!("The network {word} event {}", at + 1);
                            m.add(&network::draw(&id, &title, layers, other, side, widest));
                            m.leaf("p", &[("class", "side")], word);
                        }
                        None => {
                            m.leaf("p", &[("class", "note")], &format!("The network {word} it is not in this record."))
                        }
                    });
                };
                draw(network::Side::Before, before.as_deref(), after.as_deref());
                draw(network::Side::After, after.as_deref(), before.as_deref());
            });
        });
    }
    if count > DRAWN_MAX {
        let more = format!("{} more events are not drawn; the figure of width × depth has them.", count - DRAWN_MAX);
        m.leaf("p", &[("class", "note")], &more);
    }
}

/// `64-32-32-10`, of images `1@28×28-8@28×28-…`
pub fn shape(record: &Record) -> String {
    let layers = sketch::of(&record.resolved.model, &record.data);
    let own = |layer: &sketch::Drawn| {
        layer.area_told().map_or_else(|| layer.width.to_string(), |area| format!("{}@{area}", layer.width))
    };
    let part = |layer: &sketch::Drawn| match layer.block.is_empty() {
        true => own(layer),
        false => format!("({})", layer.block.iter().map(own).collect::<Vec<_>>().join("-")),
    };
    let shown: Vec<String> = layers.iter().take(60).map(part).collect();
    shown.join("-") + if layers.len() > 60 { "-…" } else { "" }
}

fn arguments(all: &std::collections::BTreeMap<String, String>) -> String {
    all.iter().take(40).map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// What was trained with, names and values.
pub fn training(resolved: &Resolved) -> Vec<(&'static str, String)> {
    let every = |steps: Option<u64>| steps.map_or_else(String::new, |steps| format!("every {}", plural(steps, "step")));
    let yes = |flag: bool| if flag { "yes" } else { "no" }.to_string();
    vec![
        ("steps", format!("{} ({} an epoch)", resolved.steps, resolved.steps_per_epoch)),
        ("batch", resolved.batch.to_string()),
        ("optimizer", format!("{} {}", resolved.optimizer, arguments(&resolved.optimizer_arguments))),
        ("learning rate", resolved.lr.clone()),
        ("warmup", plural(resolved.warmup_steps, "step")),
        ("loss", format!("{} {}", resolved.loss, arguments(&resolved.loss_arguments))),
        ("metrics", resolved.metrics.join(", ")),
        ("class weights", resolved.class_weights.clone()),
        ("shuffled", yes(resolved.shuffle)),
        ("last batch dropped", yes(resolved.drop_last)),
        ("evaluated", every(resolved.evaluate_every_steps)),
        ("stop when", resolved.stop_when.clone().unwrap_or_default()),
        ("keep best", resolved.keep_best.clone().unwrap_or_default()),
        ("checkpoints", every(resolved.checkpoint_every_steps)),
        ("on divergence", resolved.on_divergence.clone()),
    ]
}

/// Where it learned from.
pub fn data(record: &Record) -> Vec<(&'static str, String)> {
    let data = &record.data;
    let area = data.area.map_or_else(String::new, |(rows, columns)| format!(", images of {rows}×{columns}"));
    let told = |files: &[DataFile]| {
        let one = |file: &DataFile| {
            format!("{} ({}, sha256 {})", cut(&file.name, 80), numbers::bytes(file.bytes), file.sha256)
        };
        files.iter().take(20).map(one).collect::<Vec<_>>().join("; ")
    };
    vec![
        ("source", format!("{} {}", data.source, arguments(&data.arguments))),
        ("task", data.task.clone()),
        (
            "examples",
            format!("{} train, {} validation, {} test", data.train_examples, data.val_examples, data.test_examples),
        ),
        ("inputs and outputs", format!("{} → {}{area}", data.inputs, data.outputs)),
        ("split", record.resolved.split.clone()),
        ("normalised", record.resolved.normalize.clone()),
        ("size", numbers::bytes(data.bytes)),
        ("digest", data.digest.clone()),
        ("files", told(&data.files)),
        ("given weights", told(&record.weights)),
    ]
}

/// Where it ran.
pub fn machine(record: &Record) -> Vec<(&'static str, String)> {
    let host = record.resumed.last().map_or(&record.host, |last| &last.host);
    let resumed = match record.resumed.len() {
        0 => String::new(),
        times => plural(times as u64, "time"),
    };
    vec![
        ("processor", host.cpu.clone()),
        ("system", host.os.clone()),
        ("threads", host.threads.to_string()),
        ("instructions", host.simd.clone()),
        ("sandbox", host.sandbox.clone()),
        ("resumed", resumed),
    ]
}

pub fn setup(m: &mut Markup, record: &Record) {
    // As the schedule says it: `conv kernel 3 stride 2`, `pool max 2`.
    let kind = |layer: &schema::Layer| {
        let mut kind = cut(&layer.kind, 20);
        let sizes = [("kernel", layer.kernel), ("stride", layer.stride.filter(|stride| *stride > 1))];
        for (word, size) in sizes.into_iter().filter_map(|(word, size)| Some((word, size?))) {
            kind.push_str(&format!(" {word} {size}"));
        }
        if let Some(pad) = layer.pad.as_ref().filter(|pad| *pad != "same") {
            kind.push_str(&format!(" pad {}", cut(pad, 20)));
        }
        if let Some(pool) = &layer.pool {
            kind.push_str(&format!(" {}", cut(pool, 20)));
        }
        kind + if layer.project { " project" } else { "" }
    };
    let resolved = &record.resolved;
    m.tag("div", &[("class", "columns")], |m| {
        facts(m, "Data", &data(record));
        facts(m, "Training", &training(resolved));
        facts(m, "Machine (changes no result)", &machine(record));
    });
    let head = ["layer", "kind", "units", "activation", "norm", "bias", "dropout", "initialised"];
    m.leaf("h3", &[], "Layers before the first step");
    table(m, "layers before the first step", &head, |m| {
        for layer in resolved.model.layers.iter().take(100) {
            let name = layer.inside.as_ref().map_or_else(String::new, |block| format!("{} / ", cut(block, 40)));
            let mut cells = vec![name + &cut(&layer.name, 60), kind(layer), layer.width.to_string()];
            let nothing = || "–".to_string();
            match layer.pool {
                // It has no weight and no activation of its own.
                Some(_) => cells.extend(std::iter::repeat_with(nothing).take(head.len() - cells.len())),
                None => cells.extend([
                    cut(&layer.activation, 20) + if layer.parametric { " (learned)" } else { "" },
                    layer.norm.as_deref().map_or_else(nothing, |norm| cut(norm, 20)),
                    if layer.bias { "yes" } else { "no" }.into(),
                    numbers::short(layer.dropout),
                    cut(&layer.init, 20),
                ]),
            }
            m.tag("tr", &[], |m| cells.iter().for_each(|cell| m.leaf("td", &[], cell)));
        }
    });
    if resolved.events.is_empty() {
        return;
    }
    m.leaf("h3", &[], "Events as they were planned");
    table(m, "events as they were planned", &["when", "what"], |m| {
        for event in resolved.events.iter().take(100) {
            m.tag("tr", &[], |m| {
                m.leaf("td", &[], &cut(&event.trigger, 200));
                m.leaf("td", &[], &cut(&event.actions.join("; "), 400));
            });
        }
    });
}

/// Rows are true classes, columns what was said.
fn confusion(m: &mut Markup, record: &Record) {
    let Some(counts) = record.result.as_ref().and_then(|result| result.confusion.as_ref()) else { return };
    if counts.is_empty() || counts.len() > CLASSES_MAX || counts.iter().any(|row| row.len() != counts.len()) {
        return;
    }
    let name =
        |class: usize| record.data.class_names.get(class).map_or_else(|| class.to_string(), |name| cut(name, 16));
    let names: Vec<String> = (0..counts.len()).map(name).collect();
    section(m, "confusion", "Confusion at the last evaluation", |m| {
        let head: Vec<&str> = std::iter::once("true \\ said").chain(names.iter().map(String::as_str)).collect();
        table(m, "confusion matrix", &head, |m| {
            for (class, row) in counts.iter().enumerate() {
                m.tag("tr", &[], |m| {
                    m.leaf("th", &[("scope", "row")], &names[class]);
                    let most = row.iter().copied().max().unwrap_or(0).max(1);
                    for (said, n) in row.iter().enumerate() {
                        // Five shades are as many as can be told apart.
                        let shade = (*n as f64 / most as f64 * 4.0).ceil() as u8;
                        let class = format!("n {}{shade}", if said == class { "hit" } else { "miss" });
                        m.leaf("td", &[("class", &class)], &if *n == 0 { "·".into() } else { n.to_string() });
                    }
                });
            }
        });
    });
}

fn replay(m: &mut Markup, run: &Run) {
    let record = &run.record;
    m.leaf("p", &[], REPLAY_NOTE);
    commands(
        m,
        &[
            ("growrun verify .".into(), "compares every file and the data with the record, in seconds"),
            ("growrun replay .".into(), "trains it again and compares every checkpoint, bit by bit"),
            ("growrun replay run.yaml".into(), "the same from the record alone"),
        ],
    );
    let command: Vec<String> =
        std::iter::once("growrun".to_string()).chain(record.command.iter().map(|word| quoted(word))).collect();
    m.leaf("p", &[], "It was made by this command; of its paths only the last part is told here:");
    commands(m, &[(command.join(" "), "")]);
    let weights = record.result.as_ref().map(|result| result.weights.clone().unwrap_or_else(|| "not finite".into()));
    facts(
        m,
        "Digests",
        &[
            ("final weights", weights.unwrap_or_default()),
            ("schedule", record.schedule_digest.clone()),
            ("data", record.data.digest.clone()),
            (
                "last checkpoint",
                record.checkpoints.last().map_or_else(String::new, |last| format!("{} ({})", last.digest, last.name)),
            ),
        ],
    );
}
