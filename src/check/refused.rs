//! What we refuse by name, each with the way round: a reader of other tools' manuals will try these words.

use crate::base::{Diagnostic, Span};

/// The diagnostic for a word that is refused on purpose; `None` when the word is merely unknown.
pub fn word(word: &str, span: Span) -> Option<Diagnostic> {
    let lower = word.to_lowercase();
    Some(match lower.as_str() {
        "gpu" | "cuda" | "device" | "mps" | "tpu" | "rocm" => {
            Diagnostic::error("G0905", span, format!("`{word}`: there is no device to choose"))
                .here("runs are on the processor, so that every machine gives the same bits")
                .help("leave it out; `growrun export` gives the grown network to other tools")
        }
        "hook" | "hooks" | "callback" | "callbacks" | "python" | "lambda" | "exec" | "shell" | "import" | "eval" => {
            Diagnostic::error("G0904", span, format!("`{word}`: a schedule starts no program and calls no code"))
                .here("not part of the language")
                .help("use a trigger with an action, such as `when val_loss plateaus for 5 epochs save \"flat\"`")
        }
        _ => return None,
    })
}

/// Whether a word is a unit of the clock on the wall.
pub fn is_clock_unit(word: &str) -> bool {
    matches!(
        word,
        "second"
            | "seconds"
            | "sec"
            | "s"
            | "minute"
            | "minutes"
            | "min"
            | "m"
            | "hour"
            | "hours"
            | "h"
            | "day"
            | "days"
    )
}

/// For `at 10 minutes` and its kin.
pub fn clock(span: Span, text: &str) -> Diagnostic {
    Diagnostic::error("G0903", span, format!("`{text}` depends on how fast the machine is"))
        .here("the same file would train differently elsewhere")
        .help("give a time in epochs, steps or percent of the run, such as `5 epochs`, `100 steps` or `10%`")
}

/// For a learning rate of one layer.
pub fn layer_rate(span: Span) -> Diagnostic {
    Diagnostic::error("G0901", span, "one layer cannot have a learning rate of its own")
        .here("the rate is the whole network's")
        .help("freeze the layers that should stand still (`during epoch 0..5 freeze h1`), or use `set lr by 0.5x` for all")
}

/// For `or` in a condition.
pub fn or(span: Span) -> Diagnostic {
    Diagnostic::error("G0902", span, "conditions are joined by `and` only")
        .here("`or` is not part of the language")
        .help("write two events, one for each side of the `or`")
}
