//! When events fire: every form of docs/LANGUAGE.md, in whole runs.

use super::run::{checked, compute, dataset, program};
use growrun::base::world::Real;
use growrun::run::{self, Event, Reason, Status};
use growrun::tensor::Simd;

/// 8 steps an epoch, 48 in all; an evaluation each epoch.
fn schedule(train: &str, events: &str) -> String {
    format!(
        "data blobs {{ samples 200; classes 3; batch 20 }}
        model {{ h1 dense 8 relu; h2 dense 8 relu; out dense 3 }}
        train 6 epochs {{ {train} }}
        {events}"
    )
}

/// What happened, one word or two each, with the step behind it.
fn happened(text: &str) -> (Status, Vec<(u64, String)>) {
    let program = program(text, Some(1)).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!(program.data.steps_per_epoch, 8);
    let mut seen = Vec::new();
    let finish = run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &Real::default(), &mut |event| {
        match event {
            Event::Evaluated(evaluated) => seen.push((evaluated.step, format!("evaluated at {}", evaluated.lr))),
            Event::Grown(growth) => seen.push((growth.step, format!("grown {}", growth.detail))),
            Event::Checkpoint(saved) => match saved.reason {
                Reason::Named(name) => seen.push((saved.progress.step, format!("saved {name}"))),
                Reason::Rule => seen.push((saved.progress.step, "saved by rule".into())),
                _ => {}
            },
            Event::Noted { step, text, .. } if !text.starts_with("save") => seen.push((*step, text.clone())),
            _ => {}
        }
        Ok(())
    })
    .expect("it runs");
    (finish.status, seen)
}

/// The epochs at which a checkpoint called "x" was saved.
fn epochs(events: &str) -> Vec<u64> {
    epochs_of(&schedule("", events))
}

fn epochs_of(text: &str) -> Vec<u64> {
    steps_of(text).into_iter().map(|step| step / 8).collect()
}

fn steps_of(text: &str) -> Vec<u64> {
    happened(text).1.into_iter().filter(|(_, what)| what == "saved x").map(|(step, _)| step).collect()
}

fn steps(events: &str) -> Vec<u64> {
    steps_of(&schedule("", events))
}

#[test]
fn one_instant_has_its_order() {
    // Written in another order than it happens; events that fire together keep the order of the file.
    let text = schedule(
        "checkpoint every 2 epochs; optimizer sgd lr 1",
        "during epoch 2..3 set lr by 0.1x
        during epoch 1..2 set lr by 0.5x
        when val_loss >= 0 from epoch 2 save \"when\"
        every 2 epochs until epoch 2 save \"every\"
        at epoch 2 widen h1 by 1
        at step 16 save \"at\"",
    );
    let (_, seen) = happened(&text);
    let at_epoch_2: Vec<&str> = seen.iter().filter(|(step, _)| *step == 16).map(|(_, what)| what.as_str()).collect();
    assert_eq!(
        at_epoch_2,
        [
            // The window that ends has left, the one that begins has not entered.
            "evaluated at 1",
            "saved when",
            "saved every",
            "grown h1 8 → 9",
            "saved at",
            "set lr by 0.1x: the rate is 1.000e-1",
            "saved by rule",
        ]
    );
}

#[test]
fn stop_when_comes_before_events_and_after_the_evaluation() {
    let (status, seen) = happened(&schedule(
        "stop when val_loss >= 0 and val_loss plateaus for 1 epochs delta 1000",
        "at epoch 2 save \"unreached\"; every 1 epochs save \"x\"; at end save \"end\"",
    ));
    assert_eq!(status, Status::Stopped);
    let behind_the_first: Vec<&str> =
        seen.iter().filter(|(step, _)| *step > 8).map(|(_, what)| what.as_str()).collect();
    assert_eq!(behind_the_first, ["evaluated at 0.001", "the condition of `stop when` holds", "saved end"]);
}

#[test]
fn at_fires_once_and_percent_is_rounded_half_even() {
    assert_eq!(steps("at start save \"x\""), [0]);
    assert_eq!(steps("at epoch 2 save \"x\""), [16]);
    assert_eq!(steps("at step 5 save \"x\""), [5]);
    // 50% is 24; 3.125% is 1.5, to even 2; 9.375% is 4.5, to even 4; 35% is 16.8.
    assert_eq!(
        steps("at 50% save \"x\"; at 3.125% save \"x\"; at 9.375% save \"x\"; at 35% save \"x\""),
        [2, 4, 17, 24]
    );
    assert_eq!(steps("at end save \"x\"; at epoch 6 save \"x\"; at 100% save \"x\""), [48, 48, 48]);
}

#[test]
fn every_begins_at_from_and_includes_until() {
    assert_eq!(steps("every 3 steps from step 2 until step 8 save \"x\""), [2, 5, 8]);
    assert_eq!(steps("every 3 steps from step 2 until step 10 save \"x\""), [2, 5, 8]);
    assert_eq!(epochs("every 2 epochs save \"x\""), [2, 4, 6]);
    assert_eq!(epochs("every 2 epochs from start until epoch 4 save \"x\""), [0, 2, 4]);
    assert_eq!(steps("every 25% from 50% save \"x\""), [24, 36, 48]);
}

#[test]
fn when_fires_at_evaluations_as_often_as_it_may() {
    assert_eq!(epochs("when val_loss >= 0 save \"x\""), [1]);
    assert_eq!(epochs("when val_loss >= 0 at most 3 times save \"x\""), [1, 2, 3]);
    assert_eq!(epochs("when val_loss >= 0 at most 3 times cooldown 2 epochs save \"x\""), [1, 3, 5]);
    assert_eq!(epochs("when val_loss >= 0 at most 9 times cooldown 12 steps save \"x\""), [1, 3, 5]);
    assert_eq!(epochs("when val_loss >= 0 at most 9 times from epoch 2 until epoch 4 save \"x\""), [2, 3, 4]);
    assert_eq!(epochs("when val_loss >= 0 at most 9 times from step 9 until 50% save \"x\""), [2, 3]);
    assert!(epochs("when val_loss < 0 at most 9 times save \"x\"").is_empty());
    assert_eq!(epochs("when val_loss >= 0 and val_loss plateaus for 2 epochs delta 1000 save \"x\""), [3]);
    assert!(epochs("when val_loss < 0 and val_loss plateaus for 2 epochs delta 1000 save \"x\"").is_empty());
    let often = schedule("evaluate every 3 steps", "when val_loss >= 0 at most 3 times from step 4 save \"x\"");
    assert_eq!(steps_of(&often), [6, 9, 12]);
    // `at` adds no evaluation of its own, and the end is always due.
    let rarely =
        schedule("evaluate every 5 epochs", "when val_loss >= 0 at most 9 times save \"x\"; at epoch 2 freeze h1");
    assert_eq!(epochs_of(&rarely), [5, 6]);
}

#[test]
fn a_plateau_counts_anew_when_it_fires_and_after_any_growth() {
    // With such a delta nothing is ever better: a plateau is seen as soon as it can be.
    let plateau = "when val_loss plateaus for 1 epochs delta 1000 at most 9 times save \"x\"";
    assert_eq!(epochs(plateau), [2, 4, 6]);
    assert_eq!(epochs(&format!("{plateau}; at epoch 3 widen h2 by 1")), [2, 5]);
    assert_eq!(epochs(&format!("{plateau}; at epoch 3 insert identity after h2")), [2, 5]);
    assert_eq!(epochs(&format!("{plateau}; at epoch 3 narrow h2 to 4")), [2, 5]);
    // What changes no architecture restarts nothing.
    assert_eq!(
        epochs(&format!("{plateau}; at epoch 3 {{ freeze h1; set dropout h2 to 0.1; set lr by 0.5x }}")),
        [2, 4, 6]
    );
    // At the step of a growth, what stands before it in the file still sees the plateau.
    assert_eq!(epochs(&format!("{plateau}; at epoch 2 widen h2 by 1")), [2, 4, 6]);
    assert_eq!(epochs(&format!("at epoch 2 widen h2 by 1; {plateau}")), [4, 6]);
    // `stop when` counts anew, too.
    let (_, seen) =
        happened(&schedule("stop when val_loss plateaus for 2 epochs delta 1000", "at epoch 2 widen h2 by 1"));
    assert_eq!(seen.last().map(|(step, _)| step / 8), Some(5));
}

/// The checker's `never` is the run's.
#[test]
fn what_never_fires_is_noticed_and_nothing_else() {
    let mut never = 0;
    for evaluate in [1, 2, 4, 7] {
        for window in 1..=6 {
            for growth in ["", "at epoch 2 widen h2 by 1", "every 3 epochs widen h2 by 1", "at epoch 4 stop"] {
                for (from, until) in
                    [("", ""), ("from epoch 3", ""), ("", "until epoch 4"), ("from step 20", "until 70%")]
                {
                    for growth_first in [true, false] {
                        let when =
                            format!("when val_loss plateaus for {window} epochs delta 1000 {from} {until} save \"x\"");
                        let events =
                            if growth_first { format!("{growth}\n{when}") } else { format!("{when}\n{growth}") };
                        let text = schedule(&format!("evaluate every {evaluate} epochs"), &events);
                        let (_, found) = checked(&text, Some(1));
                        let told = found.iter().any(|diagnostic| diagnostic.code == "G0204");
                        let fired = !epochs_of(&text).is_empty();
                        assert_eq!(told, !fired, "{events}, evaluated every {evaluate} epochs: {found:#?}");
                        never += u32::from(told);
                    }
                }
            }
        }
    }
    assert!((100..700).contains(&never), "{never} of 768");
}

/// Whether h1 is frozen, and its dropout, at the boundary of each epoch, before anything enters there.
fn states(events: &str) -> Vec<(bool, f64)> {
    let text = schedule("", &format!("{events}\nevery 1 epochs from start save \"x\""));
    let (checked, diagnostics) = checked(&text, Some(1));
    let program = checked.program.unwrap_or_else(|| panic!("{diagnostics:#?}"));
    let mut seen = Vec::new();
    run::execute(&program, &dataset(&program), &compute(1, Simd::Auto), &Real::default(), &mut |event| {
        if let Event::Checkpoint(saved) = event
            && matches!(saved.reason, Reason::Named(_))
        {
            let layer = saved.architecture.layer("h1").expect("it stays");
            seen.push((layer.frozen, layer.settings.dropout));
        }
        Ok(())
    })
    .expect("it runs");
    // What the checker shows at each `save` is what the run saw there.
    let saves = program.events.len() - 1;
    let planned: Vec<(bool, f64)> = checked
        .timeline
        .iter()
        .filter(|planned| planned.event == saves)
        .map(|planned| planned.after.layer("h1").expect("it stays"))
        .map(|layer| (layer.frozen, layer.settings.dropout))
        .collect();
    assert_eq!(planned, seen, "the plan and the run of: {events}");
    seen
}

#[test]
fn windows_that_overlap_on_a_layer_each_hold_to_their_own_end() {
    let frozen = |events: &str| -> Vec<u64> {
        states(events).iter().zip(0..).filter(|((frozen, _), _)| *frozen).map(|(_, epoch)| epoch).collect()
    };
    assert_eq!(frozen("during epoch 1..4 freeze h1"), [2, 3]);
    assert_eq!(frozen("during epoch 1..3 freeze h1; during epoch 2..5 freeze h1"), [2, 3, 4]);
    assert_eq!(frozen("during epoch 1..5 freeze h1; during epoch 2..3 freeze h1..h2"), [2, 3, 4]);
    assert_eq!(frozen("during epoch 1..5 freeze h1; during epoch 2..4 unfreeze h1"), [2, 4]);
    assert_eq!(frozen("at start freeze h1; during epoch 1..4 unfreeze h1"), [0, 1, 4, 5, 6]);
    // What is done for good inside a window holds at once and stays.
    assert!(frozen("during epoch 1..4 freeze h1; at epoch 2 unfreeze h1").is_empty());
    assert_eq!(frozen("during epoch 1..4 freeze h1; at epoch 3 freeze h1"), [2, 3, 4, 5, 6]);

    let dropouts = |events: &str| -> Vec<f64> { states(events).iter().map(|(_, dropout)| *dropout).collect() };
    assert_eq!(
        dropouts("during epoch 1..3 set dropout h1 to 0.1; during epoch 2..5 set dropout h1 to 0.2"),
        [0.0, 0.0, 0.1, 0.2, 0.2, 0.0, 0.0]
    );
    assert_eq!(
        dropouts("during epoch 1..5 set dropout h1 to 0.1; during epoch 2..3 set dropout h1 to 0.2"),
        [0.0, 0.0, 0.1, 0.1, 0.1, 0.0, 0.0]
    );
    assert_eq!(
        dropouts("during epoch 1..4 set dropout h1 to 0.1; at epoch 2 set dropout h1 to 0.3"),
        [0.0, 0.0, 0.3, 0.3, 0.3, 0.3, 0.3]
    );
}

#[test]
fn the_plan_shows_what_a_window_undoes() {
    let (checked, _) = checked(&schedule("", "at start freeze h1..h2; during epoch 2..4 unfreeze h1"), Some(1));
    let shown: Vec<(u64, bool, &str)> = checked
        .timeline
        .iter()
        .filter_map(|planned| Some((planned.step / 8, planned.undo, planned.growth.as_ref()?.summary.action)))
        .collect();
    assert_eq!(shown, [(0, false, "freeze"), (2, false, "unfreeze"), (4, true, "unfreeze")]);
    let frozen = |at: usize| checked.timeline[at].after.layer("h1").expect("it is there").frozen;
    assert_eq!([frozen(0), frozen(1), frozen(2)], [true, false, true]);
}
