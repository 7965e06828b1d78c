//! One arm of a schedule as a schedule of its own.

use super::ast::*;

/// The schedule of arm `name`: its events in source order among those that all arms have, its values of `let` in the
/// place of the file's. Call it before [`super::resolve`]. `None` when there is no such arm.
pub fn arm(schedule: &Schedule, name: &str) -> Option<Schedule> {
    let arm = schedule.arms.iter().find(|arm| arm.name.node == name)?;
    let mut one = schedule.clone();
    let behind = arm.behind.min(one.events.len());
    one.events.splice(behind..behind, arm.events.iter().cloned());
    for own in &arm.lets {
        // A name that no `let` of the file defines is reported by the checker.
        if let Some(item) = one.lets.iter_mut().find(|item| item.name.node == own.name.node) {
            item.value.clone_from(&own.value);
        }
    }
    (one.arms, one.sweeps) = (Vec::new(), Vec::new());
    Some(one)
}
