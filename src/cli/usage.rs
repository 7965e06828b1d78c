//! From the words of the command line to a command, or to one clear finding about them.

use super::arguments::{self, Growrun, LATER};
use super::render::without_place;
use crate::base::{Diagnostic, World};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What came of reading the command line.
pub enum Usage {
    Command(Box<Growrun>),
    /// Text that was asked for: `--help`, `--version`.
    Text(String),
    Mistake(Diagnostic),
}

/// Reads the arguments, without the program's own name.
pub fn read(mut arguments: Vec<OsString>, world: &dyn World, color: bool) -> Usage {
    let command = Growrun::command().after_help(arguments::closing()).color(if color {
        clap::ColorChoice::Always
    } else {
        clap::ColorChoice::Never
    });
    let known: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_string()).collect();
    if let Some(first) = arguments.first() {
        let word = first.to_string_lossy().into_owned();
        if let Some((_, brings)) = LATER.iter().find(|(later, _)| *later == word) {
            return Usage::Mistake(without_place(
                "G0910",
                format!("`growrun {word}` is not there yet: a later version brings it ({brings})"),
                format!("what works now: {}", listed(&known)),
            ));
        }
        if !known.contains(&word) && means_run(first, &arguments, world) {
            arguments.insert(0, "run".into());
        } else if !known.contains(&word) && !word.starts_with('-') {
            return Usage::Mistake(unknown_command(&word, &known));
        }
    }
    arguments.insert(0, "growrun".into());
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Growrun::from_arg_matches(&matches));
    match parsed {
        Ok(growrun) => Usage::Command(growrun.into()),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let text = error.render();
                Usage::Text(if color { text.ansi().to_string() } else { text.to_string() })
            }
            _ => Usage::Mistake(mistake(&error)),
        },
    }
}

/// Whether a command line without a command is about a schedule: `growrun first.grow`, `growrun --seed 8 first.grow`.
fn means_run(first: &OsStr, arguments: &[OsString], world: &dyn World) -> bool {
    let is_schedule = |word: &OsStr| Path::new(word).extension().is_some_and(|extension| extension == "grow");
    if first.to_string_lossy().starts_with('-') {
        return arguments.iter().any(|word| is_schedule(word));
    }
    // A path is never a mistyped command, whether or not something is there.
    is_schedule(first)
        || first.to_string_lossy().contains(['/', '\\', '.'])
        || matches!(world.entry(Path::new(first)), Ok(Some(_)))
}

fn listed(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn unknown_command(word: &str, known: &[String]) -> Diagnostic {
    let all = known.iter().map(String::as_str).chain(LATER.iter().map(|(later, _)| *later));
    let help = match nearest(word, all) {
        Some(near) => format!("did you mean `growrun {near}`?"),
        None => format!("the commands are {}; a schedule is a file such as `first.grow`", listed(known)),
    };
    without_place("G0911", format!("there is no command and no file `{word}`"), help)
}

/// The word that was probably meant.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count().min(word.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn mistake(error: &clap::Error) -> Diagnostic {
    let text = |kind: ContextKind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(all)) => Some(all.join(", ")),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    // clap writes `--set <NAME=VALUE>`; the flag alone is what the user typed.
    let flag = argument.split(' ').next().unwrap_or_default().trim_matches(['<', '>', '.']).to_string();
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .find_map(text)
        .map(|word| format!("did you mean `{word}`?"));
    let usage = "`--help` behind the command shows its flags";
    let (message, help) = match error.kind() {
        ErrorKind::UnknownArgument if flag.starts_with('-') => {
            (format!("there is no flag `{flag}` here"), meant.unwrap_or_else(|| usage.into()))
        }
        ErrorKind::UnknownArgument => (format!("`{flag}` is one argument too many"), usage.into()),
        ErrorKind::MissingRequiredArgument => (
            format!("{} is missing", argument.replace(['<', '>'], "").replace("...", "")),
            format!("{usage}, with examples"),
        ),
        ErrorKind::InvalidValue if value.is_empty() => (format!("`{flag}` needs a value"), usage.into()),
        ErrorKind::InvalidValue => {
            let all = text(ContextKind::ValidValue).map(|all| format!("use one of {all}"));
            (format!("`{value}` is no value for `{flag}`"), meant.or(all).unwrap_or_else(|| usage.into()))
        }
        ErrorKind::ValueValidation => (
            format!("`{value}` is no value for `{flag}`"),
            std::error::Error::source(error).map_or_else(|| usage.into(), |reason| reason.to_string()),
        ),
        ErrorKind::ArgumentConflict => {
            let prior = text(ContextKind::PriorArg).unwrap_or_default();
            let prior = prior.split(' ').next().unwrap_or_default().trim_matches(['<', '>', '.']);
            let message = match prior.is_empty() || prior == flag {
                true => format!("`{flag}` was given more than once"),
                false => format!("`{flag}` and `{prior}` do not go together"),
            };
            (message, "keep one of them".into())
        }
        _ => {
            let all = error.to_string();
            let line = all.lines().next().unwrap_or_default();
            (line.trim_start_matches("error: ").to_string(), usage.into())
        }
    };
    without_place("G0911", message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        let known = ["run", "check", "explain", "predict"];
        assert_eq!(nearest("chekc", known.into_iter()), Some("check"));
        assert_eq!(nearest("Explian", known.into_iter()), Some("explain"));
        assert_eq!(nearest("banana", known.into_iter()), None);
    }
}
