//! Shares in the port's terms: what is allowed, what is wanted, for whom, and the resulting URL.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// How long a share can be opened. 1Password supports these five lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ShareLifetime {
    /// One hour.
    OneHour,
    /// One day.
    OneDay,
    /// Seven days.
    SevenDays,
    /// Fourteen days.
    FourteenDays,
    /// Thirty days.
    ThirtyDays,
}

impl ShareLifetime {
    /// All five, the shortest first.
    pub const ALL: [Self; 5] = [
        Self::OneHour,
        Self::OneDay,
        Self::SevenDays,
        Self::FourteenDays,
        Self::ThirtyDays,
    ];

    /// Its length.
    pub const fn duration(self) -> Duration {
        const HOUR: u64 = 60 * 60;
        Duration::from_secs(match self {
            Self::OneHour => HOUR,
            Self::OneDay => 24 * HOUR,
            Self::SevenDays => 7 * 24 * HOUR,
            Self::FourteenDays => 14 * 24 * HOUR,
            Self::ThirtyDays => 30 * 24 * HOUR,
        })
    }
}

/// The account's policy for shares of one item.
///
/// It remembers which recipients 1Password has already admitted under it, so a caller that keeps it
/// for a loan's renewals saves that request each time.
#[derive(Debug)]
pub struct SharePolicy {
    /// The longest lifetime of a share.
    pub max_lifetime: ShareLifetime,
    /// The number of views after which a share closes, if the policy sets one for all shares; 1
    /// means single-view.
    pub max_views: Option<u32>,
    /// Whether a share may be limited to named recipients. The operator creates no other shares.
    pub named_recipients: bool,
    /// Whether a recipient may be named by e-mail address.
    pub email_recipients: bool,
    /// Whether a recipient may be a whole domain. The operator names none.
    pub domain_recipients: bool,
    /// Whether shares for everyone with the link are allowed. The operator creates none.
    pub public: bool,
    /// The policy in the form that the core gives and takes.
    json: String,
    admitted: Mutex<Option<Admitted>>,
}

/// Recipients that 1Password has admitted, and the core's JSON for them.
#[derive(Debug)]
struct Admitted {
    recipients: Recipients,
    json: String,
}

impl SharePolicy {
    /// Reads the policy from the core's JSON; `None` if that is not as expected.
    pub fn from_json(json: String) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Facts {
            max_expiry: ShareLifetime,
            #[serde(default)]
            max_views: Option<u32>,
            allowed_types: Vec<String>,
            allowed_recipient_types: Vec<String>,
        }
        let facts: Facts = serde_json::from_str(&json).ok()?;
        let has = |list: &[String], word: &str| list.iter().any(|entry| entry == word);
        Some(Self {
            max_lifetime: facts.max_expiry,
            max_views: facts.max_views,
            named_recipients: has(&facts.allowed_types, "Authenticated"),
            public: has(&facts.allowed_types, "Public"),
            email_recipients: has(&facts.allowed_recipient_types, "Email"),
            domain_recipients: has(&facts.allowed_recipient_types, "Domain"),
            json,
            admitted: Mutex::new(None),
        })
    }

    /// Whether the policy allows the only shares that the operator creates: for people named by
    /// e-mail address.
    pub fn allows_named_people(&self) -> bool {
        self.named_recipients && self.email_recipients
    }

    /// The policy's JSON, for the core.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// The core's JSON for these recipients, if 1Password has admitted them under this policy.
    pub(super) fn admitted(&self, recipients: &Recipients) -> Option<String> {
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        admitted
            .as_ref()
            .filter(|known| known.recipients == *recipients)
            .map(|known| known.json.clone())
    }

    /// Forgets the recipients that 1Password has admitted, so that the next share checks them
    /// again.
    pub(super) fn forget(&self) {
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Remembers that 1Password has admitted these recipients.
    pub(super) fn admit(&self, recipients: Recipients, json: String) {
        *self.admitted.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Admitted { recipients, json });
    }
}

/// The properties of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareTerms {
    /// The people who may open it.
    pub recipients: Recipients,
    /// Its lifetime; a longer one than the policy allows is refused.
    pub lifetime: ShareLifetime,
    /// Whether each recipient may open it only once.
    pub view_once: bool,
}

/// At least one e-mail address. From an empty list 1Password would create a share for everyone, so
/// a list cannot be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Recipients(Vec<String>);

/// The reason why a list of recipients was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// The list was empty.
    #[error(
        "a share needs at least one recipient: without any, 1Password would let everybody open it"
    )]
    Nobody,
    /// An entry is not an address. 1Password would read a bare domain as everyone there.
    #[error("{0:?} is not an e-mail address: name each recipient as in alice@example.com")]
    NotAnAddress(String),
}

impl Recipients {
    /// Creates the list from one or more e-mail addresses; repeated ones count once.
    pub fn new<T: Into<String>>(
        addresses: impl IntoIterator<Item = T>,
    ) -> Result<Self, RecipientError> {
        let mut list: Vec<String> = Vec::new();
        for address in addresses.into_iter().map(Into::into) {
            if !is_address(&address) {
                return Err(RecipientError::NotAnAddress(address));
            }
            if !list.contains(&address) {
                list.push(address);
            }
        }
        if list.is_empty() {
            Err(RecipientError::Nobody)
        } else {
            Ok(Self(list))
        }
    }

    /// The addresses, in the order given.
    pub fn addresses(&self) -> &[String] {
        &self.0
    }
}

/// Distinguishes an address from a domain or a list; the API's own grammar is stricter.
fn is_address(text: &str) -> bool {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '<' | '>' | '"' | '\\'));
    match text.split_once('@') {
        Some((local, domain)) => {
            plain && !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        }
        None => false,
    }
}

/// A share's URL. It contains the key, so it is a secret: for the link Secret and nothing else.
#[derive(Clone)]
pub struct ShareUrl(SecretString);

impl ShareUrl {
    /// Wraps a URL.
    pub fn new(url: String) -> Self {
        Self(SecretString::from(url))
    }

    /// The URL itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for ShareUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareUrl([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_share_url_is_not_shown() {
        let url = ShareUrl::new("https://share.example/s#planted-secret".to_owned());
        assert!(!format!("{url:?}").contains("planted"));
        assert!(url.expose().ends_with("#planted-secret"));
    }

    #[rstest]
    #[case::domain("example.com")]
    #[case::domain_with_at("@example.com")]
    #[case::no_domain("alice@")]
    #[case::two("alice@example.com,bob@example.com")]
    #[case::space("alice@example.com bob@example.com")]
    #[case::nested("alice@b@example.com")]
    #[case::empty("")]
    fn whoever_is_not_one_address_is_no_recipient(#[case] text: &str) {
        let error = Recipients::new(["carol@example.com", text]).expect_err("refused");
        assert_eq!(error, RecipientError::NotAnAddress(text.to_owned()));
    }

    #[test]
    fn a_share_for_nobody_in_particular_cannot_be_expressed() {
        assert_eq!(
            Recipients::new(Vec::<String>::new()),
            Err(RecipientError::Nobody)
        );
    }

    #[test]
    fn a_policy_tells_what_it_allows() {
        let json = r#"{"maxExpiry":"SevenDays","defaultExpiry":"OneDay","maxViews":null,
            "allowedTypes":["Authenticated"],"allowedRecipientTypes":["Email"],"files":{"allowed":false,"maxSize":0}}"#;
        let policy = SharePolicy::from_json(json.to_owned()).expect("a policy");
        assert_eq!(policy.max_lifetime, ShareLifetime::SevenDays);
        assert!(policy.allows_named_people() && !policy.public && !policy.domain_recipients);
        assert!(SharePolicy::from_json("{}".to_owned()).is_none());
    }

    #[test]
    fn a_policy_remembers_the_recipients_it_was_used_for_and_no_others() {
        let json = r#"{"maxExpiry":"OneHour","allowedTypes":[],"allowedRecipientTypes":[]}"#;
        let policy = SharePolicy::from_json(json.to_owned()).expect("a policy");
        let (alice, bob) = (
            Recipients::new(["alice@example.com"]),
            Recipients::new(["bob@example.com"]),
        );
        let (alice, bob) = (alice.expect("alice"), bob.expect("bob"));
        policy.admit(alice.clone(), "[alice]".to_owned());
        assert_eq!(policy.admitted(&alice).as_deref(), Some("[alice]"));
        assert_eq!(policy.admitted(&bob), None);
    }

    #[test]
    fn the_five_lifetimes_are_in_order() {
        assert!(ShareLifetime::ALL.is_sorted_by_key(|lifetime| lifetime.duration()));
        assert!(ShareLifetime::ALL.is_sorted());
    }
}
