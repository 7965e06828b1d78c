//! The statements of a file around its sections, for `explain` and the reference. Their form is in the grammar.

use crate::base::Doc;

const fn doc(word: &'static str, help: &'static str, example: &'static str, source: &'static str) -> Doc {
    Doc { word, help, args: &[], one_of: &[], example, source }
}

static EXPERIMENT: Doc = doc(
    "experiment",
    "names the runs: their folder, their record, the first line of their table",
    "experiment \"first growth\"",
    "",
);
static SEED: Doc =
    doc("seed", "every random number of a run comes from it; 0 without one, `--seed` is another", "seed 7", "");
static LET: Doc = doc(
    "let",
    "a value that is read as `$NAME`, anywhere in the file; `--set NAME=VALUE`, an arm and a sweep give it another one",
    "let width = 256",
    "",
);
static INCLUDE: Doc = doc(
    "include",
    "puts the statements of another file in this place; its path begins at the file that writes it",
    "include \"common/digits.grow\"",
    "",
);
static ARM: Doc = doc(
    "arm",
    "one of several ways to train, for `compare`: holds `let` and events, besides those that stand outside of arms; `from \
     final NAME` begins with the network that arm NAME ends with, in fresh weights",
    "arm grown { at 30% widen h2 by 2x }",
    "",
);
static SWEEP: Doc = doc(
    "sweep",
    "gives a `let` one value after the other, each of them a comparison of its own",
    "sweep width in [128, 256]",
    "",
);
static COMPARE: Doc = doc(
    "compare",
    "is growing worth it: trains the arms with the same seeds; the first is the reference, and the others get as many epochs \
     (`match epochs`, the default), `steps` or `flops` as it spent; `growrun FILE` then does what `growrun compare FILE` does",
    "compare grown, small, large by val_accuracy match flops seeds 5",
    "paired t-interval, docs/compare.md",
);

/// In the order in which a file has them.
pub static STATEMENTS: &[&Doc] = &[&EXPERIMENT, &SEED, &LET, &INCLUDE, &ARM, &SWEEP, &COMPARE];
