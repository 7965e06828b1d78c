//! What is measured around growth, beside the probe.

use crate::base::Clause;
use crate::check::program::{ActionKind, Condition, Program, Trigger};
use crate::nn::Parameter;

/// Norms of the last gradient over entries that were born just before it, and over older ones, after the
/// update that used it. `None` where there are no such entries.
pub fn gradient_norms(parameters: &[Parameter<f32>]) -> (Option<f64>, Option<f64>) {
    // [fresh, old]: sum of squares and whether there was any.
    let mut sums = [(0.0_f64, false); 2];
    for parameter in parameters.iter().filter(|p| !p.frozen && p.role.is_learned() && p.updates > 0) {
        let newest = parameter.updates - 1;
        for (index, gradient) in parameter.gradient.indexed_iter() {
            let born = parameter.births.iter().enumerate().map(|(dim, births)| births[index[dim]]).max();
            let sum = &mut sums[usize::from(born != Some(newest))];
            sum.0 += f64::from(*gradient) * f64::from(*gradient);
            sum.1 = true;
        }
    }
    let [fresh, old] = sums.map(|(sum, any)| any.then(|| sum.sqrt()));
    (fresh, old)
}

/// Whether more of a metric (by its full name, `val_accuracy`) is better.
pub fn higher_is_better(name: &str) -> bool {
    let word = name.split_once('_').map_or(name, |(_, word)| word);
    crate::train::metrics::find(word).is_some_and(|metric| metric.higher_is_better)
}

/// Whether a condition asks for a metric of the training part other than the loss, which costs a pass over it.
pub fn mentions_training_metric(program: &Program) -> bool {
    let mut all: Vec<&Condition> = program.train.stop_when.iter().flatten().collect();
    for event in &program.events {
        if let Trigger::When { conditions, .. } = &event.trigger {
            all.extend(conditions);
        }
        for action in &event.actions {
            if let ActionKind::Assert(conditions) = &action.kind {
                all.extend(conditions);
            }
        }
    }
    let asks = |name: &str| name.starts_with("train_") && name != "train_loss";
    all.iter().any(|condition| match &condition.clause {
        Clause::Compare { metric, .. } | Clause::Plateau { metric, .. } => asks(metric),
    }) || program.train.keep_best.as_ref().is_some_and(|(metric, _)| asks(metric))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Role;
    use ndarray::ArrayD;

    #[test]
    fn starvation_is_measured_on_fresh_entries_alone() {
        // [2, 3] after its sixth update; row 1 and column 2 were born just before it, the rest with the run.
        let array = ArrayD::from_elem(vec![2, 3], 2.0_f32);
        let parameter = Parameter {
            name: "h1.weight".into(),
            role: Role::Weight,
            dims: Vec::new(),
            value: array.clone(),
            gradient: array,
            slots: Vec::new(),
            frozen: false,
            updates: 6,
            births: vec![vec![0, 5], vec![0, 0, 5]],
        };
        let frozen = Parameter { frozen: true, ..parameter.clone() };
        // Fresh: the three of row 1 and one of column 2; old: two. What is frozen has no gradient.
        let expected = (Some(f64::sqrt(4.0 * 4.0)), Some(f64::sqrt(2.0 * 4.0)));
        assert_eq!(gradient_norms(&[parameter, frozen]), expected);
    }
}
