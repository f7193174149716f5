//! The first link of a request that was granted: it is issued now, or the reason why not.

use jiff::Timestamp;

use crate::api::CountedDecision;
use crate::plan::approval;
use crate::plan::case::Request;
use crate::plan::effect::Effect;
use crate::plan::inventory::Lookup;
use crate::plan::observed::LinkSeen;
use crate::plan::reasons::{GrantReason, Why};
use crate::plan::terms::Agreement;

use super::failure::{self, Failure};
use super::kind::Delivery;
use super::links::answered_by;
use super::steps::IssueLink;

/// What is done about the first link.
pub struct FirstLink {
    /// The next action, if any.
    pub effect: Option<Effect>,
    /// The reason why there is no link yet.
    pub why: Why,
    /// Whether a person has to act.
    pub stalled: bool,
    /// Whether the link is being issued; otherwise the request still waits.
    pub is_being_issued: bool,
    /// The time of the next look.
    pub wake: Option<Timestamp>,
}

impl FirstLink {
    fn being_issued(effect: Option<Effect>) -> Self {
        let message = "the first link is being issued";
        Self {
            effect,
            why: (GrantReason::Issuing, message.into()),
            stalled: false,
            is_being_issued: true,
            wake: None,
        }
    }

    fn hindered(why: Why) -> Self {
        Self {
            why,
            ..Self::being_issued(None)
        }
    }

    fn waits(why: Why) -> Self {
        Self {
            is_being_issued: false,
            ..Self::hindered(why)
        }
    }
}

/// Decides about the first link of a request that was granted with these decisions and has to start
/// by this time.
pub fn first_link(
    request: &Request<'_>,
    agreement: &Agreement,
    decisions: &[CountedDecision],
    start_by: Timestamp,
) -> FirstLink {
    let Request { seen, now, uid, .. } = *request;
    if let Some(why) = &seen.boundary.broken {
        return FirstLink::waits((GrantReason::BoundaryNotInForce, why.clone()));
    }
    if seen.link == LinkSeen::Foreign {
        return FirstLink {
            stalled: true,
            ..FirstLink::hindered(failure::taken(&seen.secret_of(uid)))
        };
    }
    if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        return FirstLink {
            stalled: attempt.needs_a_person(),
            wake: Some(attempt.retry_at()),
            ..FirstLink::hindered(attempt.explain())
        };
    }
    let budget = seen.integration.as_ref().map(|i| &i.budget);
    if let Some(wait) = budget.and_then(|budget| budget.first_link(now)) {
        return FirstLink {
            wake: Some(wait.until),
            ..FirstLink::waits((wait.reason, wait.message))
        };
    }
    if let Some(stale) = stale_listing(request, agreement) {
        return FirstLink::being_issued(Some(stale));
    }
    let write_by = answered_by(start_by);
    let duration = approval::duration(&agreement.terms, decisions);
    let opens_for = Delivery::of(&agreement.terms).opens_for(duration, &agreement.terms);
    match opens_for.filter(|_| now < write_by) {
        Some(opens_for) => {
            let issue = IssueLink {
                sequence: 1,
                opens_for,
                agreement: agreement.clone(),
                decisions: decisions.to_vec(),
                ignored: Vec::new(),
                considered: Vec::new(),
                first: true,
                lost: None,
                write_by,
                item_version: None,
            };
            FirstLink::being_issued(Some(Effect::IssueLink(Box::new(issue))))
        }
        None => {
            let message = "too little time remains to start the loan; request again";
            FirstLink::hindered((GrantReason::Lapsed, message.into()))
        }
    }
}

/// The fetched item was not the one that had been looked up: list the vault before trying again.
fn stale_listing(request: &Request<'_>, agreement: &Agreement) -> Option<Effect> {
    let seen = request.seen;
    let attempt = seen
        .attempt
        .as_ref()
        .filter(|a| a.failure == Failure::ItemDiffers)?;
    let inventory = seen.integration.as_ref()?.inventory.as_ref()?;
    let Lookup::One(vault) = inventory.vault(&agreement.terms.vault.id) else {
        return None;
    };
    (vault.listed_at <= attempt.at).then(|| Effect::ListVault {
        vault: vault.id.clone(),
        looking_for: agreement.terms.item.id.clone(),
    })
}
