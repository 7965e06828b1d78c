//! Long random schedules: no panic, no broken wiring, and every promise kept at every step.

use super::promises::{carry_out, examples};
use super::*;
use growrun::base::rng::{Purpose, Row, Stream};
use growrun::grow::{Probe, Promise};
use growrun::nn::Feature;

fn pick<'a, T: ?Sized>(draws: &mut Row<'_>, among: &[&'a T]) -> &'a T {
    among[(draws.bits() % among.len() as u64) as usize]
}

/// A phrase with names that are there, mostly.
fn random_phrase(draws: &mut Row<'_>, net: &Architecture) -> (&'static str, Vec<(&'static str, String)>) {
    let mut names = net.names();
    names.extend(["h1", "nobody"]);
    let name = pick(draws, &names).to_string();
    let mut target = name.clone();
    match draws.bits() % 6 {
        0 => target = "all".into(),
        1 => target = format!("{name}..{}", pick(draws, &names)),
        _ => {}
    }
    let activations = Activation::words();
    let sometimes = |draws: &mut Row<'_>| draws.bits().is_multiple_of(3);
    let word = pick(
        draws,
        &["widen", "narrow", "insert identity", "insert dense", "remove", "duplicate", "stack", "freeze", "unfreeze"],
    );
    let mut arguments: Vec<(&'static str, String)> = Vec::new();
    let size = (1 + draws.bits() % 24).to_string();
    match word {
        "widen" => {
            arguments.push(("target", target));
            arguments.push(match draws.bits() % 4 {
                0 => ("by", "1.5x".into()),
                1 => ("by", (draws.bits() % 5).to_string()),
                2 => ("kernel", size),
                _ => ("to", size),
            });
            let options: [(&'static str, &[&str]); 4] = [
                ("method", &["pad", "split", "split", "mirror", "gradmax", "random"]),
                ("eps", &["0", "0.01", "1"]),
                ("fan_in", &["0", "1", "2"]),
                ("moments", &["carry", "zero"]),
            ];
            for (option, values) in options {
                if sometimes(draws) {
                    arguments.push((option, pick(draws, values).into()));
                }
            }
        }
        "narrow" => arguments.extend([("target", target), ("to", size)]),
        "insert identity" => {
            arguments.push((pick(draws, &["after", "before"]), name));
            if sometimes(draws) {
                arguments.push(("activation", pick(draws, &activations).into()));
            }
            if sometimes(draws) {
                arguments.push(("method", pick(draws, &["identity", "shift", "mirror", "gate", "parametric"]).into()));
            }
        }
        "insert dense" => arguments.extend([("width", size), ("after", name)]),
        "remove" => arguments.push(("name", name)),
        "duplicate" => arguments.extend([("name", name), ("as", format!("copy{size}"))]),
        "stack" => arguments.extend([("block", name), ("times", "2x".into())]),
        _ => arguments.push(("target", target)),
    }
    if word.starts_with("insert dense") || word == "remove" {
        arguments.push(("accept", String::new()));
    }
    (word, arguments)
}

/// Every layer reads what the one before it writes, blocks close on their skip, and no name stands twice.
fn check_wiring(net: &Architecture, what: &str) {
    let mut flowing = net.input;
    let follow = |layer: &Layer, flowing: &mut Feature| {
        assert_eq!(layer.input, *flowing, "`{}` after {what}", layer.name);
        *flowing = layer.output;
    };
    for layer in &net.layers {
        let mut inner = flowing;
        layer.block.iter().for_each(|layer| follow(layer, &mut inner));
        follow(layer, &mut flowing);
        assert!(layer.block.is_empty() || inner == layer.output, "the skip of `{}` after {what}", layer.name);
    }
    let mut names = net.names();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?} after {what}");
    for shape in net.parameters() {
        assert!(shape.extents(net).iter().all(|&extent| extent > 0), "{} after {what}", shape.name);
    }
}

#[test]
fn random_schedules_never_break_the_wiring() {
    let mut planned = 0;
    for schedule in 0..150 {
        let mut stream = Stream::new(schedule, Purpose::Data, "schedule", 0);
        let mut draws = stream.row(0);
        let activation = Activation::ALL[(schedule % 10) as usize];
        let mut net = match schedule % 4 {
            0 => super::plans::residual(),
            2 => usual(activation),
            _ => some_images(schedule / 2),
        };
        for _ in 0..25 {
            let (word, arguments) = random_phrase(&mut draws, &net);
            let borrowed: Vec<(&'static str, &str)> = arguments.iter().map(|(n, v)| (*n, v.as_str())).collect();
            if let Ok(plan) = plan(&net, word, &borrowed) {
                check_wiring(&plan.after, &format!("{word} {arguments:?} in schedule {schedule}"));
                net = plan.after;
                planned += 1;
            }
        }
    }
    assert!(planned > 1000, "most phrases are to be sensible, {planned} were");
}

/// Chains, blocks, streams and norms in turn.
fn some_network(schedule: u64) -> Architecture {
    let activation = Activation::ALL[(schedule % 10) as usize];
    match schedule % 4 {
        0 => usual(activation),
        1 => super::plans::residual(),
        turn => {
            let place = &lab::PLACES[(schedule / 4) as usize % lab::PLACES.len()];
            let norm = if turn == 2 { None } else { lab::NORMS[(schedule / 12) as usize % lab::NORMS.len()].1 };
            (place.build)(9, &Settings { activation, norm, ..Settings::default() })
        }
    }
}

/// Every place for images in turn, behind every activation, with a batch norm every third time.
fn some_images(schedule: u64) -> Architecture {
    let place = &lab::IMAGE_PLACES[schedule as usize % lab::IMAGE_PLACES.len()];
    let activation = Activation::ALL[(schedule / 5) as usize % 10];
    let norm = schedule.is_multiple_of(3).then_some(Norm::Batch);
    (place.build)(5, &Settings { activation, norm, ..Settings::default() })
}

#[test]
fn random_schedules_keep_every_promise() {
    let kept = keep_every_promise(400, some_network);
    assert!(kept > 100, "most phrases are to be sensible, {kept} were");
}

#[test]
fn random_schedules_keep_every_promise_for_images() {
    let kept = keep_every_promise(200, some_images);
    assert!(kept > 100, "most phrases are to be sensible, {kept} were");
}

/// How many promises were given in so many schedules; all are kept.
fn keep_every_promise(schedules: u64, begin: fn(u64) -> Architecture) -> usize {
    let mut kept = 0;
    for schedule in 0..schedules {
        let mut stream = Stream::new(schedule, Purpose::Data, "run", 0);
        let mut draws = stream.row(0);
        let mut net = begin(schedule);
        let mut network = lab::network::<f32>(&net);
        let x = examples(20, network.inputs(), "x");
        for turn in 0..15 {
            // At rate 0, so that the optimiser has a state that must come along and values stay as they are.
            lab::train(&mut network, lab::ADAM, 0.0, turn..turn + 1);
            let (word, arguments) = random_phrase(&mut draws, &net);
            let borrowed: Vec<(&'static str, &str)> = arguments.iter().map(|(n, v)| (*n, v.as_str())).collect();
            let Ok(plan) = plan(&net, word, &borrowed) else { continue };
            let probe = Probe::before(&mut network, x.view(), &plan);
            carry_out(&plan, &mut network);
            let measured = probe.after(&mut network, x.view(), &plan);
            let what = format!("{word} {arguments:?} in schedule {schedule}: {measured:?}");
            assert!(measured.verdict.held, "{what}");
            if plan.promise == Promise::Bitwise {
                assert_eq!(measured.drift, 0.0, "{what}");
            }
            net = plan.after;
            kept += usize::from(plan.promise != Promise::None);
        }
    }
    println!("{kept} kept");
    kept
}
