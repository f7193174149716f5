//! A loan that runs: its links, their renewal, and its end.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessGrant, AccessRecord, EndReason, EndRecord, RENEW_ANNOTATION, Renewal, Time,
};

use super::effect::{Effect, IssueLink, Plan};
use super::inventory::Lookup;
use super::links::{Links, MOST_LOST, RENEWAL_MARGIN, end_of};
use super::observed::{LinkSeen, Observed};
use super::reasons::grant as reasons;
use super::retry::{self, Failure};
use super::selection::is_one_of;
use super::status::{self, LoanState};
use super::terms::Agreement;

/// How long a loan may take to its first link before it is given up.
const FIRST_LINK_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Decide about a loan that has a record and has not ended.
pub fn plan(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Plan {
    let links = Links::of(&record.spec);
    if let Some(reason) = end_due(seen, record, now) {
        return end(seen, record, reason, now);
    }
    let Some(grant) = seen.grant.as_deref() else {
        return Plan::default();
    };
    if let Some(open) = links.open()
        && let LinkSeen::Present {
            sequence,
            issued_at,
            expires_at,
            item_version,
        } = seen.link
        && sequence == open.sequence
    {
        let effect = Effect::FinishLink {
            sequence,
            issued_at: Time(issued_at),
            expires_at: Time(expires_at),
            item_version,
        };
        return Plan {
            effect: Some(effect),
            ..Plan::default()
        };
    }
    let next = next_link(seen, record, grant, now);
    let effect = match &next {
        Next::Issue(issue) => Some(Effect::IssueLink(issue.clone())),
        _ => None,
    };
    let state = state(seen, record, &next, now);
    let status = status::of_loan(grant, record, state, now);
    let notes = status::notes(grant, &status);
    let ends = [
        links.access_end(),
        links.current().map(end_of).filter(|end| *end > now),
        match next {
            Next::Waits { until, .. } => Some(until),
            _ => None,
        },
        links
            .granted_at()
            .is_none()
            .then(|| gives_up_at(record, now)),
    ];
    Plan {
        effect,
        status: Some(status),
        wake: ends.into_iter().flatten().min(),
        notes,
    }
}

/// Why the loan is over, if it is. Nothing here depends on a flow, an integration or 1Password being healthy.
fn end_due(seen: &Observed, record: &AccessRecord, now: Timestamp) -> Option<EndReason> {
    let links = Links::of(&record.spec);
    let gone = seen
        .grant
        .as_ref()
        .is_none_or(|g| g.metadata.deletion_timestamp.is_some());
    if gone {
        return Some(EndReason::Deleted);
    }
    if links.loan_end().is_some_and(|end| now >= end) {
        return Some(EndReason::Expired);
    }
    if blocked(seen, record) {
        return Some(EndReason::Blocked);
    }
    if item_changed(seen, record) {
        return Some(EndReason::ItemChanged);
    }
    let only_link_ended = !links.renews() && links.current().is_some_and(|l| now >= end_of(l));
    if only_link_ended {
        return Some(EndReason::LinkEnded);
    }
    let never_started = links.granted_at().is_none() && links.open().is_none();
    let refused = seen
        .attempt
        .as_ref()
        .is_some_and(|a| a.failure == Failure::Refused);
    if never_started && (refused || now >= gives_up_at(record, now)) {
        return Some(EndReason::NotIssued);
    }
    None
}

fn gives_up_at(record: &AccessRecord, now: Timestamp) -> Timestamp {
    let created = record
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |t| t.0);
    created
        .saturating_add(FIRST_LINK_WITHIN)
        .unwrap_or(Timestamp::MAX)
}

fn blocked(seen: &Observed, record: &AccessRecord) -> bool {
    let limits = seen
        .integration
        .as_ref()
        .and_then(|i| i.object.spec.limits.as_ref());
    limits.is_some_and(|l| is_one_of(&l.blocked, &record.spec.requester))
}

/// Security rotates a password to cut somebody off: a link to the new one would undo that.
fn item_changed(seen: &Observed, record: &AccessRecord) -> bool {
    if Links::of(&record.spec).first().is_none() {
        return false;
    }
    if seen
        .attempt
        .as_ref()
        .is_some_and(|a| a.failure == Failure::ItemChanged)
    {
        return true;
    }
    let terms = &record.spec.terms;
    let inventory = seen.integration.as_ref().and_then(|i| i.inventory.as_ref());
    let Some(Lookup::One(vault)) = inventory.map(|i| i.vault(&terms.vault.id)) else {
        return false;
    };
    match vault.item(&terms.item.id) {
        Lookup::One(item) => item.updated_at.as_second() > terms.item_updated_at.0.as_second(),
        _ => false,
    }
}

/// First the Secret goes, then the end is written: whatever happens in between, nobody finds a link.
fn end(seen: &Observed, record: &AccessRecord, reason: EndReason, now: Timestamp) -> Plan {
    let links = Links::of(&record.spec);
    let effect = match seen.link {
        LinkSeen::Present { .. } => Effect::DeleteLink,
        LinkSeen::Absent | LinkSeen::Foreign => Effect::EndLoan {
            end: EndRecord {
                reason,
                by: None,
                at: Time(now),
            },
            lost: links.open().map(|l| l.sequence),
            residual_until: links.residual(now).map(Time),
        },
    };
    Plan {
        effect: Some(effect),
        ..Plan::default()
    }
}

/// What about the next link.
enum Next {
    /// None is needed.
    NotNeeded,
    /// It is issued now.
    Issue(Box<IssueLink>),
    /// It has to wait.
    Waits {
        until: Timestamp,
        why: (&'static str, String),
        stalled: bool,
    },
    /// It is not issued, though it is wanted.
    Stopped {
        why: (&'static str, String),
        stalled: bool,
    },
}

fn next_link(seen: &Observed, record: &AccessRecord, grant: &AccessGrant, now: Timestamp) -> Next {
    let links = Links::of(&record.spec);
    let asked = renewal_asked(grant, now);
    let interrupted = links.open();
    match links.current() {
        Some(current) => {
            if record.spec.terms.renewal == Renewal::Never || record.spec.terms.view_once {
                return Next::NotNeeded;
            }
            let about_to_end = end_of(current)
                .saturating_sub(RENEWAL_MARGIN)
                .unwrap_or(Timestamp::MIN);
            let unusable = now >= about_to_end || seen.link == LinkSeen::Absent;
            let wanted = asked.is_some_and(|at| !served(current, at));
            if !(unusable && wanted) {
                return Next::NotNeeded;
            }
            if let Some(why) = renewal_stopped(seen, record) {
                return Next::Stopped {
                    why,
                    stalled: false,
                };
            }
        }
        None => {
            let suspended = seen
                .integration
                .as_ref()
                .is_none_or(|i| i.object.spec.suspend);
            if suspended {
                let why = (
                    reasons::INTEGRATION_SUSPENDED,
                    "the integration is suspended or gone; nothing new is lent".into(),
                );
                return Next::Stopped {
                    why,
                    stalled: false,
                };
            }
        }
    }
    let since = links.current().and(asked);
    let lost = links.lost_in_a_row(since) + usize::from(interrupted.is_some());
    if lost >= MOST_LOST {
        let message = "three links in a row were lost on the way to 1Password and back; look at the network and at 1Password's status, then ask again";
        return Next::Stopped {
            why: (reasons::LINKS_LOST, message.into()),
            stalled: true,
        };
    }
    if seen.link == LinkSeen::Foreign {
        return Next::Stopped {
            why: retry::taken(),
            stalled: true,
        };
    }
    if let Some(attempt) = seen.attempt.as_ref().filter(|a| a.retry_at() > now) {
        return Next::Waits {
            until: attempt.retry_at(),
            why: attempt.explain(),
            stalled: attempt.needs_a_person(),
        };
    }
    if let Some(until) = throttled(seen).filter(|until| *until > now) {
        let why = (
            reasons::THROTTLED,
            format!("1Password's request limit is reached; next try at {until:.0}"),
        );
        return Next::Waits {
            until,
            why,
            stalled: false,
        };
    }
    let Some(lifetime) = links.lifetime(now) else {
        let why = (
            reasons::NO_TIME_LEFT,
            "the loan ends too soon for another link: the shortest one opens for an hour".into(),
        );
        return Next::Stopped {
            why,
            stalled: false,
        };
    };
    Next::Issue(Box::new(IssueLink {
        sequence: links.next_sequence(),
        agreement: Agreement::of(record),
        first: false,
        lost: interrupted.map(|l| l.sequence),
        lifetime,
        item_version: links.first().and_then(|l| l.item_version),
    }))
}

/// When the borrower last asked for a link. A time in the future would make every later link a wanted one.
fn renewal_asked(grant: &AccessGrant, now: Timestamp) -> Option<Timestamp> {
    let text = grant.metadata.annotations.as_ref()?.get(RENEW_ANNOTATION)?;
    text.parse::<Timestamp>().ok().filter(|at| {
        *at <= now
            .saturating_add(SignedDuration::from_mins(1))
            .unwrap_or(now)
    })
}

/// Whether a link was issued after it was asked for.
fn served(current: &crate::api::LinkRecord, asked: Timestamp) -> bool {
    asked < current.intent_at.0
}

fn throttled(seen: &Observed) -> Option<Timestamp> {
    seen.integration.as_ref().and_then(|i| i.throttled_until)
}

fn renewal_stopped(seen: &Observed, record: &AccessRecord) -> Option<(&'static str, String)> {
    let stopped = |message: &str| Some((reasons::RENEWAL_STOPPED, message.to_owned()));
    let Some(integration) = &seen.integration else {
        return stopped("the integration is gone; the loan ends with its current link");
    };
    if integration.object.metadata.uid.as_ref() != Some(&record.spec.terms.integration.uid) {
        return stopped("the integration was replaced by another one; ask again");
    }
    if integration.object.spec.suspend {
        return stopped("the integration is suspended; no further link is issued");
    }
    let suspended = seen
        .flows
        .iter()
        .any(|f| f.metadata.uid.as_ref() == Some(&record.spec.terms.flow.uid) && f.spec.suspend);
    if suspended {
        return stopped("the flow is suspended; no further link is issued");
    }
    None
}

fn state(seen: &Observed, record: &AccessRecord, next: &Next, now: Timestamp) -> LoanState {
    let links = Links::of(&record.spec);
    let current = links.current();
    let opens = current.filter(|l| now < end_of(l));
    let here = matches!(seen.link, LinkSeen::Present { sequence, .. } if current.is_some_and(|l| l.sequence == sequence));
    let (hindered, stalled) = match next {
        Next::Waits { why, stalled, .. } | Next::Stopped { why, stalled } => {
            (Some(why.clone()), *stalled)
        }
        _ => (None, false),
    };
    let active = match (current, opens) {
        (Some(_), Some(_)) if here => Ok(()),
        (Some(_), Some(_)) => Err(hindered.unwrap_or((
            reasons::LINK_SECRET_MISSING,
            format!("somebody deleted the Secret with the link; ask for another link with the annotation {RENEW_ANNOTATION}"),
        ))),
        (Some(_), None) => Err(hindered.unwrap_or_else(|| match links.lifetime(now) {
            Some(_) => (
                reasons::LINK_ENDED,
                format!("the link has ended; ask for the next one with the annotation {RENEW_ANNOTATION}"),
            ),
            None => (reasons::NO_TIME_LEFT, "the link has ended, and the loan ends too soon for another one".into()),
        })),
        (None, _) => Err(hindered.unwrap_or((reasons::ISSUING, "the first link is being made".into()))),
    };
    LoanState {
        active,
        stalled,
        secret_here: here,
    }
}
