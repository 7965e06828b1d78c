//! Numbers as a reader takes them in at a glance: `13.1k`, `16 GFLOP`, `98.3 %`. The record and `--json`
//! hold the exact ones.

/// `32`, `13.1k`, `1.2M`: three digits that matter.
pub fn count(n: u64) -> String {
    scaled(n as f64, &["", "k", "M", "G", "T", "P", "E"])
}

/// `930 MFLOP`, `16 GFLOP`.
pub fn flops(n: f64) -> String {
    let text = scaled(n, &["", " k", " M", " G", " T", " P", " E"]);
    if text.contains(' ') { format!("{text}FLOP") } else { format!("{text} FLOP") }
}

/// `512 B`, `1.4 MB`, by thousands.
pub fn bytes(n: u64) -> String {
    let text = scaled(n as f64, &["", " k", " M", " G", " T", " P", " E"]);
    if text.contains(' ') { format!("{text}B") } else { format!("{text} B") }
}

/// `98.3 %`
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", 100.0 * fraction)
}

/// `+0.4 %`, `-3.1 %`; what rounds to nothing is `0`.
pub fn signed_percent(fraction: f64) -> String {
    // A network that diverges would need forty digits.
    if fraction.abs() >= 1e4 {
        return format!("{:+.1e} %", 100.0 * fraction);
    }
    let text = format!("{:+.1} %", 100.0 * fraction);
    if text == "+0.0 %" || text == "-0.0 %" { "0".into() } else { text }
}

/// Two digits, for what is tiny by nature: `8.4e-4`, and `0` only when it is exactly that.
pub fn tiny(x: f64) -> String {
    if x == 0.0 { "0".into() } else { format!("{x:.1e}") }
}

/// A metric's value: a share as a percent, anything else with four digits that matter.
pub fn metric(name: &str, value: f64) -> String {
    if name.ends_with("accuracy") { percent(value) } else { significant(value) }
}

/// Four digits that matter: `0.07134`, `12.35`, `1.234e-7`.
pub fn significant(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        format!("{x}")
    } else if !(1e-4..1e6).contains(&size) {
        format!("{x:.3e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).max(0) as usize;
        format!("{x:.digits$}")
    }
}

/// Two digits that matter: `0.57`, `12`, `1.2e-5`.
pub fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        format!("{x}")
    } else if !(1e-3..1e4).contains(&size) {
        format!("{x:.1e}")
    } else {
        let digits = (1 - size.log10().floor() as i32).max(0) as usize;
        format!("{x:.digits$}")
    }
}

/// `2.3 s`, `1 min 12 s`, `2 h 05 min`.
pub fn seconds(s: f64) -> String {
    if s < 0.0995 {
        format!("{:.0} ms", 1000.0 * s)
    } else if s < 59.95 {
        format!("{s:.1} s")
    } else {
        let whole = s.round() as u64;
        if whole < 3600 {
            format!("{} min {:02} s", whole / 60, whole % 60)
        } else {
            format!("{} h {:02} min", whole / 3600, whole % 3600 / 60)
        }
    }
}

/// `2025-11-03 14:02` of seconds since 1970, in UTC.
pub fn date(epoch_seconds: u64) -> String {
    let (days, seconds) = (epoch_seconds / 86_400, epoch_seconds % 86_400);
    // Years of 365.2425 days that begin in March, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", seconds / 3600, seconds % 3600 / 60)
}

/// `1 step`, `2 steps`
pub fn plural(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn scaled(n: f64, suffixes: &[&str]) -> String {
    let mut value = n;
    let mut rank = 0;
    // 999.95 would be written 1000.0, which belongs to the next suffix.
    while value >= if rank == 0 { 999.5 } else { 999.95 } && rank + 1 < suffixes.len() {
        value /= 1000.0;
        rank += 1;
    }
    let text = if rank == 0 { format!("{value:.0}") } else { format!("{value:.1}") };
    let text = text.strip_suffix(".0").unwrap_or(&text);
    format!("{text}{}", suffixes[rank])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_change_their_suffix_where_they_would_need_four_digits() {
        let cases = [(0, "0"), (999, "999"), (1000, "1k"), (3466, "3.5k"), (13_130, "13.1k"), (999_949, "999.9k")];
        for (n, text) in cases {
            assert_eq!(count(n), text);
        }
        assert_eq!(count(999_950), "1M");
        assert_eq!(count(u64::MAX), "18.4E");
        assert_eq!(flops(16e9), "16 GFLOP");
        assert_eq!(flops(12.0), "12 FLOP");
        assert_eq!(bytes(1_400_000), "1.4 MB");
    }

    #[test]
    fn small_things_keep_their_digits_and_zero_is_only_zero() {
        assert_eq!(tiny(8.4e-4), "8.4e-4");
        assert_eq!(tiny(0.0), "0");
        assert_eq!((short(0.5734), short(1.4639), short(23.9)), ("0.57".into(), "1.5".into(), "24".into()));
        assert_eq!((short(0.0), short(1.23e-5)), ("0".into(), "1.2e-5".into()));
        assert_eq!(significant(0.071338), "0.07134");
        assert_eq!(significant(12.3456), "12.35");
        assert_eq!(significant(123_456.0), "123456");
        assert_eq!(significant(1.2346e-7), "1.235e-7");
        assert_eq!(significant(f64::NAN), "NaN");
        assert_eq!(metric("val_accuracy", 0.98333), "98.3 %");
        assert_eq!(signed_percent(0.004), "+0.4 %");
        assert_eq!(signed_percent(-0.0001), "0");
    }

    #[test]
    fn a_date_is_that_of_the_calendar() {
        // As `date -u -d @N` prints them.
        let cases = [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_762_178_520, "2025-11-03 14:02"),
            (4_107_542_399, "2100-02-28 23:59"),
            (4_107_542_400, "2100-03-01 00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(date(seconds), text);
        }
    }

    #[test]
    fn time_is_told_in_its_two_largest_units() {
        assert_eq!(seconds(0.012), "12 ms");
        assert_eq!(seconds(2.34), "2.3 s");
        assert_eq!(seconds(59.96), "1 min 00 s");
        assert_eq!(seconds(7500.0), "2 h 05 min");
    }
}
