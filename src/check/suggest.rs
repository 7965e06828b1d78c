//! "Did you mean": the nearest of the words that would be right at this place.

/// Longer words are not compared: nobody types them by hand, and the distance is quadratic in the length.
const LETTERS_MAX: usize = 64;
/// So many candidates are compared: a hostile file has as many names as mistakes.
const CANDIDATES_MAX: usize = 500;
/// A candidate that stands whole in the word has so many letters: `pad` in `padding`, but no `to` in `total`.
const PART_MIN: usize = 3;

/// The candidate that `word` was probably meant to be, if any is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = word.chars().count();
    if letters > LETTERS_MAX {
        return None;
    }
    // A third of the letters may be wrong: enough for a slip, too little to turn `relu` into `to`.
    let allowed = (letters / 3).max(1);
    let word = word.to_lowercase();
    let (mut near, mut within) = (None, None);
    for candidate in candidates.into_iter().take(CANDIDATES_MAX) {
        let distance = distance(&word, letters, allowed, candidate);
        if distance.is_some_and(|distance| near.is_none_or(|(least, _)| distance < least)) {
            near = distance.map(|distance| (distance, candidate));
        }
        let is_longest = within.is_none_or(|known: &str| candidate.len() > known.len());
        if candidate.len() >= PART_MIN && is_longest && (word.starts_with(candidate) || word.ends_with(candidate)) {
            within = Some(candidate);
        }
    }
    near.map(|(_, candidate)| candidate).or(within)
}

/// How many letters are wrong, where those are not too many.
fn distance(word: &str, letters: usize, allowed: usize, candidate: &str) -> Option<usize> {
    let length = candidate.chars().take(letters + allowed + 1).count();
    if length.abs_diff(letters) > allowed {
        return None;
    }
    let distance = strsim::damerau_levenshtein(word, &candidate.to_lowercase());
    (distance <= allowed && distance < length).then_some(distance)
}

/// `a`, `b` or `c`, each in backticks.
pub fn any_of<S: AsRef<str>>(words: &[S]) -> String {
    list(words, "or")
}

/// `a`, `b` and `c`, each in backticks.
pub fn all_of<S: AsRef<str>>(words: &[S]) -> String {
    list(words, "and")
}

fn list<S: AsRef<str>>(words: &[S], last_word: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match quoted.as_slice() {
        [] => "nothing".into(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} {last_word} {last}", init.join(", ")),
    }
}

/// Help for an unknown word: the nearest candidate, else all of them when they are few.
pub fn help<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => None,
        1..=12 => Some(format!("use {}", any_of(&all))),
        _ => {
            Some(format!("use {}, …", all[..12].iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        assert_eq!(nearest("rellu", ["relu", "gelu", "selu"]), Some("relu"));
        assert_eq!(nearest("metod", ["method", "to", "eps"]), Some("method"));
        assert_eq!(nearest("Relu", ["relu"]), Some("relu"));
        assert_eq!(nearest("patience", ["method", "to", "eps"]), None);
        assert_eq!(nearest("h9", ["h1", "h2"]), Some("h1"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("padding", ["stride", "pad"]), Some("pad"));
        assert_eq!(nearest("maxpool", ["conv", "pool"]), Some("pool"));
        assert_eq!(nearest("total", ["to", "by"]), None);
    }

    #[test]
    fn a_hostile_file_cannot_make_the_search_long() {
        let looked_at = std::cell::Cell::new(0);
        let names: Vec<String> = (0..10_000).map(|n| format!("layer{n:05}")).collect();
        let counted = names.iter().map(String::as_str).inspect(|_| looked_at.set(looked_at.get() + 1));
        assert_eq!(nearest("lover00007", counted), Some("layer00007"));
        assert_eq!(looked_at.get(), CANDIDATES_MAX);
        let long = "a".repeat(LETTERS_MAX + 1);
        assert_eq!(nearest(&long, ["aaaa", long.as_str()]), None, "the distance is quadratic in the length");
        let candidate = "b".repeat(1 << 20);
        assert_eq!(nearest("relu", [candidate.as_str(), "rulu"]), Some("rulu"));
    }
}
