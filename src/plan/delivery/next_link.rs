//! The next link of a running loan: whether it is wanted, and what it waits for.

use jiff::Timestamp;

use crate::api::{AccessGrant, LinkRecord, RENEW_ANNOTATION};
use crate::plan::case::{Loan, Request};
use crate::plan::observed::{LinkSeen, Observed};
use crate::plan::reasons::{GrantReason, Why};
use crate::plan::terms::sendable;
use crate::plan::vetting::{Vetted, fits, vet};

use super::failure;
use super::interrupted::gives_up_at;
use super::links::{MOST_LOST, RENEWAL_MARGIN, RENEWED_AFTER, answered_by, end_of};
use super::orphaned_secret::kept;
use super::steps::IssueLink;

/// The decision about the next link.
pub enum Next {
    /// It is unknown whether the API server verifies the people on whom the loan depends: check
    /// that first.
    Check,
    /// No link is needed at present; look again at this time.
    NotNeeded { until: Option<Timestamp> },
    /// Issue the link now.
    Issue(Box<IssueLink>),
    /// The link has to wait.
    Waits {
        until: Timestamp,
        why: Why,
        stalled: bool,
    },
    /// The link is wanted but not issued.
    Stopped { why: Why, stalled: bool },
}

pub fn next_link(loan: &Loan<'_>, request: &Request<'_>) -> Next {
    let asked = renewal_asked(request.grant);
    if let Some(current) = loan.links.current() {
        match wanted(loan, current, asked) {
            Wanted::Now => {}
            Wanted::From(until) => return Next::NotNeeded { until: Some(until) },
            Wanted::Not => return Next::NotNeeded { until: None },
        }
    }
    if let Some(stopped) = stopped(loan, request, asked) {
        return stopped;
    }
    if let Some((until, why, stalled)) = waits(loan, request) {
        return Next::Waits {
            until,
            why,
            stalled,
        };
    }
    issue(loan, request)
}

/// The reason why no further link is issued until somebody changes something, if so.
fn stopped(loan: &Loan<'_>, request: &Request<'_>, asked: Option<Timestamp>) -> Option<Next> {
    let Loan { seen, links, .. } = *loan;
    let stopped = |reason, message: &str, stalled| {
        let why = (reason, message.to_owned());
        Some(Next::Stopped { why, stalled })
    };
    let or_renewal = |reason| match links.current() {
        Some(_) => GrantReason::RenewalStopped,
        None => reason,
    };
    if let (None, Some(why)) = (links.granted_at(), &seen.boundary.broken) {
        return stopped(GrantReason::BoundaryNotInForce, why, false);
    }
    if let Some((reason, message)) = standstill(loan) {
        return stopped(or_renewal(reason), message, false);
    }
    if let Err(objection) = fits(loan.record, request) {
        return stopped(or_renewal(objection.reason), &objection.message, true);
    }
    if links.is_full() {
        let message = "the record of this loan can hold no more links; request again";
        return stopped(GrantReason::RenewalStopped, message, false);
    }
    if let Err(objection) = sendable(&loan.terms().recipients) {
        return stopped(objection.reason, &objection.message, true);
    }
    if links.lost_in_a_row(links.current().and(asked)) >= MOST_LOST {
        let message = "three links in a row were lost between the operator and 1Password; check \
                       the network and 1Password's status, then ask for the next link, or request \
                       again if the loan has had no link";
        return stopped(GrantReason::LinksLost, message, true);
    }
    no_place(loan).map(|why| Next::Stopped { why, stalled: true })
}

/// What the next link waits for, until when, and whether a person has to act.
fn waits(loan: &Loan<'_>, request: &Request<'_>) -> Option<(Timestamp, Why, bool)> {
    let Loan {
        seen, now, links, ..
    } = *loan;
    if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        let (until, stalled) = (attempt.retry_at(), attempt.needs_a_person());
        return Some((until, attempt.explain(), stalled));
    }
    let throttled = seen.integration.as_ref().and_then(|i| i.throttled_until);
    if let Some(until) = throttled.filter(|until| *until > now) {
        let message = format!("1Password's request limit is reached; next try at {until:.0}");
        return Some((until, (GrantReason::OnePasswordThrottled, message), false));
    }
    let budget = seen.integration.as_ref().map(|i| &i.budget);
    let wait = budget.and_then(|budget| match links.granted_at() {
        Some(_) => budget.renewal(now),
        None => budget.first_link(now),
    });
    if let Some(wait) = wait {
        return Some((wait.until, (wait.reason, wait.message), false));
    }
    let gives_up = gives_up_at(loan, request);
    let is_too_late = links.granted_at().is_none() && now >= answered_by(gives_up);
    is_too_late.then(|| {
        let message = "too little time remains to start the loan; request again";
        (gives_up, (GrantReason::Lapsed, message.into()), false)
    })
}

/// Nothing hinders the link: it is issued, if enough time remains and people have agreed to it.
fn issue(loan: &Loan<'_>, request: &Request<'_>) -> Next {
    let Loan {
        seen,
        now,
        record,
        links,
        ..
    } = *loan;
    let Some(opens_for) = links.opens_for(now) else {
        let message = "too little time remains for another link, which opens for at least 1h; \
                       request again";
        return Next::Stopped {
            why: (GrantReason::NoTimeForAnotherLink, message.into()),
            stalled: false,
        };
    };
    // The integration's maximum may have been lowered since the terms were agreed.
    let opens_for = match &seen.integration {
        Some(integration) => links.delivery().limited(opens_for, &integration.object),
        None => opens_for,
    };
    let decisions = match links.granted_at() {
        Some(_) => record.spec.decisions.clone(),
        None => match vet(record, request) {
            Vetted::Agreed(decisions) => decisions,
            Vetted::AfterACheck => return Next::Check,
            Vetted::Not {
                reason,
                message,
                stalled,
            } => {
                let why = (reason, message);
                return Next::Stopped { why, stalled };
            }
        },
    };
    let first_by = answered_by(gives_up_at(loan, request));
    Next::Issue(Box::new(IssueLink {
        sequence: links.next_sequence(),
        agreement: loan.agreement.clone(),
        decisions,
        ignored: Vec::new(),
        considered: Vec::new(),
        first: false,
        lost: links.open().map(|l| l.sequence),
        write_by: links.write_by(opens_for).unwrap_or(first_by),
        opens_for,
        item_version: links.first().and_then(|l| l.item_version),
    }))
}

/// Whether another link is wanted after the current one.
enum Wanted {
    Now,
    From(Timestamp),
    Not,
}

/// The next link is issued if it is requested and the current one has ended, is about to end, or is
/// out of reach. An earlier request is answered by the current link: each unneeded link is one more
/// that may still open.
fn wanted(loan: &Loan<'_>, current: &LinkRecord, asked: Option<Timestamp>) -> Wanted {
    let Loan {
        seen, now, links, ..
    } = *loan;
    // Times are stored in whole seconds: a link answers the requests made in the second of its
    // intent.
    let unserved = asked.filter(|at| at.as_second() > current.intent_at.0.as_second());
    let Some(asked) = unserved.filter(|_| links.renews()) else {
        return Wanted::Not;
    };
    let about_to_end = end_of(current)
        .saturating_sub(RENEWAL_MARGIN)
        .unwrap_or(Timestamp::MIN);
    if is_here(seen, current) && asked < about_to_end {
        return Wanted::Not;
    }
    // A future time counts once it is reached. Until then, every link would seem to be older than
    // it.
    let from = asked.max(renewable_from(current));
    if now >= from {
        Wanted::Now
    } else {
        Wanted::From(from)
    }
}

/// The earliest time for the link after this one.
fn renewable_from(link: &LinkRecord) -> Timestamp {
    let begun = link.intent_at.0;
    begun
        .saturating_add(RENEWED_AFTER)
        .unwrap_or(Timestamp::MAX)
}

/// The time at which the borrower last requested a link.
fn renewal_asked(grant: &AccessGrant) -> Option<Timestamp> {
    let text = grant.metadata.annotations.as_ref()?.get(RENEW_ANNOTATION)?;
    text.parse().ok()
}

/// Whether the Secret holds this link.
pub fn is_here(seen: &Observed, link: &LinkRecord) -> bool {
    matches!(seen.link, LinkSeen::Present { sequence, .. } if sequence == link.sequence)
}

/// The reason why no link can be put into its Secret.
pub fn no_place(loan: &Loan<'_>) -> Option<Why> {
    let seen = loan.seen;
    match seen.link {
        LinkSeen::Foreign => Some(failure::taken(&seen.secret_of(loan.uid()))),
        LinkSeen::Kept => {
            let secret = seen.secret_of(loan.uid());
            Some((GrantReason::LinkSecretStays, kept(&secret)))
        }
        LinkSeen::OutOfReach => Some(failure::out_of_reach(&seen.links_namespace)),
        LinkSeen::Absent | LinkSeen::Present { .. } => None,
    }
}

/// The reason why this integration or this flow issues no more links.
fn standstill(loan: &Loan<'_>) -> Option<(GrantReason, &'static str)> {
    let seen = loan.seen;
    if seen.unserved {
        let message = "this Keyloan install no longer serves the integration's namespace; no \
                       further link is issued";
        return Some((GrantReason::IntegrationNotFound, message));
    }
    let terms = loan.terms();
    let Some(integration) = &seen.integration else {
        let message = "the integration no longer exists, so no further link is issued; request \
                       again from another integration";
        return Some((GrantReason::IntegrationNotFound, message));
    };
    if integration.object.metadata.uid.as_ref() != Some(&terms.integration.uid) {
        let message = "the integration was replaced by another one, so no further link is \
                       issued; request again";
        return Some((GrantReason::IntegrationNotFound, message));
    }
    let status = integration.object.status.as_ref();
    let account = status.and_then(|status| status.account.as_ref());
    if account.is_some_and(|account| *account != terms.account) {
        let message = "the integration's token now belongs to another 1Password account than the \
                       one in the terms, so no further link is issued; request again";
        return Some((GrantReason::AccountChanged, message));
    }
    if integration.object.spec.suspend {
        let message = "the integration is suspended, so no further link is issued; ask its owners \
                       to resume it";
        return Some((GrantReason::IntegrationSuspended, message));
    }
    let mut flows = seen.flows.iter();
    // If a loan could be renewed without its flow, deleting a suspended flow would undo the
    // suspension.
    let Some(flow) = flows.find(|f| f.metadata.uid.as_ref() == Some(&terms.flow.uid)) else {
        let message = "the loan's flow no longer exists, so no further link is issued; request \
                       again through another flow";
        return Some((GrantReason::FlowNotFound, message));
    };
    let message = "the flow is suspended, so no further link is issued; ask the flow's maintainer \
                   to resume it";
    flow.spec
        .suspend
        .then_some((GrantReason::FlowSuspended, message))
}
