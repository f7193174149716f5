//! Times that a person types: how long ago, a day, or a point in time.

use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::api::Span;
use crate::plan::record::day_of;

/// A time as a person gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This long before now.
    Ago(SignedDuration),
    /// A day in UTC.
    Day(Date),
    /// A point in time.
    At(Timestamp),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(ago) = Span(text.to_owned()).parse() {
            return Ok(Self::Ago(ago));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        // jiff takes the date of a longer text, too.
        let day = text.parse().ok().filter(|_| text.len() == DAY_LENGTH);
        day.map(Self::Day).ok_or_else(|| {
            "use how long ago, such as 30d or 12h, a day such as 2026-11-24, or a time such as \
             2026-11-24T10:30:00Z"
                .into()
        })
    }
}

const DAY_LENGTH: usize = "2026-11-24".len();

impl Moment {
    /// The time at which it begins.
    pub fn start(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.saturating_sub(ago).unwrap_or(Timestamp::MIN),
            Self::Day(day) => midnight(day),
            Self::At(at) => at,
        }
    }

    /// The times between which it is: for a point in time, a second.
    pub fn span(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let (start, end) = (self.start(now), self.end(now));
        let second = start.saturating_add(SignedDuration::from_secs(1));
        (start, second.map_or(end, |second| end.max(second)))
    }

    /// The time at which it is over: a day ends 24 hours after its start.
    pub fn end(self, now: Timestamp) -> Timestamp {
        let start = self.start(now);
        match self {
            Self::Day(_) => start.saturating_add(A_DAY).unwrap_or(Timestamp::MAX),
            Self::Ago(_) | Self::At(_) => start,
        }
    }
}

const A_DAY: SignedDuration = SignedDuration::from_hours(24);

fn midnight(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC)
        .map_or(Timestamp::MIN, |zoned| zoned.timestamp())
}

/// The days in UTC from one time to another, unless there are more than `most`.
pub fn days(from: Timestamp, until: Timestamp, most: usize) -> Option<Vec<String>> {
    let last = day_of(until);
    let mut days = vec![day_of(from)];
    let mut at = from;
    while days.last() != Some(&last) {
        at = at.checked_add(A_DAY).ok().filter(|at| {
            let same_day = day_of(*at) == last;
            days.len() < most && (*at <= until || same_day)
        })?;
        days.push(day_of(at));
    }
    Some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest::rstest]
    #[case("2d", "2026-11-22T11:00:00Z", "2026-11-22T11:00:00Z")]
    #[case("2026-11-20", "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")]
    #[case(
        "2026-11-20T10:30:00+02:00",
        "2026-11-20T08:30:00Z",
        "2026-11-20T08:30:00Z"
    )]
    fn a_time_is_a_distance_a_day_or_a_point(
        #[case] text: &str,
        #[case] start: &str,
        #[case] end: &str,
    ) {
        let (moment, now) = (text.parse::<Moment>().unwrap(), at("2026-11-24T11:00:00Z"));
        assert_eq!(moment.start(now), at(start));
        assert_eq!(moment.end(now), at(end));
    }

    #[rstest::rstest]
    #[case("yesterday")]
    #[case("2026-11-31")]
    #[case("2026-11-20T10:30:00")]
    #[case("-1d")]
    #[case("")]
    fn what_is_no_time_is_refused(#[case] text: &str) {
        text.parse::<Moment>().unwrap_err();
    }

    #[rstest::rstest]
    #[case(
        "2026-11-24T23:59:00Z",
        "2026-11-25T00:01:00Z",
        Some("2026-11-24,2026-11-25")
    )]
    #[case("2026-11-24T00:00:00Z", "2026-11-24T23:00:00Z", Some("2026-11-24"))]
    #[case(
        "2026-11-24T12:00:00Z",
        "2026-11-26T11:00:00Z",
        Some("2026-11-24,2026-11-25,2026-11-26")
    )]
    #[case("2026-11-24T12:00:00Z", "2026-11-27T11:00:00Z", None)]
    #[case("2026-11-24T12:00:00Z", "2026-11-01T11:00:00Z", None)]
    fn few_days_are_named_each(
        #[case] from: &str,
        #[case] until: &str,
        #[case] told: Option<&str>,
    ) {
        let days = days(at(from), at(until), 3).map(|days| days.join(","));
        assert_eq!(days.as_deref(), told);
    }
}
