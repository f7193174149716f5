//! The share policy, and the few values that shares consist of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The rules that the account's administrators set for shares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SharePolicy {
    /// The longest lifetime of a share.
    pub max_lifetime: Lifetime,
    /// The lifetime that the apps propose.
    pub default_lifetime: Lifetime,
    /// The allowed types: shares to named recipients, or to anyone who has the link.
    pub allowed_types: Vec<ShareType>,
    /// The allowed ways to name recipients.
    pub recipient_kinds: Vec<RecipientKind>,
    /// The domains that recipients must belong to; if empty, any domain.
    pub allowed_domains: Vec<String>,
    /// Whether recipients must be `users` of the account.
    pub members_only: bool,
    /// The maximum number of views of every share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_views: Option<u32>,
}

impl Default for SharePolicy {
    fn default() -> Self {
        Self {
            max_lifetime: Lifetime::ThirtyDays,
            default_lifetime: Lifetime::SevenDays,
            allowed_types: vec![ShareType::Authenticated, ShareType::Public],
            recipient_kinds: vec![RecipientKind::Email, RecipientKind::Domain],
            allowed_domains: Vec::new(),
            members_only: false,
            max_views: None,
        }
    }
}

/// The five lifetimes that a share can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Lifetime {
    #[serde(rename = "1h")]
    OneHour,
    #[serde(rename = "1d")]
    OneDay,
    #[serde(rename = "7d")]
    SevenDays,
    #[serde(rename = "14d")]
    FourteenDays,
    #[serde(rename = "30d")]
    ThirtyDays,
}

impl Lifetime {
    const ALL: [Self; 5] = [
        Self::OneHour,
        Self::OneDay,
        Self::SevenDays,
        Self::FourteenDays,
        Self::ThirtyDays,
    ];

    /// The lifetime as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds().into())
    }

    /// The lifetime on the wire.
    pub(crate) fn seconds(self) -> u32 {
        const HOUR: u32 = 3600;
        match self {
            Self::OneHour => HOUR,
            Self::OneDay => 24 * HOUR,
            Self::SevenDays => 7 * 24 * HOUR,
            Self::FourteenDays => 14 * 24 * HOUR,
            Self::ThirtyDays => 30 * 24 * HOUR,
        }
    }

    /// Parses the value on the wire; any other number of seconds is not a lifetime.
    pub(crate) fn from_seconds(seconds: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|lifetime| lifetime.seconds() == seconds)
    }
}

/// Whether a share requires viewers to identify themselves. The variants' names on the wire are `A`
/// and `P`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ShareType {
    Authenticated,
    Public,
}

/// How a share names a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RecipientKind {
    Email,
    Domain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_lifetimes_are_lifetimes() {
        assert_eq!(
            Lifetime::from_seconds(1_209_600),
            Some(Lifetime::FourteenDays)
        );
        assert_eq!(Lifetime::from_seconds(3601), None);
    }
}
