//! How long it takes to parse and check a schedule of 10,000 events, most of them growth: median of 20.
//!
//! `cargo bench --bench check`. Without a process around it; `growrun check` adds about 20 ms for the memory
//! that the system hands out and takes back.

use growrun::base::world::Real;
use growrun::check::{Request, check};
use growrun::{run, syntax};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

const EVENTS: usize = 10_000;

fn main() {
    let actions = ["widen h1 by 1 eps 1e-3", "freeze h2", "unfreeze h2", "set lr by 0.999x", "evaluate val"];
    let mut text = String::from(
        "data digits { batch 32 }\nmodel { h1 dense 16 relu; h2 dense 16 relu; out dense 10 }\n\
         train 20000 steps { optimizer adam lr 1e-3 }\n",
    );
    for step in 1..=EVENTS {
        text.push_str(&format!("at step {step} {}\n", actions[step % actions.len()]));
    }
    let (world, vocabulary, named) = (Real::default(), run::vocabulary(), BTreeMap::new());
    let mut milliseconds: Vec<f64> = (0..20)
        .map(|_| {
            let began = Instant::now();
            let (schedule, found) = syntax::parse("big.grow", &text);
            let request = Request::new(&world, &vocabulary, Path::new("."), &named);
            let checked = check(schedule, &request);
            assert!(found.is_empty() && checked.program.is_some(), "the schedule is good");
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "{EVENTS} events parsed and checked: median {:.1} ms, from {:.1} to {:.1}",
        milliseconds[10], milliseconds[0], milliseconds[19]
    );
}
