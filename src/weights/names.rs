//! What a tensor's name says: which layer's it is, which part of it, and how it lies.
//!
//! | tool | weight of a dense layer | its bias | a norm |
//! |---|---|---|---|
//! | PyTorch, here | `h1.weight` [out, in] | `h1.bias` | `.weight` `.bias` `.running_mean` `.running_var` |
//! | MXNet | `h1.weight`, `h1_weight` [out, in] | `h1.bias`, `h1_bias` | `gamma` `beta` `running_mean`, `moving_mean`, … `_var` |
//! | Keras | `h1/kernel` [in, out] | `h1/bias` | `gamma` `beta` `moving_mean` `moving_variance` |
//! | Flax | `params/h1/kernel` [in, out] | `params/h1/bias` | `scale` `bias`; `batch_stats/…/mean`, `var` |
//!
//! So the last word decides: a `kernel` is [in, out] and is turned, a `weight` never is. Shapes are compared afterwards
//! and decide nothing: a square matrix must not depend on luck.

use crate::nn::Role;

/// A tensor's name taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// What its layer (or norm) is called: `h1`, `r1.a`, `h1.norm`. Empty where the name is a part alone.
    pub stem: String,
    pub part: Part,
}

/// Which part of a layer a tensor is, by the last word of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `weight`: [out, in] of a product, or a norm's gain.
    Weight,
    /// `kernel`: [in, out].
    Kernel,
    /// `bias`: of a product, or a norm's shift.
    Bias,
    Gain,
    Shift,
    Mean,
    Variance,
    /// The share of a parametric activation.
    Blend,
    /// A count that no result depends on: `num_batches_tracked`.
    Count,
    /// None of them.
    Unknown,
}

const WORDS: &[(&str, Part)] = &[
    ("weight", Part::Weight),
    ("kernel", Part::Kernel),
    ("bias", Part::Bias),
    ("gamma", Part::Gain),
    ("scale", Part::Gain),
    ("beta", Part::Shift),
    ("running_mean", Part::Mean),
    ("moving_mean", Part::Mean),
    ("mean", Part::Mean),
    ("running_var", Part::Variance),
    ("moving_var", Part::Variance),
    ("moving_variance", Part::Variance),
    ("var", Part::Variance),
    ("blend", Part::Blend),
    ("num_batches_tracked", Part::Count),
    ("seed_generator_state", Part::Count),
];

impl Part {
    /// Whether it can be a parameter of this role.
    pub fn is(self, role: Role) -> bool {
        match role {
            Role::Weight => matches!(self, Part::Weight | Part::Kernel),
            // A norm's shift is a bias, too.
            Role::Bias => matches!(self, Part::Bias | Part::Shift),
            Role::Gain => matches!(self, Part::Weight | Part::Gain),
            Role::RunningMean => self == Part::Mean,
            Role::RunningVariance => self == Part::Variance,
            Role::Blend => self == Part::Blend,
        }
    }
}

/// Collections of Flax that stand before every name.
const COLLECTIONS: [&str; 2] = ["params", "batch_stats"];

/// What a name of a file says. MXNet's `arg:` and `aux:`, TensorFlow's `:0` and Flax's collections are left out.
pub fn meaning(name: &str) -> Meaning {
    let bare = name.strip_prefix("arg:").or_else(|| name.strip_prefix("aux:")).unwrap_or(name);
    let bare = bare.strip_suffix(":0").unwrap_or(bare);
    let mut path: Vec<&str> = bare.split(['.', '/']).collect();
    if path.len() > 1 && COLLECTIONS.contains(&path[0]) {
        path.remove(0);
    }
    let last = path.pop().expect("splitting gives at least one piece");
    let known = |word: &str| WORDS.iter().find(|(known, _)| *known == word).map(|(_, part)| *part);
    if let Some(part) = known(last) {
        return Meaning { stem: path.join("."), part };
    }
    // `fc1_weight`, `bn_moving_mean`: the longest word that ends the name.
    let ending = WORDS
        .iter()
        .filter_map(|(word, part)| Some((last.strip_suffix(word)?.strip_suffix('_')?, word.len(), *part)))
        .filter(|(stem, ..)| !stem.is_empty())
        .max_by_key(|(_, length, _)| *length);
    match ending {
        Some((stem, _, part)) => {
            path.push(stem);
            Meaning { stem: path.join("."), part }
        }
        None => {
            path.push(last);
            Meaning { stem: path.join("."), part: Part::Unknown }
        }
    }
}

/// The word of a part that ends a name: `running_mean` of `bn1_running_mean`.
pub fn word(name: &str) -> Option<&'static str> {
    let ends =
        |word: &&str| name.strip_suffix(*word).is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '/', '_']));
    WORDS.iter().map(|(word, _)| *word).filter(ends).max_by_key(|word| word.len())
}

/// Wrappers that some tools put before every name of a network: a dictionary's key, DataParallel's `module`.
const WRAPPERS: [&str; 11] = [
    "model_state_dict",
    "state_dict",
    "model",
    "network",
    "net",
    "module",
    "_orig_mod",
    "params",
    "weights",
    "layers",
    "ema",
];

/// The wrapper that all of these names begin with, `module.` say; empty where they do not.
pub fn wrapper<'n>(names: impl Iterator<Item = &'n str> + Clone) -> String {
    let mut found = String::new();
    loop {
        let rest = |name: &'n str| name.get(found.len()..);
        let Some(first) = names.clone().next().and_then(rest) else { return found };
        let Some(head) =
            WRAPPERS.iter().find(|word| first.strip_prefix(**word).is_some_and(|rest| rest.starts_with(['.', '/'])))
        else {
            return found;
        };
        let longer = format!("{found}{}", &first[..=head.len()]);
        if !names.clone().all(|name| name.starts_with(&longer)) {
            return found;
        }
        found = longer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_the_same() {
        let cases = [
            ("h1.weight", "h1", Part::Weight),
            ("h1.norm.running_var", "h1.norm", Part::Variance),
            ("arg:fc1_weight", "fc1", Part::Weight),
            ("aux:bn1_moving_mean", "bn1", Part::Mean),
            ("bn1_running_mean", "bn1", Part::Mean),
            ("0.weight", "0", Part::Weight),
            ("dense/kernel:0", "dense", Part::Kernel),
            ("dense_1.kernel", "dense_1", Part::Kernel),
            ("params/Dense_0/kernel", "Dense_0", Part::Kernel),
            ("batch_stats/BatchNorm_0/var", "BatchNorm_0", Part::Variance),
            ("encoder.fc.num_batches_tracked", "encoder.fc", Part::Count),
            ("weight", "", Part::Weight),
            ("rnn.weight_ih_l0", "rnn.weight_ih_l0", Part::Unknown),
            ("", "", Part::Unknown),
        ];
        for (name, stem, part) in cases {
            assert_eq!(meaning(name), Meaning { stem: stem.into(), part }, "{name}");
        }
    }

    #[test]
    fn a_wrapper_is_what_all_names_begin_with() {
        let of = |names: &[&'static str]| wrapper(names.iter().copied());
        assert_eq!(of(&["model.module.a.weight", "model.module.b.weight"]), "model.module.");
        assert_eq!(of(&["model.a.weight", "b.weight"]), "");
        assert_eq!(of(&["fc1.weight", "fc1.bias"]), "");
        assert_eq!(of(&[]), "");
    }
}
