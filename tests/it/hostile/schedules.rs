//! The text of a schedule: much of one character, and sizes beyond every limit.

use super::*;

const MEBIBYTE: usize = 1 << 20;

#[test]
fn a_mebibyte_of_one_piece() {
    let pieces = [
        "{",
        "}",
        "\"",
        "(",
        ")",
        "[",
        "]",
        "#",
        "'",
        "$",
        "%",
        "\\",
        ":",
        ",",
        "=",
        "\u{0}",
        "\u{1b}",
        "é",
        "{\n",
        "\"\n",
        "a\n",
        "a;",
        "a{",
        "at ",
        "$a ",
        "at epoch 1 widen h1 to 4\n",
        "include \"x\"\n",
        "let a = 1\n",
    ];
    for piece in pieces {
        let many = piece.repeat((MEBIBYTE - 200) / piece.len());
        println!("{piece:?}");
        Stranger::new().with("a.grow", &many).is_refused("G0");
    }
    // Where mistakes are told with the layers that there are.
    for piece in ["a\n", "a;", "\"\n", "$a\n", "$a ", "include \"x\"\n", "let a = 1\n", "h1 dense 4 relu;"] {
        let many = piece.repeat((MEBIBYTE - 200) / piece.len());
        println!("{piece:?} as layers");
        let text = format!("data digits\nmodel {{ {many} }}\n{TRAIN}");
        Stranger::new().with("a.grow", text).is_refused("G0");
    }
}

#[test]
fn a_byte_more_than_a_mebibyte() {
    Stranger::new().with("a.grow", "#".repeat(MEBIBYTE + 1)).is_refused("G0004");
}

#[test]
fn sizes_over_their_caps() {
    let train = |length: &str, event: &str| DIGITS.replace("2 epochs", length) + event;
    let cases = [
        // 10⁹ events, first by the steps, then with the steps allowed below.
        ("G0603", train("1_000_000_000 steps", "every 1 steps set lr by 0.99x")),
        ("G0604", train("100_000_000 steps", "every 1 steps set lr by 0.99x")),
        ("G0603", train("100_000_001 steps", "")),
        ("G0603", train("18446744073709551615 steps", "")),
        ("G0601", train("2 epochs", "at epoch 1 widen h1..h2 to 31_624")),
        ("G0601", train("2 epochs", "at epoch 1 widen h2 to 1_000_000_001")),
        ("G0601", DIGITS.replace("h1 dense 8", "h1 dense 1_000_000_001")),
        ("G0", DIGITS.replace("h1 dense 8", "h1 dense 18446744073709551616")),
        ("G0727", DIGITS.replace("digits { limit 200 }", "spirals { samples 1_000_000_000 }")),
        ("G0727", DIGITS.replace("digits { limit 200 }", "blobs { samples 1_000_000; inputs 1_000_000 }")),
    ];
    for (code, text) in cases {
        println!("{text}");
        Stranger::new().with("a.grow", &text).is_refused(code);
    }
    let thousand_million = train("1_000_000_000 steps", "every 1 steps set lr by 0.99x");
    let stranger = Stranger::new().with("a.grow", thousand_million);
    let refused = stranger.call(&["a.grow", "--steps-limit", "2000000000"]);
    assert!(refused.stderr.contains("G0604 × these events fire 1000000000 times"), "{}", refused.stderr);
}

/// One parameter beyond the cap is refused, and the cap itself is not.
#[test]
fn the_cap_of_parameters_is_exact() {
    let text = DIGITS.replace("h2 dense 8 relu; ", "") + "at epoch 1 widen h1 to 4_000\n";
    // h1 has 64 weights and a bias a unit, out 10 weights a unit and 10 biases.
    let parameters = 4_000 * 65 + 4_000 * 10 + 10;
    let stranger = Stranger::new().with("a.grow", text);
    let refused = stranger.call(&["a.grow", "--parameters-limit", &(parameters - 1).to_string()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("G0601"), "{}", refused.stderr);
    assert!(!stranger.path("runs").exists());
    let accepted = stranger.call(&["a.grow", "--parameters-limit", &parameters.to_string(), "--quiet"]);
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
}

/// No batch holds more than the data, so this is no size at all.
#[test]
fn a_batch_of_a_million_millions() {
    let stranger = Stranger::new().with("a.grow", DIGITS.replace("limit 200", "limit 200; batch 1_000_000_000_000"));
    let ran = stranger.call(&["a.grow", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn limits_that_the_user_sets_hold_before_the_run() {
    let stranger = Stranger::new().with("a.grow", DIGITS);
    for (flag, code) in [("--memory-limit", "G0602"), ("--disk-limit", "G0605")] {
        let refused = stranger.call(&["a.grow", flag, "10kB"]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(code) && refused.stderr.contains(flag), "{}", refused.stderr);
        assert!(!stranger.path("runs").exists());
    }
    let endless = DIGITS.replace("2 epochs { }", "90_000_000 steps { log every 1 steps; evaluate every 1 steps }");
    Stranger::new().with("a.grow", endless).is_refused("G0605");
}
