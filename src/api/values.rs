//! The small values that several kinds share: durations, e-mail addresses, references.

use std::fmt;

use jiff::SignedDuration;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A span of time such as `4h`, `90m` or `1d12h`: whole days (24 hours), hours and minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Span(
    #[schemars(length(min = 2, max = 16), regex(pattern = r"^([1-9][0-9]*[dhm])+$"))] pub String,
);

impl Span {
    /// The longest span that is understood; longer ones count as this one.
    const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3650);

    /// The span as a duration, or `None` if the text is not of the form `1d12h30m`.
    pub fn parse(&self) -> Option<SignedDuration> {
        let mut seconds: i64 = 0;
        let mut number: Option<i64> = None;
        for c in self.0.chars() {
            if let Some(digit) = c.to_digit(10) {
                if number.is_none() && digit == 0 {
                    return None;
                }
                let so_far = number.unwrap_or(0);
                number = Some(so_far.saturating_mul(10).saturating_add(i64::from(digit)));
            } else {
                let unit = match c {
                    'd' => 86_400,
                    'h' => 3_600,
                    'm' => 60,
                    _ => return None,
                };
                seconds = seconds.saturating_add(number.take()?.saturating_mul(unit));
            }
        }
        let complete = number.is_none() && seconds > 0;
        complete.then(|| SignedDuration::from_secs(seconds).min(Self::LONGEST))
    }

    /// The shortest way to write a duration, rounded down to whole minutes.
    pub fn of(duration: SignedDuration) -> Self {
        let minutes = duration.as_secs().max(60) / 60;
        let parts = [
            (minutes / 1440, 'd'),
            (minutes % 1440 / 60, 'h'),
            (minutes % 60, 'm'),
        ];
        Self(
            parts
                .iter()
                .filter(|(n, _)| *n > 0)
                .map(|(n, unit)| format!("{n}{unit}"))
                .collect(),
        )
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The grammar of the e-mail addresses that are accepted: lower-case ASCII, without display name,
/// comments or quotes. Admission reads identities with it, too.
pub const EMAIL_PATTERN: &str = r"^[a-z0-9_'+-]+(\.[a-z0-9_'+-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$";
/// A time in UTC, of this millennium. The API server's own check of `date-time` lets offsets and
/// years pass that [`Time`] cannot hold; a single such object would make its whole list unreadable.
pub const UTC_PATTERN: &str =
    r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$";
/// The name of a namespace: a DNS label.
pub const LABEL_PATTERN: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// The name of an object: a DNS subdomain.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";

/// An e-mail address in lower-case ASCII, without display name, comments or quotes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Email(#[schemars(length(max = 254), regex(pattern = EMAIL_PATTERN))] pub String);

impl Email {
    /// What follows the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The domain of an e-mail address, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Domain(
    #[schemars(
        length(max = 253),
        regex(pattern = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$")
    )]
    pub String,
);

/// The name of an integration: a DNS label, because it becomes the value of a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct IntegrationName(
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = LABEL_PATTERN)
    )]
    pub String,
);

/// The title or the id of a 1Password vault or item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TitleOrId(#[schemars(length(min = 1, max = 256))] pub String);

/// The id of a 1Password item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ItemId(#[schemars(length(min = 1, max = 256))] pub String);

/// A pattern for the title of a 1Password item: `*` stands for any characters, `?` for one; upper and lower case differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TitlePattern(#[schemars(length(min = 1, max = 256))] pub String);

/// A tag of a 1Password item, exactly as it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tag(#[schemars(length(min = 1, max = 256))] pub String);

/// How to reach what was lent: shown to the borrower beside the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AccessDetails(#[schemars(length(min = 1, max = 400))] pub String);

/// Something of 1Password's that has been resolved: its id, and its title as it was then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resolved {
    /// The id, which never changes.
    pub id: String,
    /// The title at that time.
    pub title: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("1h", Some(3_600))]
    #[case("1d12h30m", Some(131_400))]
    #[case("90m", Some(5_400))]
    #[case("99999999999999d", Some(24 * 3650 * 3600))]
    #[case("", None)]
    #[case("h", None)]
    #[case("0h", None)]
    #[case("5", None)]
    #[case("1h5", None)]
    #[case("1s", None)]
    #[case("-1h", None)]
    fn spans_are_days_hours_and_minutes(#[case] text: &str, #[case] seconds: Option<i64>) {
        assert_eq!(Span(text.into()).parse().map(|d| d.as_secs()), seconds);
    }

    #[test]
    fn a_span_is_written_as_short_as_possible() {
        assert_eq!(Span::of(SignedDuration::from_mins(90)).0, "1h30m");
        assert_eq!(Span::of(SignedDuration::from_hours(24)).0, "1d");
    }
}
