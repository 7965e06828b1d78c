//! A long schedule is read piece by piece: pest keeps tokens for all that it reads at once, many times the
//! text's own size, and making room for them cost as much time as reading.

use std::ops::Range;

/// Bytes after which a piece ends at the next place where it can.
const ENOUGH: usize = 8 << 10;

/// The text in pieces, each of whole statements: a piece ends with a line outside of every block, before a
/// line that begins with a letter (a `{` on a line of its own belongs to the statement before it).
/// `cover` has matched braces and quotes, as `scan` leaves it.
pub fn pieces(cover: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut at, mut depth) = (0, 0, 0_isize);
    for line in cover.split_inclusive('\n') {
        if depth == 0 && at - start >= ENOUGH && line.starts_with(|c: char| c.is_ascii_alphabetic()) {
            pieces.push(start..at);
            start = at;
        }
        depth += balance(line);
        at += line.len();
    }
    pieces.push(start..cover.len());
    pieces
}

/// Opening less closing braces of a line, outside of strings and comments.
fn balance(line: &str) -> isize {
    let mut balance = 0;
    let mut in_string = false;
    for byte in line.bytes() {
        match byte {
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'#' => break,
            b'{' => balance += 1,
            b'}' => balance -= 1,
            _ => {}
        }
    }
    balance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole_text_and_never_cut_a_block() {
        let block = "arm a {\n  # } not the end\n  at epoch 1 save \"}\"\n}\n{\n}\nat epoch 2 stop\n";
        let text = block.repeat(2 * ENOUGH / block.len() + 1);
        let all = pieces(&text);
        assert!(all.len() >= 2, "{all:?}");
        assert_eq!((all[0].start, all[all.len() - 1].end), (0, text.len()));
        for pair in all.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
            let next = &text[pair[1].clone()];
            assert!(next.starts_with("arm a {") || next.starts_with("at epoch 2"), "{}", &next[..30]);
        }
    }

    #[test]
    fn a_short_text_is_one_piece() {
        for text in ["at epoch 1 stop\n", ""] {
            assert_eq!(pieces(text), std::slice::from_ref(&(0..text.len())));
        }
    }
}
