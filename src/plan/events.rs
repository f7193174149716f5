//! What Kubernetes shows of a request or a loan in its events: a note for each condition that
//! changed, or for the end of a loan whose request is gone.

use std::sync::{Arc, LazyLock};

use crate::api::{
    ACCEPTED, ACTIVE, APPROVED, AccessGrant, AccessGrantStatus, AccessRecord, Condition, STALLED,
};

use super::conditions::{Note, changed};
use super::delivery::residual_note;
use super::reasons::GrantReason;
use super::record::ending;

static NO_STATUS: LazyLock<AccessGrantStatus> = LazyLock::new(AccessGrantStatus::default);

/// What is shown of one change.
#[derive(Clone, Debug, PartialEq)]
pub struct LoanEvent {
    /// The object that shows it.
    pub about: About,
    /// The notes, of which there is at least one.
    pub notes: Vec<Note>,
}

/// The object that shows an event.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// The request.
    Request(Arc<AccessGrant>),
    /// The record of a loan whose request is gone, with its end.
    Record(Arc<AccessRecord>),
}

/// What is shown when a request gets this status. A condition that says that a person has to act
/// comes last, unless it repeats another one.
pub fn of_status(grant: &Arc<AccessGrant>, after: &AccessGrantStatus) -> Option<LoanEvent> {
    let before = grant.status.as_ref().unwrap_or(&NO_STATUS);
    let mut told = worth_telling(before, after);
    told.sort_by_key(|c| match c.type_.as_str() {
        APPROVED => 0,
        STALLED => 2,
        _ => 1,
    });
    let notes: Vec<_> = told
        .into_iter()
        .map(|c| Note::of(c, c.type_ == STALLED))
        .collect();
    (!notes.is_empty()).then(|| LoanEvent {
        about: About::Request(grant.clone()),
        notes,
    })
}

/// What is shown when the record of a loan whose request is gone gets its end.
pub fn of_ended_record(record: AccessRecord) -> Option<LoanEvent> {
    let (reason, what) = ending(record.spec.end.as_ref()?.reason);
    let message = match &record.spec.residual_until {
        Some(until) => format!("{what}; {}", residual_note(until.0)),
        None => what.to_owned(),
    };
    Some(LoanEvent {
        about: About::Record(Arc::new(record)),
        notes: vec![Note {
            reason: reason.to_string(),
            message,
            warning: false,
        }],
    })
}

/// The changed conditions that people are told of.
fn worth_telling<'a>(
    before: &'a AccessGrantStatus,
    after: &'a AccessGrantStatus,
) -> Vec<&'a Condition> {
    let changed = changed(&before.conditions, &after.conditions);
    let mut told: Vec<_> = changed
        .filter(|c| c.status == "True" || c.type_ == ACCEPTED || c.type_ == ACTIVE)
        .collect();
    // The chosen flow, and that it requires no approval, are obvious once more has happened.
    let goes_without_saying = |c: &&Condition| {
        [GrantReason::FlowChosen, GrantReason::ApprovedAutomatically]
            .iter()
            .any(|obvious| c.reason == *obvious)
    };
    if !told.iter().all(goes_without_saying) {
        told.retain(|c| !goes_without_saying(c));
    }
    told
}
