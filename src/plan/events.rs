//! The events of a loan: what happens with it, for whom that matters, and how a receiver recognizes
//! an event that it already has. They are derived here only, from the change of a request's status
//! or, once the request is gone, of the loan's record.

use std::fmt;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use crate::api::{
    ACCEPTED, ACTIVE, APPROVED, AccessGrant, AccessGrantStatus, AccessRecord, AccessRecordSpec,
    Condition, ENDED, Phase, STALLED,
};

use super::conditions::{Note, changed};
use super::delivery::links::Links;
use super::delivery::residual_note;
use super::reasons::GrantReason;
use super::record::ending;

static NO_STATUS: LazyLock<AccessGrantStatus> = LazyLock::new(AccessGrantStatus::default);

/// One step of a request or of a loan.
#[derive(Clone, Debug, PartialEq)]
pub struct LoanEvent {
    /// Identifies the step: it is the same each time that the step is told.
    pub id: EventId,
    /// What happens.
    pub kind: LoanEventKind,
    /// The time at which the plan noticed it.
    pub at: Timestamp,
    /// The object that shows it.
    pub about: About,
    /// The reason.
    pub reason: GrantReason,
    /// What happened and what to do, in a sentence.
    pub message: String,
    /// Whether a person may have to act.
    pub warning: bool,
    /// What Kubernetes shows of it: a note for each condition that changed. None if no condition
    /// did: for a link that is renewed while the previous one opens, and for new terms while the
    /// request waits.
    pub notes: Vec<Note>,
}

/// The identity of a step: the grant's uid, the kind of the event, and what tells it from other
/// events of this kind, such as the number of the link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

/// The object that shows an event. Both name the requester and, once they are known, the terms with
/// the approvers and the owners.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// The request, with its new status.
    Request(Arc<AccessGrant>),
    /// The record of a loan whose request is gone, with its end.
    Record(Arc<AccessRecord>),
}

/// What happens with a request or a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoanEventKind {
    /// The request waits for its approvers. Told again if the terms change.
    Requested,
    /// All required approvals have been given.
    Approved,
    /// An approver or owner denied the request.
    Denied,
    /// The request was withdrawn before anything was lent.
    Withdrawn,
    /// The request was not approved or not started in time.
    Lapsed,
    /// The request cannot be granted, or no first link could be issued.
    Failed,
    /// The request waits for something else than approvals.
    Waiting,
    /// The first link is being issued.
    Issuing,
    /// The first link opens: the loan runs.
    LinkIssued,
    /// A further link opens.
    LinkRenewed,
    /// A link is wanted, and something prevents it.
    LinkDelayed,
    /// The link has ended, and the loan has not.
    LinkEnded,
    /// Somebody deleted the Secret with the link.
    LinkLost,
    /// The loan has ended. Its links may still open.
    Ended,
    /// The last link of a loan that ended before has ended, too.
    ResidualOver,
    /// A person has to act on a state that is not new itself.
    Stalled,
}

/// The people for whom an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Addressee {
    /// The requester.
    Requester,
    /// The approvers in the terms.
    Approvers,
    /// The integration's owners in the terms.
    Owners,
}

impl LoanEvent {
    /// The people for whom it matters.
    pub fn addressees(&self) -> &'static [Addressee] {
        use Addressee::{Approvers, Owners, Requester};
        use LoanEventKind as Kind;
        match self.kind {
            Kind::Requested => &[Approvers],
            Kind::Denied | Kind::Withdrawn | Kind::Lapsed => &[Requester, Approvers],
            Kind::Ended | Kind::ResidualOver | Kind::Stalled => &[Requester, Owners],
            Kind::LinkDelayed if self.warning => &[Requester, Owners],
            Kind::Approved
            | Kind::Failed
            | Kind::Waiting
            | Kind::Issuing
            | Kind::LinkIssued
            | Kind::LinkRenewed
            | Kind::LinkDelayed
            | Kind::LinkEnded
            | Kind::LinkLost => &[Requester],
        }
    }
}

impl EventId {
    fn new(grant_uid: &str, kind: LoanEventKind, which: &str) -> Self {
        Self(match which {
            "" => format!("{grant_uid}/{kind}"),
            which => format!("{grant_uid}/{kind}/{which}"),
        })
    }

    /// As text, such as `6f2c9d1e-.../LinkRenewed/2`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LoanEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What happens when a request gets this status: at most an approval, the step that the request or
/// the loan takes, and that a person has to act.
pub fn of_status(
    grant: &Arc<AccessGrant>,
    record: Option<&AccessRecordSpec>,
    after: &AccessGrantStatus,
    now: Timestamp,
) -> Vec<LoanEvent> {
    let before = grant.status.as_ref().unwrap_or(&NO_STATUS);
    let told = worth_telling(before, after);
    let (approved, told): (Vec<_>, Vec<_>) = told.into_iter().partition(|c| c.type_ == APPROVED);
    let (stalled, mut told): (Vec<_>, Vec<_>) = told.into_iter().partition(|c| c.type_ == STALLED);
    let step = Step::of(before, after, record);
    // Mostly, a person has to act because of this very step.
    let (same, stalled): (Vec<_>, Vec<_>) = stalled
        .into_iter()
        .partition(|s| told.iter().any(|c| c.reason == s.reason));
    told.extend(same);
    let step = step.filter(|step| !told.is_empty() || step.is_told_anyway(before, after));
    let approval = approved.first().and_then(|c| Step::of_approval(c, after));
    let stall = stalled.first().and_then(|c| Step::of_stall(c));
    let steps = [(approval, approved), (step, told), (stall, stalled)];
    let mut steps = steps
        .into_iter()
        .filter_map(|(step, told)| Some((step?, told)))
        .peekable();
    if steps.peek().is_none() {
        return Vec::new();
    }
    let about = About::Request(Arc::new(AccessGrant {
        status: Some(after.clone()),
        ..AccessGrant::clone(grant)
    }));
    let uid = grant.metadata.uid.as_deref().unwrap_or_default();
    steps
        .map(|(step, told)| LoanEvent {
            id: EventId::new(uid, step.kind, &step.which),
            kind: step.kind,
            at: now,
            about: about.clone(),
            reason: step.reason,
            message: step.message.to_owned(),
            warning: told.iter().any(|c| c.type_ == STALLED),
            notes: told
                .iter()
                .map(|c| Note::of(c, c.type_ == STALLED))
                .collect(),
        })
        .collect()
}

/// What happens when the record of a loan whose request is gone gets its end: no status tells of it.
pub fn of_ended_record(record: AccessRecord, now: Timestamp) -> Option<LoanEvent> {
    let (reason, what) = ending(record.spec.end.as_ref()?.reason);
    let message = match &record.spec.residual_until {
        Some(until) => format!("{what}; {}", residual_note(until.0)),
        None => what.to_owned(),
    };
    let kind = LoanEventKind::Ended;
    Some(LoanEvent {
        id: EventId::new(&record.spec.grant.uid, kind, ""),
        kind,
        at: now,
        about: About::Record(Arc::new(record)),
        reason,
        message: message.clone(),
        warning: false,
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

/// A step without the object that takes it.
struct Step<'a> {
    kind: LoanEventKind,
    /// What tells it from other steps of this kind; empty if there is only one.
    which: String,
    reason: GrantReason,
    message: &'a str,
}

impl<'a> Step<'a> {
    /// The last step of a request or a loan, as its status shows it.
    fn of(
        before: &AccessGrantStatus,
        after: &'a AccessGrantStatus,
        record: Option<&AccessRecordSpec>,
    ) -> Option<Self> {
        let accepted = condition(after, ACCEPTED)?;
        let active = condition(after, ACTIVE)?;
        let ended = condition(after, ENDED)?;
        let why_not = match accepted.status.as_str() {
            "False" => accepted,
            _ => active,
        };
        let reason = GrantReason::of(active)?;
        if after.ended_at.is_some() {
            return match (&before.ended_at, reason) {
                (Some(_), _) => Self::once(LoanEventKind::ResidualOver, ended),
                (None, GrantReason::NotIssued) => Self::since(LoanEventKind::Failed, active),
                (None, _) => Some(Self {
                    kind: LoanEventKind::Ended,
                    which: String::new(),
                    reason,
                    message: &ended.message,
                }),
            };
        }
        match (after.phase?, reason) {
            (Phase::Denied, GrantReason::Revoked) => Self::once(LoanEventKind::Withdrawn, active),
            (Phase::Denied, _) => Self::once(LoanEventKind::Denied, active),
            (Phase::Lapsed, _) => Self::once(LoanEventKind::Lapsed, why_not),
            (Phase::Failed, _) => Self::since(LoanEventKind::Failed, why_not),
            (Phase::Pending, GrantReason::NotApproved) => {
                let waits = condition(after, APPROVED)?;
                Self::by(LoanEventKind::Requested, waits, digest(after))
            }
            (Phase::Pending, _) => Self::since(LoanEventKind::Waiting, why_not),
            (Phase::Issuing, GrantReason::Issuing) => Self::once(LoanEventKind::Issuing, active),
            (Phase::Issuing, _) => Self::since(LoanEventKind::LinkDelayed, active),
            (Phase::Active, _) => Self::of_link(active, reason, sequence(record)),
            // The time of the end is missing.
            (Phase::Ending | Phase::Ended, _) => Self::once(LoanEventKind::Ended, ended),
        }
    }

    fn of_link(active: &'a Condition, reason: GrantReason, sequence: u32) -> Option<Self> {
        let kind = match reason {
            GrantReason::LinkIssued if sequence > 1 => LoanEventKind::LinkRenewed,
            GrantReason::LinkIssued => LoanEventKind::LinkIssued,
            GrantReason::LinkSecretMissing => LoanEventKind::LinkLost,
            GrantReason::LinkEnded => LoanEventKind::LinkEnded,
            GrantReason::NoTimeForAnotherLink => {
                let which = format!("{sequence}/{reason}");
                return Self::by(LoanEventKind::LinkEnded, active, which);
            }
            _ => return Self::since(LoanEventKind::LinkDelayed, active),
        };
        Self::by(kind, active, sequence.to_string())
    }

    fn of_approval(approved: &'a Condition, after: &AccessGrantStatus) -> Option<Self> {
        Self::by(LoanEventKind::Approved, approved, digest(after))
    }

    fn of_stall(stalled: &'a Condition) -> Option<Self> {
        Self::since(LoanEventKind::Stalled, stalled)
    }

    /// A step that is taken once.
    fn once(kind: LoanEventKind, shown: &'a Condition) -> Option<Self> {
        Self::by(kind, shown, String::new())
    }

    /// A state that may come again: as long as the condition does not change in between, it is the
    /// same one.
    fn since(kind: LoanEventKind, shown: &'a Condition) -> Option<Self> {
        let since = shown.last_transition_time.0.as_second();
        Self::by(kind, shown, format!("{}/{since}", shown.reason))
    }

    fn by(kind: LoanEventKind, shown: &'a Condition, which: String) -> Option<Self> {
        Some(Self {
            kind,
            which,
            reason: GrantReason::of(shown)?,
            message: &shown.message,
        })
    }

    /// Whether it is a new step although no condition changed.
    fn is_told_anyway(&self, before: &AccessGrantStatus, after: &AccessGrantStatus) -> bool {
        let sequence = |status: &AccessGrantStatus| status.link.as_ref().map(|link| link.sequence);
        match self.kind {
            LoanEventKind::LinkRenewed => sequence(before) != sequence(after),
            LoanEventKind::Requested => before.digest != after.digest,
            _ => false,
        }
    }
}

fn condition<'a>(status: &'a AccessGrantStatus, type_: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

fn digest(status: &AccessGrantStatus) -> String {
    status.digest.clone().unwrap_or_default()
}

/// The number of the link that was issued last.
fn sequence(record: Option<&AccessRecordSpec>) -> u32 {
    let links = record.map(Links::of);
    links
        .and_then(Links::current)
        .map_or(0, |link| link.sequence)
}
