//! `diff`: what two runs have in common, and where they part.

use super::*;

#[test]
fn another_setting_shows_where_it_first_matters() {
    let lab = Lab::trained();
    let text = SCHEDULE.replace("lr 1e-2", "lr 1e-2 clip 1");
    std::fs::write(lab.path("sides.grow"), text).expect("written");
    lab.train(&["--threads", "2", "--set", "width=9"]);
    let ran = lab.growrun(&["diff", RUN, "runs/sides/0002"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(ran.stdout, @r#"
    a   runs/sides/0001   sides · csv · seed 7 · finished
    b   runs/sides/0002   sides · csv · seed 7 · finished
    schedule
      --- a sides.grow
      +++ b sides.grow
      @@ -3,6 +3,6 @@
       let width = 12
       data csv "sides.csv" { target label; batch 20; normalize zscore; split train 75% val 25% }
       include "parts/model.grow"
      -train 6 epochs { optimizer adam lr 1e-2; metrics accuracy; checkpoint every 2 epochs keep 2 }
      +train 6 epochs { optimizer adam lr 1e-2 clip 1; metrics accuracy; checkpoint every 2 epochs keep 2 }
       at epoch 2 widen h2 to $width eps 1e-3
       at epoch 4 { insert identity after h2; save "grown" }
    settings
      lets.width                 12            9
      optimizer_arguments.clip   no clipping   1
    data        the same
    environment
      threads   1   2
    growth
      event 1   step 6 widen h2 8 → 12                     step 6 widen h2 8 → 9
      event 2   step 12 insert identity h2_id1 (12) relu   step 12 insert identity h2_id1 (9) relu
    metrics
      train_loss     0.2621   0.2656
      val_accuracy   95.0 %   95.0 %
      val_loss       0.2357   0.2482
    they part at step 3: train_loss 0.8902262961849842 and 0.8900736738702084, and are the same up to step 0
    "#);
}

#[test]
fn the_same_run_on_another_number_of_threads_is_the_same() {
    let lab = Lab::trained();
    lab.train(&["--threads", "2"]);
    let ran = lab.growrun(&["diff", RUN, "runs/sides/0002"]);
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(steady(&ran.stdout), @r#"
    a   runs/sides/0001   sides · csv · seed 7 · finished
    b   runs/sides/0002   sides · csv · seed 7 · finished
    schedule    the same
    settings    the same
    data        the same
    environment
      threads   1   2
    growth      the same
    metrics
      train_loss     0.2621   0.2621
      val_accuracy   95.0 %   95.0 %
      val_loss       0.2357   0.2357
    the two have the same bits, to the final weights blake3:…
    "#);
    let ran = lab.growrun(&["diff", RUN, "runs/sides/0002", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["same"], true);
    assert_eq!(object["environment"][0]["what"], "threads");
}

#[test]
fn another_seed_parts_at_the_first_step_with_a_tensor() {
    let lab = Lab::trained();
    lab.train(&["--seed", "8"]);
    // A record alone is enough.
    let ran = lab.growrun(&["diff", RUN, "runs/sides/0002/run.yaml", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!(object["first_difference"]["step"], 0);
    assert_eq!(object["first_difference"]["tensor"], "h1.weight");
    assert_eq!(object["first_difference"]["what"], "checkpoint start");
    assert_eq!(object["settings"], serde_json::json!([{ "what": "seed", "a": "7", "b": "8" }]));
}

#[test]
fn an_evaluation_that_differs_is_the_first_difference() {
    let lab = Lab::trained();
    lab.train(&[]);
    let path = lab.path("runs/sides/0002/metrics.jsonl");
    let text = std::fs::read_to_string(&path).expect("lines");
    let second = text.lines().nth(1).expect("two lines").to_string();
    let mut line: serde_json::Value = serde_json::from_str(&second).expect("an object");
    line["val_loss"] = 0.25.into();
    std::fs::write(&path, text.replace(&second, &line.to_string())).expect("written");
    let ran = lab.growrun(&["diff", RUN, "runs/sides/0002"]);
    let last = ran.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("they part at step 6: val_loss 0."), "{last}");
    assert!(last.contains(" and 0.25, and are the same up to step 3; `growrun replay "), "{last}");
}
