//! Whether a running loan's link opens now, and if not, why.

use jiff::Timestamp;

use crate::api::{LinkStatus, RENEW_ANNOTATION};
use crate::plan::case::{Loan, Request};
use crate::plan::reasons::{GrantReason, Why};

use super::interrupted::gives_up_at;
use super::links::end_of;
use super::next_link::{Next, is_here, no_place};

/// The text for a loan whose link opens.
const OPENS: &str = "the link opens for its recipients";

/// The state of a running loan's link.
#[derive(Debug)]
pub struct LinkState {
    /// That the link opens or, as an error, why not.
    pub active: Result<&'static str, Why>,
    /// Whether a person has to act.
    pub stalled: bool,
    /// The link, if its Secret holds it.
    pub link: Option<LinkStatus>,
}

/// The state of the link, of which the next step is known.
pub fn link_state(loan: &Loan<'_>, next: &Next) -> LinkState {
    let Loan {
        seen, now, links, ..
    } = *loan;
    let current = links.current();
    let here = current.filter(|link| is_here(seen, link));
    let (hindered, stalled) = match next {
        Next::Waits { why, stalled, .. } | Next::Stopped { why, stalled } => {
            (Some(why.clone()), *stalled)
        }
        Next::Check | Next::NotNeeded { .. } | Next::Issue(_) => match no_place(loan) {
            Some(why) => (Some(why), true),
            None => (None, false),
        },
    };
    let active = match current {
        Some(link) if now < end_of(link) && here.is_some() => Ok(OPENS),
        _ => Err(hindered.unwrap_or_else(|| absent(loan))),
    };
    let link = here.and_then(|link| {
        Some(LinkStatus {
            secret_ref: seen.secret_of(loan.uid()),
            sequence: link.sequence,
            issued_at: link.issued_at.clone()?,
            expires_at: link.expires_at.clone()?,
        })
    });
    LinkState {
        active,
        stalled,
        link,
    }
}

/// Why there is no link that opens, if nothing hinders the next one.
fn absent(loan: &Loan<'_>) -> Why {
    let (reason, message) = match loan.links.current() {
        Some(link) if loan.now < end_of(link) => (
            GrantReason::LinkSecretMissing,
            format!(
                "somebody deleted the Secret with the link; to get the next one, run kubectl \
                 keyloan open, or set the annotation {RENEW_ANNOTATION} to the current time"
            ),
        ),
        Some(_) if loan.links.opens_for(loan.now).is_some() => (
            GrantReason::LinkEnded,
            format!(
                "the link has ended; to get the next one, run kubectl keyloan open, or set the \
                 annotation {RENEW_ANNOTATION} to the current time"
            ),
        ),
        Some(_) => (
            GrantReason::NoTimeForAnotherLink,
            "the link has ended, and too little time remains for another one, which opens for at \
             least 1h; request again"
                .into(),
        ),
        None => (
            GrantReason::Issuing,
            "the first link is being issued".into(),
        ),
    };
    (reason, message)
}

/// The time at which time alone changes the state of the loan or of its link.
pub fn next_look(loan: &Loan<'_>, request: &Request<'_>, next: &Next) -> Option<Timestamp> {
    let Loan { now, links, .. } = *loan;
    let times = [
        links.access_end(),
        links.current().map(end_of).filter(|end| *end > now),
        match next {
            Next::Waits { until, .. } => Some(*until),
            Next::NotNeeded { until } => *until,
            Next::Check | Next::Issue(_) | Next::Stopped { .. } => None,
        },
        links
            .granted_at()
            .is_none()
            .then(|| gives_up_at(loan, request)),
    ];
    times.into_iter().flatten().min()
}
