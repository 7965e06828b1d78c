//! `stack r1 2x`: a residual block repeated, with copied weights and moments.

use super::*;

pub struct Stack;

/// Copies that one action may make; the limits on parameters are far tighter in practice.
const COPIES_MAX: f64 = 1000.0;

static DOC: Doc = Doc {
    word: "stack",
    help: "repeats a residual block, weights and optimiser state included; the copies are r1_2, r1_3, …",
    args: &[
        Arg {
            name: "block",
            shape: Shape::Positional(Kind::Name),
            required: true,
            default: "",
            help: "a residual block",
        },
        Arg {
            name: "times",
            shape: Shape::Positional(Kind::Factor),
            required: true,
            default: "",
            help: "how many there are afterwards: 2x adds one",
        },
    ],
    one_of: &[],
    example: "stack r1 2x",
    source: "Du et al. 2024 (Stacking Your Transformers)",
};

impl Operator for Stack {
    fn doc(&self) -> &'static Doc {
        &DOC
    }

    fn plan(&self, args: &Args, before: &Architecture) -> Result<Plan, Refusal> {
        let layer = named(args, "block", before)?;
        let times = args.factor("times").unwrap_or(2.0);
        if layer.block.is_empty() {
            return Err(Refusal::error(
                "G0302",
                format!("`{}` is no residual block", layer.name),
                single(layer, before),
            )
            .at("block")
            .here("a single layer"));
        }
        if times.fract() != 0.0 || !(2.0..=COPIES_MAX).contains(&times) {
            return Err(bad_value(
                "times",
                format!("a block cannot be repeated {times}x"),
                format!("use a whole factor from 2x to {COPIES_MAX}x"),
            ));
        }
        let mut after = before.clone();
        let mut changes = Vec::new();
        let mut names = Vec::new();
        let mut last = layer.clone();
        for _ in 1..times as usize {
            let name = next_free(&format!("{}_", layer.name), 2, &after);
            repeat_after(&last, &name, &mut after, &mut changes)?;
            last = after.layer(&name).expect("it was just added").clone();
            names.push(name);
        }
        affordable(&after, "times")?;
        let summary = Summary {
            action: "stack",
            target: layer.name.clone(),
            method: "",
            detail: format!("{}, copies of {}", names.join(", "), layer.name),
        };
        let warnings = maybe_absent([layer], "block");
        let promise = (Promise::None, "what the block adds is added again");
        Ok(Plan { warnings, ..plan(after, changes, promise, summary) })
    }
}

/// How to have a layer twice that is no block.
fn single(layer: &Layer, before: &Architecture) -> String {
    let name = &layer.name;
    let is_last = before.layers.last().is_some_and(|last| last.id == layer.id);
    if is_last {
        format!("only a residual block can be repeated; `insert identity before {name}` adds a layer")
    } else if before.width(layer.input.axis) == before.width(layer.output.axis) && layer.input.area == layer.output.area
    {
        let new = next_free(&format!("{name}_"), 2, before);
        format!("only a residual block can be repeated; `duplicate {name} as {new}` repeats a single layer")
    } else {
        format!("only a residual block can be repeated; `insert identity after {name}` adds a layer")
    }
}

fn repeat_after(last: &Layer, name: &str, after: &mut Architecture, changes: &mut Vec<Change>) -> Result<(), Refusal> {
    super::duplicate::repeat(last, name, after, changes).map_err(|refusal| refusal.at("block"))
}
