//! The kinds of delivery, and what differs between them.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessFlow, AccessGrant, LinkLifetime, LinkOutcome, LinkRecord, OnePasswordIntegration,
    Renewal, Terms, ViewOnce,
};

use super::share_link::{length, link_ceiling, longest_within};

/// A kind of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A share link of 1Password's.
    ShareLink,
}

/// The terms of a loan that belong to its delivery.
pub struct DeliveryTerms {
    /// Whether what is delivered opens only once.
    pub view_once: bool,
    /// The longest lifetime of a link.
    pub link_lifetime: LinkLifetime,
    /// Whether the loan gets a further link.
    pub renewal: Renewal,
}

/// Agrees on the delivery of a loan of this duration to this number of recipients, or says why the
/// flow does not cover the request.
pub fn agree(
    grant: &AccessGrant,
    flow: &AccessFlow,
    integration: &OnePasswordIntegration,
    duration: SignedDuration,
    recipients: usize,
) -> Result<DeliveryTerms, &'static str> {
    let rules = &flow.spec.grant;
    let view_once = view_once(grant, rules.view_once, recipients)?;
    let ceiling = link_ceiling(integration, rules.link_lifetime);
    let link_lifetime = longest_within(duration, ceiling)
        .ok_or("the minimum duration is 1h, the shortest 1Password link lifetime")?;
    Ok(DeliveryTerms {
        view_once,
        link_lifetime,
        renewal: match view_once {
            true => Renewal::Never,
            false => rules.renewal,
        },
    })
}

fn view_once(grant: &AccessGrant, rule: ViewOnce, recipients: usize) -> Result<bool, &'static str> {
    let once = match (rule, grant.spec.view_once) {
        (ViewOnce::Required, _) => true,
        (ViewOnce::Forbidden, Some(true)) => {
            return Err("the flow does not allow single-view links");
        }
        (ViewOnce::Forbidden, _) => false,
        (ViewOnce::Allowed, asked) => asked.unwrap_or(false),
    };
    match once && recipients > 1 {
        true => Err("a single-view link can have only one recipient"),
        false => Ok(once),
    }
}

impl Delivery {
    /// How a loan with these terms is delivered.
    pub fn of(_terms: &Terms) -> Self {
        Self::ShareLink
    }

    /// The longest time within this span for which a link of these terms may open; `None` if none
    /// is short enough.
    pub fn opens_for(self, span: SignedDuration, terms: &Terms) -> Option<SignedDuration> {
        match self {
            Self::ShareLink => longest_within(span, terms.link_lifetime).map(length),
        }
    }

    /// The same for any terms.
    pub fn longest(self, span: SignedDuration) -> Option<SignedDuration> {
        match self {
            Self::ShareLink => longest_within(span, LinkLifetime::ThirtyDays).map(length),
        }
    }

    /// The longest time for which any link of these terms may open.
    pub fn ceiling(self, terms: &Terms) -> SignedDuration {
        match self {
            Self::ShareLink => length(terms.link_lifetime),
        }
    }

    /// The same time, under the integration's present maximum.
    pub fn limited(
        self,
        opens_for: SignedDuration,
        integration: &OnePasswordIntegration,
    ) -> SignedDuration {
        match self {
            Self::ShareLink => {
                opens_for.min(length(link_ceiling(integration, LinkLifetime::ThirtyDays)))
            }
        }
    }

    /// Whether a loan can have another link after the current one.
    pub fn renews(self, terms: &Terms) -> bool {
        match self {
            Self::ShareLink => !terms.view_once && terms.renewal == Renewal::OnRequest,
        }
    }

    /// The delivery in these terms as people read it: what it is called, and how long it lasts.
    pub fn described(self, terms: &Terms) -> (&'static str, String) {
        let at_most = terms.link_lifetime;
        match self {
            Self::ShareLink => {
                let each = match (terms.view_once, terms.renewal) {
                    (true, _) => "opens once; the loan ends with it".to_owned(),
                    (false, Renewal::Never) => {
                        format!("opens for at most {at_most}, without renewal")
                    }
                    (false, Renewal::OnRequest) => {
                        format!("opens for at most {at_most}; renewed on request")
                    }
                };
                ("Each link", each)
            }
        }
    }

    /// Whether what was delivered may open without its Secret, even after the loan.
    pub fn outlives_its_secret(self) -> bool {
        match self {
            Self::ShareLink => true,
        }
    }

    /// The time until which a link that was, or may have been, made may open, even without its
    /// Secret. `reserved` is the part of the latest end that its intent reserved for the call.
    ///
    /// A record holds the end by the operator's clock. If 1Password's clock was known to be ahead,
    /// the intent contains a later time.
    pub fn may_open_until(self, link: &LinkRecord, reserved: SignedDuration) -> Option<Timestamp> {
        match (self, link.outcome, &link.expires_at) {
            (_, Some(LinkOutcome::Refused), _) => None,
            (Self::ShareLink, Some(LinkOutcome::Issued), known) => {
                let without_call = link.latest_end.0.saturating_sub(reserved);
                let known = known.as_ref().unwrap_or(&link.latest_end).0;
                Some(known.max(without_call.unwrap_or(Timestamp::MIN)))
            }
            (Self::ShareLink, Some(LinkOutcome::Lost) | None, _) => Some(link.latest_end.0),
        }
    }
}
