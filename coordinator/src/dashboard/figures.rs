//! Numbers and times as the pages write them.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Written where there is no number.
pub(super) const NONE: &str = "–";

/// Returns a number with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns a number of things; `thing` is the word for one.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// Returns a time in its two largest units.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Returns how long ago something was, roughly, so that a page need not change every second.
pub(super) fn ago(time: Duration) -> String {
    match time.as_secs() {
        0..10 => "just now".to_owned(),
        seconds @ 10..60 => format!("{} s ago", seconds / 10 * 10),
        seconds => format!("{} min ago", seconds / 60),
    }
}

/// Returns a speed in tokens per second.
pub(super) fn speed(tokens: f64) -> String {
    // The sum of no speeds is a negative zero.
    let tokens = tokens.abs();
    if tokens < 10.0 {
        format!("{tokens:.1}")
    } else {
        count(tokens as u64)
    }
}

/// Returns an amount of memory.
pub(super) fn memory(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && amount < 10.0);
    format!("{amount:.digits$} {}", units[unit])
}

/// Returns a time of the calendar; `None` if there is none.
pub(super) fn time(ms: u64) -> Option<String> {
    let time = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    let time = DateTime::<Utc>::from_timestamp_millis(time)?;
    Some(time.format("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([-0.0, 9.96, 12_345.6].map(speed), ["0.0", "10.0", "12,345"]);
        assert_eq!(
            [0, 1, 2000].map(|number| counted(number, "row")),
            ["0 rows", "1 row", "2,000 rows"]
        );
        assert_eq!(
            [12, 1536, 24 << 30].map(memory),
            ["12 bytes", "1.5 KiB", "24 GiB"]
        );
    }

    #[test]
    fn times_have_two_units() {
        let of = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [59, 61, 3661, 90_000].map(of),
            ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]
        );
        let ago = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!([9, 59, 125].map(ago), ["just now", "50 s ago", "2 min ago"]);
        assert_eq!(
            time(1_700_000_040_000).as_deref(),
            Some("2023-11-14 22:14 UTC")
        );
        assert_eq!(time(0), None);
    }
}
