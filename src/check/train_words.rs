//! The statements of the `train` section: their words, arguments, defaults and help.

use crate::base::{Arg, Doc, Kind, Shape};

const fn arg(name: &'static str, shape: Shape, required: bool, default: &'static str, help: &'static str) -> Arg {
    Arg { name, shape, required, default, help }
}

pub static TRAIN: Doc = Doc {
    word: "train",
    help: "how long to train, and how",
    args: &[arg("length", Shape::Positional(Kind::Duration), true, "", "`60 epochs` or `20_000 steps`")],
    one_of: &[],
    example: "train 60 epochs { optimizer adam lr 1e-3 }",
    source: "",
};

pub static OPTIMIZER: Doc = Doc {
    word: "optimizer",
    help: "what turns gradients into steps (default adam lr 1e-3)",
    args: &[],
    one_of: &[],
    example: "optimizer adam lr 1e-3",
    source: "",
};

pub static LR: Doc = Doc {
    word: "lr",
    help: "how the learning rate changes over the run: base · shape(t) · factor",
    args: &[
        arg(
            "shape",
            Shape::Positional(Kind::Choice(&[
                ("constant", &[]),
                ("cosine", &[]),
                ("linear", &[]),
                ("step", &[Kind::Factor, Kind::Literal("every"), Kind::Duration]),
            ])),
            true,
            "",
            "constant; from the base to a last rate by half a cosine or a line; or in steps",
        ),
        arg(
            "to",
            Shape::Keyword(&[Kind::Either(&[Kind::Factor, Kind::Number])]),
            false,
            "0",
            "the last rate of `cosine` and `linear`, or a share of the base such as 0.1x",
        ),
        arg("warmup", Shape::Keyword(&[Kind::Duration]), false, "none", "rises from 0 over this time first"),
    ],
    one_of: &[],
    example: "lr cosine to 1e-5 warmup 5 epochs",
    source: "",
};

pub static LOSS: Doc = Doc {
    word: "loss",
    help: "what is made small (default cross_entropy, or mse for a regression)",
    args: &[],
    one_of: &[],
    example: "loss cross_entropy label_smoothing 0.1",
    source: "",
};

pub static METRICS: Doc = Doc {
    word: "metrics",
    help: "what is measured beside the loss (default accuracy, or rmse for a regression)",
    args: &[arg("names", Shape::Many(Kind::Label), true, "", "conditions call them `val_accuracy`, `train_accuracy`")],
    one_of: &[],
    example: "metrics accuracy f1",
    source: "",
};

pub static EVALUATE: Doc = Doc {
    word: "evaluate",
    help: "when the metrics are computed (default every 1 epochs; the end is always due)",
    args: &[
        arg("every", Shape::Keyword(&[Kind::Duration]), false, "1 epochs", "time between two evaluations"),
        arg("never", Shape::Flag, false, "", "not at all"),
    ],
    one_of: &[&["every", "never"]],
    example: "evaluate every 1 epochs",
    source: "",
};

pub static LOG: Doc = Doc {
    word: "log",
    help: "notes loss and learning rate between evaluations",
    args: &[arg("every", Shape::Keyword(&[Kind::Duration]), true, "", "time between two notes")],
    one_of: &[],
    example: "log every 100 steps",
    source: "",
};

pub static STOP: Doc = Doc {
    word: "stop",
    help: "ends the run early, looked at after every evaluation",
    args: &[arg("when", Shape::Keyword(&[Kind::Condition]), true, "", "a condition")],
    one_of: &[],
    example: "stop when val_loss plateaus for 10 epochs",
    source: "Prechelt 1998 (Early stopping)",
};

pub static KEEP_BEST: Doc = Doc {
    word: "keep best",
    help: "keeps a checkpoint of the best evaluation; the results are still the last step's",
    args: &[arg("by", Shape::Keyword(&[Kind::Metric]), true, "", "the metric that says what is best")],
    one_of: &[],
    example: "keep best by val_accuracy",
    source: "",
};

pub static CHECKPOINT: Doc = Doc {
    word: "checkpoint",
    help: "saves everything that is needed to go on",
    args: &[
        arg("every", Shape::Keyword(&[Kind::Duration]), true, "", "time between two checkpoints"),
        arg("keep", Shape::Keyword(&[Kind::Integer]), false, "2", "how many of the last stay"),
    ],
    one_of: &[],
    example: "checkpoint every 10 epochs keep 3",
    source: "",
};

pub static ON_DIVERGENCE: Doc = Doc {
    word: "on_divergence",
    help: "what to do when the loss or a gradient is not finite (default stop)",
    args: &[arg(
        "then",
        Shape::Positional(Kind::Choice(&[
            ("stop", &[]),
            (
                "rollback",
                &[
                    Kind::Literal("lr"),
                    Kind::Factor,
                    Kind::Literal("at"),
                    Kind::Literal("most"),
                    Kind::Integer,
                    Kind::Literal("times"),
                ],
            ),
        ])),
        true,
        "",
        "stop, or go back to the last checkpoint with a smaller rate",
    )],
    one_of: &[],
    example: "on_divergence rollback lr 0.5x at most 3 times",
    source: "",
};

/// Statements of the `train` section.
pub static STATEMENTS: &[&Doc] =
    &[&OPTIMIZER, &LR, &LOSS, &METRICS, &EVALUATE, &LOG, &STOP, &KEEP_BEST, &CHECKPOINT, &ON_DIVERGENCE];

/// The docs of the section's head and its statements, for the reference.
pub static HEAD: &Doc = &TRAIN;
