//! Small values that several kinds share: durations, e-mail addresses, references.

use std::fmt;

use jiff::SignedDuration;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A duration such as `4h`, `90m`, `1d12h` or `2w`, in whole weeks (7 days), days (24 hours),
/// hours, minutes and seconds. The form that Kubernetes prints (`2h0m0s`) is accepted, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Span(#[schemars(length(max = 64), regex(pattern = SPAN_PATTERN))] pub String);

/// The rule against durations below the shortest link lifetime. CEL's `duration` knows neither days
/// nor weeks and fails on large numbers, so the other branches keep such values away from it.
pub const AN_HOUR_OR_MORE: &str = "self.matches('[1-9][0-9]*[wdh]|[1-9][0-9]{4,}[ms]') || duration('0' + self.replace('0w', '').replace('0d', '')) >= duration('1h')";

/// The rule against durations below ten minutes, with the same precautions.
pub const TEN_MINUTES_OR_MORE: &str = "self.matches('[1-9][0-9]*[wdh]|[1-9][0-9]{4,}[ms]') || duration('0' + self.replace('0w', '').replace('0d', '')) >= duration('10m')";

impl Span {
    /// The longest duration that is supported. Longer ones are cut to it.
    const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 3650);

    /// The parsed duration, or `None` if the text does not have the form `1d12h30m`.
    pub fn parse(&self) -> Option<SignedDuration> {
        let mut seconds: i64 = 0;
        let mut number = String::new();
        for c in self.0.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit: i64 = match c {
                'w' => 7 * 86_400,
                'd' => 86_400,
                'h' => 3_600,
                'm' => 60,
                's' => 1,
                _ => return None,
            };
            if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
                return None;
            }
            // A number with too many digits stands for a very long time.
            let count = number.parse().unwrap_or(i64::MAX);
            number.clear();
            seconds = seconds.saturating_add(unit.saturating_mul(count));
        }
        let complete = number.is_empty() && seconds > 0;
        complete.then(|| SignedDuration::from_secs(seconds).min(Self::LONGEST))
    }

    /// The shortest notation of a duration, rounded down to whole minutes.
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

/// The form of a duration: not only zeros, and no number with a leading zero.
pub const SPAN_PATTERN: &str = r"^(0[wdhms])*[1-9][0-9]*[wdhms]((0|[1-9][0-9]*)[wdhms])*$";
/// The grammar of accepted e-mail addresses: lower-case ASCII, without display name, comments or
/// quotes. Admission uses it, too, to read identities.
pub const EMAIL_PATTERN: &str = r"^[a-z0-9_'+-]+(\.[a-z0-9_'+-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$";
/// The domain of such an address.
pub const DOMAIN_PATTERN: &str = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])?$";
/// An existing time of this millennium, in UTC or with an offset. The API server's own check of
/// `date-time` accepts offsets and years that [`Time`] cannot hold, and days that do not exist. A
/// single such object would make its whole list unreadable.
pub const TIME_PATTERN: &str = concat!(
    r"^(2[0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))",
    r"|2([048]00|[0-9](0[48]|[2468][048]|[13579][26]))-02-29)",
    r"[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
);
/// A time of day; `24:00` is the end of the day.
pub const TIME_OF_DAY_PATTERN: &str = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
/// The name of a namespace: a DNS label.
pub const LABEL_PATTERN: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// The name of an object: a DNS subdomain.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$";
/// The name of a host.
pub const HOST_PATTERN: &str = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
/// The URL of a web page, in which `{namespace}`, `{name}` and `{uid}` may stand for a request's.
pub const URL_PATTERN: &str = r"^https://[a-zA-Z0-9.-]+(:[0-9]+)?(/[^\s<>]*)?$";
/// The key of a Secret.
pub const SECRET_KEY_PATTERN: &str = r"^[-._a-zA-Z0-9]+$";
/// The part of an owner tag before the colon.
pub const TAG_KEY_PATTERN: &str = r"^[^:]+$";

/// The messages for values that do not match a pattern. The API server never shows a pattern: the
/// definitions replace it with a CEL rule that has the message. A pattern that is not listed here
/// is in no definition.
pub const FORMS: &[(&str, &str)] = &[
    (
        SPAN_PATTERN,
        "must be a duration in whole weeks, days, hours, minutes and seconds, such as 4h, 90m, 1d12h, 2w or 2h0m0s",
    ),
    (
        EMAIL_PATTERN,
        "must be an e-mail address in lower case, without a display name, such as alice@example.com",
    ),
    (
        DOMAIN_PATTERN,
        "must be a domain in lower case, such as example.com",
    ),
    (
        TIME_PATTERN,
        "must be a time that exists, with Z or an offset, such as 2027-01-31T12:00:00Z or 2027-01-31T13:00:00+01:00",
    ),
    (
        TIME_OF_DAY_PATTERN,
        "must be a time of day with hours and minutes, such as 09:00; the end of the day is 24:00",
    ),
    (
        LABEL_PATTERN,
        "must consist of lower-case letters, digits and inner dashes, such as team-a",
    ),
    (
        NAME_PATTERN,
        "must consist of lower-case letters, digits and inner dashes and dots, such as oncall",
    ),
    (
        HOST_PATTERN,
        "must be the name of a host in lower case, such as smtp.example.com",
    ),
    (
        URL_PATTERN,
        "must be the URL of a web page that begins with https://, such as https://keyloan.example.com/requests/{namespace}/{name}",
    ),
    (
        SECRET_KEY_PATTERN,
        "must consist of letters, digits, dashes, underscores and dots, such as token",
    ),
    (
        TAG_KEY_PATTERN,
        "must be the part of the tag before the colon, without the colon, such as owner",
    ),
];

/// An e-mail address in lower-case ASCII, without display name, comments or quotes.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Email(#[schemars(length(max = 254), regex(pattern = EMAIL_PATTERN))] pub String);

impl Email {
    /// The part after the `@`.
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
        regex(pattern = DOMAIN_PATTERN)
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

/// A pattern for the title of a 1Password item: `*` matches any characters, `?` matches one
/// character, and `\*`, `\?` and `\\` match these characters themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TitlePattern(#[schemars(length(min = 1, max = 256))] pub String);

/// A tag of a 1Password item, spelled exactly as in 1Password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Tag(#[schemars(length(min = 1, max = 256))] pub String);

/// How to use the lent item, shown to the borrower with the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AccessDetails(#[schemars(length(min = 1, max = 400))] pub String);

/// A resolved 1Password vault or item: its id, and its title at that time.
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
    #[case("2w", Some(1_209_600))]
    #[case::as_kubernetes_prints_it("2h0m0s", Some(7_200))]
    #[case("1h0m30s", Some(3_630))]
    #[case("0h90m", Some(5_400))]
    #[case("0s", None)]
    #[case("01h", None)]
    #[case("1.5h", None)]
    #[case("1h 30m", None)]
    #[case("8H", None)]
    #[case("P1D", None)]
    #[case("-1h", None)]
    fn spans_are_weeks_days_hours_minutes_and_seconds(
        #[case] text: &str,
        #[case] seconds: Option<i64>,
    ) {
        assert_eq!(Span(text.into()).parse().map(|d| d.as_secs()), seconds);
    }

    #[test]
    fn a_span_is_written_as_short_as_possible() {
        assert_eq!(Span::of(SignedDuration::from_mins(90)).0, "1h30m");
        assert_eq!(Span::of(SignedDuration::from_hours(24)).0, "1d");
    }
}
