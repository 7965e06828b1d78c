//! The expected time: what of it does not depend on a clock.

use super::faults::memory::Memory;
use super::run::{checked, compute};
use growrun::base::world::Real;
use growrun::check::{Program, flops};
use growrun::run::{Calibration, Expected};
use growrun::tensor::Simd;

fn expected(text: &str, calibration: &mut Option<Calibration>) -> Expected {
    let (checked, diagnostics) = checked(text, Some(7));
    let program: Program = checked.program.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    let course = flops::course(&program, &checked.timeline);
    let calibration = calibration.get_or_insert_with(|| {
        let compute = compute(1, Simd::Auto).compute;
        Calibration::measure(&program, &course, &compute, &Real::default(), 0.02).expect("small networks")
    });
    calibration.expected(&program, &course, &checked.timeline)
}

fn text(epochs: u64, train: &str, events: &str) -> String {
    format!(
        "data digits {{ batch 32 }}
        model {{ h1 dense 16 relu; out dense 10 }}
        train {epochs} epochs {{ optimizer adam lr 1e-3; {train} }}
        {events}"
    )
}

#[test]
fn more_training_evaluations_and_checkpoints_take_longer_in_proportion() {
    let mut measured = None;
    let growth = "at epoch 2 widen h1 to 64";
    let grown = expected(&text(4, "evaluate never", growth), &mut measured);
    assert_eq!(grown.phases.len(), 2);
    assert!(grown.phases.iter().all(|seconds| *seconds > 0.0), "{grown:?}");
    assert!((grown.all - grown.phases.iter().sum::<f64>()).abs() < 1e-12);
    // By the same measurement: four, six and eight epochs, of which two come before the growth.
    let [six, eight] = [6, 8].map(|epochs| expected(&text(epochs, "evaluate never", growth), &mut measured));
    let two_epochs = six.all - grown.all;
    assert!(two_epochs > 0.0 && (eight.all - six.all - two_epochs).abs() < 1e-9, "{grown:?} {six:?} {eight:?}");
    assert_eq!(six.phases[0], grown.phases[0]);
    let evaluated = expected(&text(4, "evaluate every 1 epochs", growth), &mut measured);
    let often = expected(&text(4, "evaluate every 15 steps", growth), &mut measured);
    assert!(grown.all < evaluated.all && evaluated.all < often.all, "{grown:?} {evaluated:?} {often:?}");
    let saved = expected(&text(4, "evaluate never; checkpoint every 1 epochs", growth), &mut measured);
    assert!(saved.all > grown.all + 0.006, "{grown:?} {saved:?}");
}

#[test]
fn a_network_that_was_not_measured_lies_between_its_neighbours() {
    let mut measured = None;
    let both = expected(&text(4, "evaluate never", "at epoch 2 widen h1 to 128"), &mut measured);
    let between = expected(&text(4, "evaluate never", "at epoch 2 widen h1 to 64"), &mut measured);
    assert_eq!(between.phases[0], both.phases[0]);
    assert!(between.phases[0] < between.phases[1] && between.phases[1] < both.phases[1], "{between:?} {both:?}");
}

#[test]
fn nothing_is_told_where_time_stands_still_or_the_network_is_too_large_to_try() {
    let measure = |text: &str, world: &dyn growrun::base::World, seconds: f64| {
        let (checked, diagnostics) = checked(text, Some(7));
        let program = checked.program.unwrap_or_else(|| panic!("{diagnostics:#?}"));
        let course = flops::course(&program, &checked.timeline);
        Calibration::measure(&program, &course, &compute(1, Simd::Auto).compute, world, seconds).is_some()
    };
    let small = text(2, "", "");
    assert!(measure(&small, &Real::default(), 0.002));
    assert!(!measure(&small, &Memory::new(true), 0.002));
    // 600 million weights.
    let large = small.replace("h1 dense 16 relu", "h1 dense 24000 relu; h2 dense 24000 relu");
    assert!(!measure(&large, &Real::default(), 1.0));
}

#[test]
fn plan_run_and_record_tell_the_expected_time() {
    use super::cli::{folder, growrun};
    let folder = folder(&[("small.grow", text(2, "", "at epoch 1 widen h1 to 32").as_bytes())]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        let ran = growrun(folder.path(), arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("one object")
    };
    let plan = json(&["plan", "small.grow", "--threads", "1", "--simd", "portable", "--json"]);
    let phases = plan["phases"].as_array().expect("phases");
    let sum: f64 = phases.iter().filter_map(|phase| phase["expected_seconds"].as_f64()).sum();
    assert_eq!((phases.len(), plan["expected_seconds"].as_f64()), (2, Some(sum)));
    for key in ["parameters", "flops", "memory_bytes"] {
        assert!(phases.iter().all(|phase| phase[key].as_u64() > Some(0)), "{key}");
    }
    assert!(["flops", "memory_bytes", "disk_bytes"].iter().all(|key| plan[*key].as_u64() > Some(0)), "{plan}");
    let ran = json(&["small.grow", "--json"]);
    let expected = ran["expected_seconds"].as_f64().expect("a number");
    let record = growrun::record::load::record(&Real::default(), &folder.path().join("runs/small/0001"));
    let result = record.expect("a record").result.expect("it has ended");
    assert_eq!(result.expected_seconds.map(f64::to_bits), Some(expected.to_bits()));
    // Whatever was expected, a replay is the same.
    assert_eq!(growrun(folder.path(), &["replay", "runs/small/0001"]).code, 0);
    assert_eq!(growrun(folder.path(), &["verify", "runs/small/0001"]).code, 0);
}
