//! The jobs of a comparison on several machines, and their results put together.

use super::*;

#[test]
fn jobs_run_apart_and_are_collected() {
    let whole = Lab::new(SCHEDULE);
    let expected = whole.compare(&["--seeds", "3"]);
    let lab = Lab::new(SCHEDULE);
    let listed = lab.compare(&["--seeds", "3", "--list"]);
    let jobs = listed["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 3, "a seed each, since the others are given what the reference spent");
    assert_eq!(jobs[1]["seed"], 4);
    assert!(!lab.path("runs").exists(), "looking at them makes nothing");
    std::thread::scope(|scope| {
        for index in ["1", "3"] {
            let lab = &lab;
            scope.spawn(move || lab.compare(&["--seeds", "3", "--index", index]));
        }
    });
    let early = lab.growrun(&["compare", "worth.grow", "--seeds", "3", "--collect"]);
    assert_eq!(early.code, 2);
    assert!(early.stderr.contains("G0804") && early.stderr.contains("the jobs 2 first"), "{}", early.stderr);
    lab.compare(&["--seeds", "3", "--index", "2"]);
    let told = lab.compare(&["--seeds", "3", "--collect"]);
    assert_eq!(told["verdict"], expected["verdict"]);
    assert_eq!(told["differences"], expected["differences"]);
    assert_eq!(all_weights(&lab), all_weights(&whole));
}

#[test]
fn arms_that_need_nothing_of_each_other_are_jobs_of_their_own() {
    let schedule = "\
experiment \"worth\"
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 2 epochs { optimizer adam lr 3e-3 }
arm a { at epoch 1 widen h1 to 8 }
arm b { }
compare a, b seeds 3
";
    let lab = Lab::new(schedule);
    assert_eq!(lab.compare(&["--list"])["jobs"].as_array().map(Vec::len), Some(6));
    for index in ["4", "1", "6", "2", "5", "3"] {
        lab.compare(&["--index", index]);
    }
    assert_eq!(lab.compare(&["--collect"])["arms"]["b"]["runs"].as_array().map(Vec::len), Some(3));
    let beyond = lab.growrun(&["compare", "worth.grow", "--index", "7"]);
    assert!(beyond.code == 2 && beyond.stderr.contains("the jobs are 1 to 6"), "{}", beyond.stderr);
}

#[test]
fn each_value_of_a_sweep_is_a_comparison() {
    let schedule = "\
experiment \"worth\"
let width = 99
data digits { limit 300; batch 30; split train 60% val 20% test 20% }
model { h1 dense 4 relu; out dense 10 }
train 2 epochs { optimizer adam lr 3e-3 }
at epoch 1 widen h1 to $width
sweep width in [8, 16]
";
    let lab = Lab::new(schedule);
    let told = lab.compare(&["--seeds", "1"]);
    let all = told["comparisons"].as_array().expect("one for each value");
    let parameters: Vec<&Value> = all.iter().map(|one| &one["arms"]["grown"]["parameters"]).collect();
    assert_eq!(parameters, [&Value::from(65.0 * 8.0 + 90.0), &Value::from(65.0 * 16.0 + 170.0)]);
    assert_eq!(all[1]["settings"]["width"], "16");
    let jobs = lab.compare(&["--seeds", "1", "--list"]);
    assert_eq!(jobs["jobs"][1]["settings"]["width"], "16");
    let one = lab.compare(&["--seeds", "1", "--set", "width=32"]);
    assert_eq!(one["arms"]["grown"]["parameters"], 65.0 * 32.0 + 330.0, "--set is the only value then");
}
