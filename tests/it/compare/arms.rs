//! What the arms are, and how much each may spend.

use super::*;

/// Operations of a step's example in a chain of dense layers, by hand: forward and backward are three passes, a
/// multiply-add is two operations.
fn per_example(widths: &[u64]) -> u64 {
    3 * widths.windows(2).map(|pair| 2 * pair[0] * pair[1]).sum::<u64>()
}

#[test]
fn standard_arms_spend_what_the_reference_spent() {
    let lab = Lab::new(SCHEDULE);
    let told = lab.compare(&["--seeds", "3"]);
    let names: Vec<String> = lab.comparison().arms.iter().map(|arm| arm.name.clone()).collect();
    assert_eq!(names, ["grown", "small", "large", "large_epochs", "grown_random", "large_rest"]);
    for seed in 3..6 {
        let grown = lab.record("grown", seed);
        assert_eq!((steps(&grown), grown.events.len()), (8 * EPOCH, 2), "{:?}", grown.reason);
        for (arm, matched) in [("small", true), ("large", true), ("large_epochs", false), ("grown_random", true)] {
            let other = lab.record(arm, seed);
            let off = (flops(&other) as f64 / flops(&grown) as f64 - 1.0).abs();
            assert_eq!(off < 0.01, matched, "{arm} is off by {off}");
            assert_eq!(other.events.len(), if arm == "grown_random" { 2 } else { 0 }, "{arm}");
        }
        // Everything behind the second epoch: the small network until there is paid for.
        let rest = flops(&grown) - 2 * 240 * per_example(&[64, 8, 8, 10]);
        let off = (flops(&lab.record("large_rest", seed)) as f64 / rest as f64 - 1.0).abs();
        assert!(off < 0.01, "off by {off}");
        assert_eq!(steps(&lab.record("large_epochs", seed)), 8 * EPOCH);
        assert_eq!(
            lab.record("large", seed).result.expect("ended").parameters,
            grown.result.expect("ended").parameters
        );
        let small = lab.record("small", seed);
        assert_eq!(small.result.as_ref().map(|result| result.parameters), Some(64 * 8 + 8 + 72 + 90));
        // Counted, not assumed: by hand from the examples that it has seen.
        let seen = steps(&small) / EPOCH * 240 + (steps(&small) % EPOCH * 32).min(240);
        assert_eq!(flops(&small), seen * per_example(&[64, 8, 8, 10]));
    }
    for (name, arm) in told["arms"].as_object().expect("arms") {
        let said = arm["flops_off"].as_f64();
        assert_eq!(said.is_some(), name != "grown" && name != "large_epochs", "{name}");
        assert!(said.unwrap_or(0.0) < 0.01, "{name} {said:?}");
    }
    assert_eq!(told["metric"], "test_accuracy");
    assert!(["yes", "no", "undecided"].contains(&told["verdict"]["answer"].as_str().expect("an answer")));
    assert!(told["paid"]["answer"].is_string());
    let report = lab.path(told["report"].as_str().expect("a report"));
    assert!(std::fs::read_to_string(report).expect("the report is there").contains("<html"));
}

#[test]
fn the_reference_is_the_run_of_its_schedule() {
    let lab = Lab::new(SCHEDULE);
    lab.compare(&["--seeds", "1"]);
    assert_eq!(lab.growrun(&["worth.grow", "--quiet"]).code, 0);
    assert_eq!(weights(&lab.record("grown", 3)), weights(&record(&lab.path("runs/worth/0001"))));
    for arm in ["grown", "small", "large_rest", "grown_random"] {
        let run = lab.comparison_folder().join(format!("{arm}/seed-3"));
        let run = run.display().to_string();
        let replayed = lab.growrun(&["replay", &run, "--quiet"]);
        assert_eq!(replayed.code, 0, "{arm}: {}{}", replayed.stdout, replayed.stderr);
        let verified = lab.growrun(&["verify", &run]);
        assert_eq!(verified.code, 0, "{arm}: {}{}", verified.stdout, verified.stderr);
    }
}

#[test]
fn the_rate_covers_each_budget_and_its_events_go_along() {
    let lab = Lab::new(SCHEDULE);
    lab.compare(&["--seeds", "1"]);
    let small = lab.record("small", 3);
    let given = small.arm.as_ref().and_then(|arm| arm.steps).expect("a budget");
    let (planned, stretched) = (8 * EPOCH, |step: u64| step * given / (8 * EPOCH));
    assert!(given > planned, "{given}");
    assert_eq!(small.resolved.steps, given);
    assert_eq!(small.resolved.warmup_steps, stretched(EPOCH));
    let lr = format!("step 0.003 0.5x every {} steps of {planned}, over {given}", 2 * EPOCH);
    assert_eq!(small.resolved.lr, lr);
    // As many drops as were written, and the event besides: all arms end with the rate of the reference.
    let last = |arm: &str| lab.last_rate(arm, 3);
    for arm in ["small", "large", "large_rest", "grown_random"] {
        assert_eq!(last(arm), last("grown"), "{arm}");
    }
    let set = small.resolved.events.iter().find(|event| event.actions[0].starts_with("set lr")).expect("it is kept");
    assert!(set.trigger.contains(&stretched(5 * EPOCH).to_string()), "{} {}", set.trigger, stretched(5 * EPOCH));
    assert_eq!(small.resolved.events.len(), 2, "no growth, no assertion: {:?}", small.resolved.events);
}

/// Two arms with a let of their own; the second is much cheaper in steps.
const OWN: &str = "\
experiment \"worth\"
let hidden = 4
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense $hidden relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3 }
arm grown { at 50% widen h1 to 16 eps 1e-2; at epoch 9 set lr by 0.5x }
arm wide { let hidden = 64; at 50% set lr by 0.1x; at epoch 9 set lr by 0.5x; at epoch 1 set lr by 2x }
arm scratch from final grown { }
";

#[test]
fn own_arms_have_their_lets_everywhere_and_their_times_as_they_are_written() {
    let lab = Lab::new(&format!("{OWN}compare grown, wide, scratch by test_accuracy match flops seeds 3\n"));
    let told = lab.growrun(&["worth.grow", "--json"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let wide = lab.record("wide", 0);
    assert_eq!(wide.result.as_ref().map(|result| result.parameters), Some(65 * 64 + 650));
    let given = steps(&wide);
    assert!(given < 54, "the ninth epoch is not reached: {given}");
    let triggers: Vec<&str> = wide.resolved.events.iter().map(|event| event.trigger.as_str()).collect();
    let half = ((given as f64) / 2.0).round_ties_even();
    assert!(triggers[0].contains(&format!("{half}")), "{triggers:?}");
    assert!(triggers[1].contains('6'), "an epoch stays an epoch: {triggers:?}");
    let own = |events: &[growrun::record::schema::PlannedEvent]| {
        events.iter().filter(|event| event.actions[0].starts_with("set")).count()
    };
    assert_eq!(own(&wide.resolved.events), 2, "what lies behind its end is left out: {triggers:?}");
    for seed in 0..3 {
        let (grown, scratch) = (lab.record("grown", seed), lab.record("scratch", seed));
        let last = grown.result.expect("ended").model;
        let widths = |model: &growrun::record::schema::Model| -> Vec<usize> {
            model.layers.iter().map(|layer| layer.width).collect()
        };
        assert_eq!(widths(&scratch.resolved.model), widths(&last));
    }
}

#[test]
fn one_arm_alone_is_its_own_schedule() {
    let lab = Lab::new(OWN);
    let several = lab.growrun(&["worth.grow"]);
    assert_eq!(several.code, 2);
    assert!(several.stderr.contains("G0224"), "{}", several.stderr);
    assert!(several.stderr.contains("growrun worth.grow --arm grown"), "{}", several.stderr);
    for (number, arm, parameters) in [("0001", "wide", 65 * 64 + 650), ("0002", "scratch", 65 * 16 + 170)] {
        let ran = lab.growrun(&["worth.grow", "--quiet", "--arm", arm]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let run = format!("runs/worth/{number}");
        assert_eq!(record(&lab.path(&run)).result.map(|result| result.parameters), Some(parameters), "{arm}");
        let replayed = lab.growrun(&["replay", &run, "--quiet"]);
        assert_eq!(replayed.code, 0, "{arm}: {}{}", replayed.stdout, replayed.stderr);
    }
    let unknown = lab.growrun(&["worth.grow", "--arm", "wid"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("did you mean `wide`?"), "{}", unknown.stderr);
}

#[test]
fn what_a_condition_makes_is_what_another_arm_begins_with() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3 }
arm grown { when val_loss < 100 at most 3 times cooldown 2 epochs widen h1 by 4 eps 1e-2 }
arm scratch from final grown { }
compare grown, scratch match flops seeds 3
";
    let lab = Lab::new(schedule);
    lab.compare(&[]);
    let mut widths = Vec::new();
    for seed in 0..3 {
        let last = lab.record("grown", seed).result.expect("ended").model;
        let scratch = lab.record("scratch", seed);
        assert_eq!(scratch.resolved.model.layers[0].width, last.layers[0].width);
        let off = flops(&scratch) as f64 / flops(&lab.record("grown", seed)) as f64 - 1.0;
        assert!(off.abs() < 0.01, "{off}");
        widths.push(last.layers[0].width);
    }
    assert!(widths.iter().all(|width| *width > 4), "it grew: {widths:?}");
    let alone = lab.growrun(&["worth.grow", "--arm", "scratch"]);
    assert!(alone.code == 2 && alone.stderr.contains("only a run of `grown` can tell"), "{}", alone.stderr);
}

#[test]
fn arms_with_a_budget_are_neither_stopped_nor_judged_on_the_way() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3; stop when val_loss < 100 }
arm grown { at epoch 1 assert val_accuracy > 0% }
arm other { at end assert val_accuracy > 99.99%; at epoch 1 stop }
compare grown, other match epochs seeds 3
";
    let lab = Lab::new(schedule);
    let told = lab.compare(&[]);
    for seed in 0..3 {
        let grown = lab.record("grown", seed);
        assert_eq!((grown.status.as_str(), steps(&grown)), ("stopped", 6), "at its first evaluation");
        let other = lab.record("other", seed);
        assert_eq!((other.status.as_str(), steps(&other)), ("finished", 6), "as many epochs as the reference");
    }
    assert!(told["verdict"]["answer"].is_string());
}

#[test]
fn a_reference_that_stops_while_its_rate_falls_gives_no_answer() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3; lr cosine }
at epoch 2 widen h1 to 8
when val_loss < 100 from epoch 4 stop
";
    let lab = Lab::new(schedule);
    let told = lab.compare(&["--seeds", "3"]);
    assert_eq!(told["verdict"]["answer"], "undecided");
    let reason = told["verdict"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("stopped at step 24 of 60"), "{reason}");
    // The same growth is at the same part of what was trained, not of what was planned.
    for arm in ["grown", "grown_random"] {
        let record = lab.record(arm, 0);
        assert_eq!((steps(&record), record.events[0].step), (24, 12), "{arm}");
    }
}

#[test]
fn what_falls_on_one_step_of_a_small_budget_keeps_its_order() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 100 steps { optimizer adam lr 3e-3; evaluate every 1 steps }
at step 95 widen h1 to 64
every 10 steps set lr by 0.5x
at step 45 set lr to 1e-3
during step 60..61 set lr by 0.1x
";
    let lab = Lab::new(schedule);
    lab.compare(&["--seeds", "1"]);
    let last = |arm: &str| lab.last_rate(arm, 0);
    assert!(steps(&lab.record("large", 0)) < 20);
    for arm in ["small", "large", "large_epochs", "grown_random"] {
        let off = last(arm) / last("grown");
        assert!((off - 1.0).abs() < 1e-9, "{arm}: {off}");
    }
}

#[test]
fn growth_that_never_comes_compares_nothing() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 4 epochs { optimizer adam lr 3e-3 }
when val_loss < 1e-9 widen h1 to 8
";
    let told = Lab::new(schedule).compare(&["--seeds", "3"]);
    let reason = told["verdict"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("grown did not grow with any seed"), "{reason}");
}

#[test]
fn what_comes_next_asks_the_same_question() {
    let lab = Lab::new(&SCHEDULE.replace("seed 3", "seed 3\nlet width = 24").replace("to 24", "to $width"));
    let ran = lab.growrun(&["compare", "worth.grow", "--set", "width=20", "--seeds", "2", "--index", "1", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = lab.growrun(&["compare", "worth.grow", "--set", "width=20", "--seeds", "2", "--index", "1"]);
    let next = ran.stdout.lines().find_map(|line| line.trim().strip_prefix("next")).expect("what is next").trim();
    let next = next.split("   ").next().expect("a command");
    assert_eq!(next, "growrun compare worth.grow --set width=20 --seeds 2 --collect");
    lab.compare(&["--set", "width=20", "--seeds", "2", "--index", "2"]);
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    assert_eq!(lab.growrun(&words).code, 0, "it can be done as it is told");
}

#[test]
fn a_repeated_rate_falls_as_often_in_every_budget() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3 }
at epoch 2 widen h1 to 8
every 1 steps set lr by 0.95x
";
    let lab = Lab::new(schedule);
    lab.compare(&["--seeds", "1"]);
    for arm in ["small", "large", "large_rest", "grown_random"] {
        let fallen =
            lab.record(arm, 0).resolved.events.iter().filter(|event| event.actions[0].starts_with("set")).count();
        assert_eq!(fallen, 60, "{arm}");
    }
}

#[test]
fn an_arm_that_cannot_be_made_with_a_seed_has_no_result_there() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 10 epochs { optimizer adam lr 3e-3 }
arm grown { when val_loss < 100 widen h1 to 30 }
arm other from final grown { at 50% widen h1 to 24 }
compare grown, other seeds 3
";
    let lab = Lab::new(schedule);
    let told = lab.compare(&[]);
    assert_eq!(told["verdict"]["answer"], "undecided");
    let reason = told["verdict"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("other has no result in 3 of 3 seeds (refused)"), "{reason}");
    assert_eq!(told["arms"]["grown"]["metric"]["count"], 3);
}

#[test]
fn an_arm_that_diverges_decides_nothing() {
    let schedule = "\
experiment \"worth\"
let rate = 1e-2
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 4 epochs { optimizer sgd lr $rate }
arm calm { }
arm wild { let rate = 1e30 }
compare calm, wild seeds 3
";
    let lab = Lab::new(schedule);
    let told = lab.compare(&[]);
    assert_eq!(told["verdict"]["answer"], "undecided", "{told}");
    assert_eq!(told["arms"]["wild"]["runs"][0]["status"], "diverged");
    assert_eq!(told["arms"]["wild"]["metric"]["mean"], Value::Null);
}
