//! Times for people: the distance from now and the date.

use jiff::{SignedDuration, Timestamp, Unit};

/// `2026-11-24 14:00`, in UTC: for the columns of a table.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// `2026-11-24 14:00 UTC`.
pub fn minute_in_utc(at: Timestamp) -> String {
    format!("{} UTC", minute(at))
}

/// `in 3h 10m (2026-11-24 14:00 UTC)`, or `10m ago (...)`.
pub fn when(at: Timestamp, now: Timestamp) -> String {
    let away = at.duration_since(now);
    let date = minute_in_utc(at);
    if away.abs() < SignedDuration::from_mins(1) {
        return format!("now ({date})");
    }
    let away = to_the_minute(away);
    if away.is_positive() {
        format!("in {} ({date})", span(away))
    } else {
        format!("{} ago ({date})", span(away.abs()))
    }
}

/// `for another 30m (until 2026-11-24 11:30 UTC)`.
pub fn for_another(until: Timestamp, now: Timestamp) -> String {
    let left = span(to_the_minute(until.duration_since(now)));
    format!("for another {left} (until {})", minute_in_utc(until))
}

/// `opens for another 30m (until 2026-11-24 11:30 UTC)`, or `ended 10m ago (...)`.
pub fn opens(until: Timestamp, now: Timestamp) -> String {
    if until > now {
        return format!("opens {}", for_another(until, now));
    }
    let past = span(to_the_minute(now.duration_since(until)));
    format!("ended {past} ago ({})", minute_in_utc(until))
}

/// Rounds to the minute, so that a fresh loan of 4h shows 4h and not 3h 59m. Below a minute,
/// seconds count.
fn to_the_minute(duration: SignedDuration) -> SignedDuration {
    match duration.abs() < SignedDuration::from_mins(1) {
        true => duration,
        false => duration.round(Unit::Minute).unwrap_or(duration),
    }
}

/// The two largest units: `1d 4h`, `3h 10m`, `45s`.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let parts = [
        (seconds / 86_400, "d"),
        (seconds % 86_400 / 3_600, "h"),
        (seconds % 3_600 / 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(n, _)| *n > 0).unwrap_or(3);
    // Seconds matter only below a minute.
    let last = (first + 2).min(if first < 3 { 3 } else { 4 });
    let shown = parts[first..last]
        .iter()
        .enumerate()
        .filter(|(index, (n, _))| *index == 0 || *n > 0);
    shown
        .map(|(_, (n, unit))| format!("{n}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The age of an object, for a column.
pub fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(String::new, |since| {
        let age = span(now.duration_since(since));
        age.split(' ').next().unwrap_or_default().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("2026-11-24T14:00:00Z", "in 3h 10m (2026-11-24 14:00 UTC)")]
    #[case("2026-11-26T15:20:00Z", "in 2d 4h (2026-11-26 15:20 UTC)")]
    #[case("2026-11-24T10:40:00Z", "10m ago (2026-11-24 10:40 UTC)")]
    #[case("2026-11-24T11:50:00Z", "in 1h (2026-11-24 11:50 UTC)")]
    #[case("2026-11-24T14:49:58Z", "in 4h (2026-11-24 14:49 UTC)")]
    #[case("2026-11-24T10:50:20Z", "now (2026-11-24 10:50 UTC)")]
    fn a_time_is_told_by_its_distance_and_its_date(#[case] at: &str, #[case] told: &str) {
        let now = "2026-11-24T10:50:00Z".parse().unwrap();
        assert_eq!(when(at.parse().unwrap(), now), told);
    }

    #[rstest::rstest]
    #[case(
        "2026-11-24T11:20:00Z",
        "opens for another 30m (until 2026-11-24 11:20 UTC)"
    )]
    #[case("2026-11-24T10:49:15Z", "ended 45s ago (2026-11-24 10:49 UTC)")]
    fn what_opens_is_told_with_its_end(#[case] until: &str, #[case] told: &str) {
        let now = "2026-11-24T10:50:00Z".parse().unwrap();
        assert_eq!(opens(until.parse().unwrap(), now), told);
    }

    #[rstest::rstest]
    #[case(0, "0s")]
    #[case(45, "45s")]
    #[case(61, "1m")]
    #[case(3_600, "1h")]
    #[case(90_061, "1d 1h")]
    fn a_span_has_the_two_largest_units(#[case] seconds: i64, #[case] told: &str) {
        assert_eq!(span(SignedDuration::from_secs(seconds)), told);
    }
}
