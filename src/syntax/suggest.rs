//! "Did you mean": the nearest of the words that could stand in a place.

/// The candidate nearest to `word`, when it is near enough to be meant. On a tie the first one wins.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in a short word, two in a longer one, three in a long one; a transposition is one slip.
    let letters = word.chars().count();
    let allowed = match letters {
        0..=1 => return None,
        2..=4 => 1,
        5..=8 => 2,
        // Nobody types a name this long by hand, and the distance is quadratic in its length.
        65.. => return None,
        _ => 3,
    };
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().take(letters + allowed + 1).count().abs_diff(letters) <= allowed)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `a`, `b` or `c`, for a sentence.
pub fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_string(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
