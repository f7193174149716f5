//! Shares: the copies of items behind the links, and the people who may open them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::account::{Lifetime, RecipientKind, SharePolicy, ShareType, User};
use crate::crypto::{Envelope, sha256};
use crate::refusal::Refusal;

/// A share as the service stores it: the service cannot decrypt it.
#[derive(Clone)]
pub struct Share {
    /// Derived from the secret in the link.
    pub uuid: String,
    /// The hash of the token that is derived from the secret.
    pub token_hash: [u8; 32],
    /// The vault's id.
    pub vault: String,
    /// The item's id.
    pub item: String,
    /// The item's version that was copied.
    pub item_version: u32,
    /// The service account that created the share.
    pub service_account: String,
    /// Whether viewers must be recipients.
    pub kind: ShareType,
    /// The people who may view it.
    pub recipients: Vec<Recipient>,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its expiry.
    pub expires_at: Timestamp,
    /// The maximum number of views.
    pub max_views: Option<u32>,
    /// The number of views.
    pub views: u32,
    /// The item's overview, for the viewer.
    pub overview: Envelope,
    /// The item's details, for the viewer.
    pub details: Envelope,
}

/// A recipient, as on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Recipient {
    /// Exactly this address.
    #[serde(rename = "E")]
    Email {
        /// In either case.
        email: String,
    },
    /// Every address of this domain.
    #[serde(rename = "D")]
    Domain {
        /// In either case.
        domain: String,
    },
}

impl Recipient {
    /// The address or domain, in lower case.
    pub fn name(&self) -> String {
        match self {
            Self::Email { email: name } | Self::Domain { domain: name } => name.to_lowercase(),
        }
    }

    fn kind(&self) -> RecipientKind {
        match self {
            Self::Email { .. } => RecipientKind::Email,
            Self::Domain { .. } => RecipientKind::Domain,
        }
    }

    /// Whether this recipient includes an address. `alice+x@` is a different address from `alice@`.
    fn includes(&self, address: &str) -> bool {
        let address = address.to_lowercase();
        match self {
            Self::Email { .. } => address == self.name(),
            Self::Domain { .. } => domain_of(&address) == Some(&self.name()),
        }
    }

    /// Whether the account's policy permits shares to this recipient.
    pub fn is_permitted(&self, policy: &SharePolicy, users: &[User]) -> bool {
        let name = self.name();
        let domain = match self {
            Self::Email { .. } => domain_of(&name),
            Self::Domain { .. } => Some(&*name),
        };
        let any =
            |list: &[String], one: &str| list.iter().any(|known| known.eq_ignore_ascii_case(one));
        let domain_fits = domain.is_some_and(|domain| {
            !domain.is_empty()
                && (policy.allowed_domains.is_empty() || any(&policy.allowed_domains, domain))
        });
        let is_member = || {
            users
                .iter()
                .any(|user| user.email.eq_ignore_ascii_case(&name))
        };
        policy.recipient_kinds.contains(&self.kind())
            && domain_fits
            && (!policy.members_only || is_member())
    }
}

fn domain_of(address: &str) -> Option<&str> {
    let (local, domain) = address.rsplit_once('@')?;
    (!local.is_empty()).then_some(domain)
}

/// The parts of a share request that the policy governs.
pub struct Terms<'a> {
    /// The type of the share.
    pub kind: ShareType,
    /// The named recipients.
    pub recipients: &'a [Recipient],
    /// In seconds.
    pub expiry: u32,
    /// The maximum number of views.
    pub max_views: Option<u32>,
}

impl Terms<'_> {
    /// Compares the terms with the policy; a violation is a 400 with the reason.
    pub fn check(&self, policy: &SharePolicy, users: &[User]) -> Result<Lifetime, Refusal> {
        let lifetime = Lifetime::from_seconds(self.expiry)
            .ok_or_else(|| Refusal::bad_request("the expiry is not one of the five lifetimes"))?;
        if lifetime > policy.max_lifetime {
            return Err(Refusal::bad_request(
                "the expiry is beyond what the policy allows",
            ));
        }
        if !policy.allowed_types.contains(&self.kind) {
            return Err(Refusal::bad_request(
                "the policy does not allow this type of share",
            ));
        }
        match (self.kind, self.recipients.is_empty()) {
            (ShareType::Authenticated, true) => {
                return Err(Refusal::bad_request(
                    "an authenticated share needs recipients",
                ));
            }
            (ShareType::Public, false) => {
                return Err(Refusal::bad_request("a public share has no recipients"));
            }
            _ => {}
        }
        if self
            .recipients
            .iter()
            .any(|recipient| !recipient.is_permitted(policy, users))
        {
            return Err(Refusal::bad_request(
                "the policy does not permit one of the recipients",
            ));
        }
        match (self.max_views, policy.max_views) {
            (Some(0), _) => Err(Refusal::bad_request("a share that nobody can view")),
            (None, Some(_)) => Err(Refusal::bad_request("the policy wants the views limited")),
            (Some(asked), Some(most)) if asked > most => {
                Err(Refusal::bad_request("more views than the policy allows"))
            }
            _ => Ok(lifetime),
        }
    }
}

/// All shares; none is ever removed.
#[derive(Default)]
pub struct Shares(Vec<Share>);

impl Shares {
    /// Stores a share.
    pub fn add(&mut self, share: Share) -> Result<(), Refusal> {
        if self.0.iter().any(|known| known.uuid == share.uuid) {
            return Err(Refusal::conflict("there is a share with this id"));
        }
        self.0.push(share);
        Ok(())
    }

    /// All shares, in order of creation.
    pub fn iter(&self) -> impl Iterator<Item = &Share> {
        self.0.iter()
    }

    /// Shows a share to someone who has the link and has proven an address. A refusal does not
    /// count as a view.
    pub fn view(
        &mut self,
        uuid: &str,
        token: &str,
        address: &str,
        now: Timestamp,
    ) -> Result<&Share, Refusal> {
        let known =
            |share: &&mut Share| share.uuid == uuid && share.token_hash == sha256(token.as_bytes());
        let share = self
            .0
            .iter_mut()
            .find(known)
            .ok_or_else(|| Refusal::not_found("there is no such share"))?;
        if now >= share.expires_at {
            return Err(Refusal::gone("the share has expired"));
        }
        let invited = || {
            share
                .recipients
                .iter()
                .any(|recipient| recipient.includes(address))
        };
        if share.kind == ShareType::Authenticated && !invited() {
            return Err(Refusal::forbidden("the share is for someone else"));
        }
        if share.max_views.is_some_and(|most| share.views >= most) {
            return Err(Refusal::conflict(
                "the share was viewed as often as it may be",
            ));
        }
        share.views += 1;
        Ok(share)
    }
}

/// The expiry of a share with this lifetime.
pub fn end_of(lifetime: Lifetime, from: Timestamp) -> Timestamp {
    let length = SignedDuration::from_secs(lifetime.seconds().into());
    from.saturating_add(length).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(email: &str) -> Recipient {
        Recipient::Email {
            email: email.into(),
        }
    }

    fn domain(domain: &str) -> Recipient {
        Recipient::Domain {
            domain: domain.into(),
        }
    }

    #[test]
    fn a_recipient_is_exactly_one_address_in_either_case() {
        let alice = email("Alice@Example.com");
        assert!(alice.includes("alice@example.COM"));
        for other in [
            "alice+x@example.com",
            "bob@example.com",
            "alice@example.com.evil",
            "",
        ] {
            assert!(!alice.includes(other), "{other}");
        }
    }

    #[test]
    fn a_domain_is_exactly_one_domain() {
        let all = domain("example.com");
        assert!(all.includes("anyone@EXAMPLE.com"));
        for other in [
            "a@sub.example.com",
            "a@notexample.com",
            "@example.com",
            "example.com",
        ] {
            assert!(!all.includes(other), "{other}");
        }
    }

    #[test]
    fn the_policy_permits_recipients_by_kind_domain_and_membership() {
        let users = [User {
            name: "Alice".into(),
            email: "alice@example.com".into(),
        }];
        let open = SharePolicy::default();
        let domains = SharePolicy {
            allowed_domains: vec!["example.com".into()],
            ..open.clone()
        };
        let emails = SharePolicy {
            recipient_kinds: vec![RecipientKind::Email],
            ..open.clone()
        };
        let members = SharePolicy {
            members_only: true,
            ..open.clone()
        };
        let cases = [
            (&open, email("x@other.org"), true),
            (&open, email("no address"), false),
            (&domains, email("X@EXAMPLE.com"), true),
            (&domains, email("x@sub.example.com"), false),
            (&domains, domain("example.com"), true),
            (&domains, domain("other.org"), false),
            (&emails, email("x@other.org"), true),
            (&emails, domain("other.org"), false),
            (&members, email("ALICE@example.com"), true),
            (&members, email("bob@example.com"), false),
            (&members, domain("example.com"), false),
        ];
        for (number, (policy, recipient, expected)) in cases.into_iter().enumerate() {
            assert_eq!(
                recipient.is_permitted(policy, &users),
                expected,
                "case {number}"
            );
        }
    }

    #[test]
    fn the_terms_must_fit_the_policy() {
        use ShareType::{Authenticated, Public};
        let alice = [email("alice@example.com")];
        let policy = SharePolicy {
            max_lifetime: Lifetime::OneDay,
            allowed_types: vec![Authenticated],
            max_views: Some(3),
            ..SharePolicy::default()
        };
        let fits = Terms {
            kind: Authenticated,
            recipients: &alice,
            expiry: 3600,
            max_views: Some(1),
        };
        assert!(fits.check(&policy, &[]).is_ok());
        for (bad, what) in [
            (
                Terms {
                    expiry: 7 * 86_400,
                    ..fits
                },
                "beyond the longest lifetime",
            ),
            (
                Terms {
                    expiry: 7200,
                    ..fits
                },
                "no lifetime at all",
            ),
            (
                Terms {
                    kind: Public,
                    recipients: &[],
                    ..fits
                },
                "a type that is not allowed",
            ),
            (
                Terms {
                    recipients: &[],
                    ..fits
                },
                "for nobody",
            ),
            (
                Terms {
                    max_views: None,
                    ..fits
                },
                "unlimited views",
            ),
            (
                Terms {
                    max_views: Some(4),
                    ..fits
                },
                "too many views",
            ),
            (
                Terms {
                    max_views: Some(0),
                    ..fits
                },
                "no views",
            ),
        ] {
            assert!(bad.check(&policy, &[]).is_err(), "{what}");
        }
    }
}
