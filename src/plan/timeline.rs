//! The steps that a request or a loan has taken, derived from its objects alone: each has the time
//! at which it happened and an id that is the same each time that it is derived.
//!
//! Notices and the audit log tell these steps. They need no memory of their own of what happened,
//! so a restart loses none, and what a request did not live to tell is told by its record.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    ACCEPTED, APPROVED, AccessGrant, AccessRecordSpec, Condition, CountedDecision, Decision,
    EndReason, EndRecord, Identity, LinkOutcome, LinkRecord, NoticeEvent, ObjectIdentity, Phase,
    RequestOutcome, STALLED, Terms,
};

use super::deadline::later;
use super::delivery::links::Links;
use super::reasons::GrantReason;
use super::record::{is_of_a_loan, over_at};
use super::request_state::RequestState;
use super::terms::identity;

/// How long before the end of a loan its borrower is told.
pub const ENDS_SOON: SignedDuration = SignedDuration::from_mins(10);

/// A request or a loan: its grant, its record, or both.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The request, while it exists.
    pub grant: Option<&'a AccessGrant>,
    /// The record, once there is one.
    pub record: Option<&'a AccessRecordSpec>,
}

/// One step of a request or a loan.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'a> {
    /// Identifies the step: the grant's uid, the event, and what tells it from others of its kind,
    /// such as the number of the link.
    pub id: String,
    /// The step.
    pub event: NoticeEvent,
    /// The time at which it happened.
    pub at: Timestamp,
    /// The time by which it is told: not before that of the steps from which it follows. Some times
    /// are those of the API server, some are the operator's, and a link may still be handed over
    /// when its loan has just been revoked.
    pub told_by: Timestamp,
    /// The decision, for `Decided`, `Denied` and `TakenBack`, if somebody made one.
    pub decision: Option<&'a CountedDecision>,
    /// The link, for a step of a link.
    pub link: Option<&'a LinkRecord>,
}

impl<'a> Subject<'a> {
    /// The grant, by namespace, name and uid.
    pub fn identity(&self) -> ObjectIdentity {
        let by_record = self.record.map(|record| record.grant.clone());
        let by_grant = || self.grant.map(|grant| identity(&grant.metadata));
        by_record.or_else(by_grant).unwrap_or_default()
    }

    /// The requester, once they are known.
    pub fn requester(&self) -> Option<&'a Identity> {
        let by_grant = self.grant.and_then(|grant| grant.spec.requester.as_ref());
        by_grant.or(self.record.map(|record| &record.requester))
    }

    /// The requester's justification.
    pub fn justification(&self) -> Option<&'a str> {
        let by_record = self
            .record
            .and_then(|record| record.justification.as_deref());
        by_record.or(self
            .grant
            .and_then(|grant| grant.spec.justification.as_deref()))
    }

    /// The time of the request.
    pub fn requested_at(&self) -> Option<Timestamp> {
        let by_record = self.record.and_then(|record| record.requested_at.as_ref());
        let by_grant = self
            .grant
            .and_then(|grant| grant.metadata.creation_timestamp.as_ref());
        by_record.or(by_grant).map(|at| at.0)
    }

    /// The terms, once a flow covers the request.
    pub fn terms(&self) -> Option<&'a Terms> {
        let by_grant = || self.grant?.status.as_ref()?.terms.as_ref();
        self.record.map(|record| &record.terms).or_else(by_grant)
    }

    /// The decisions that counted.
    pub fn decisions(&self) -> &'a [CountedDecision] {
        let by_grant = || Some(self.grant?.status.as_ref()?.decisions.as_slice());
        let by_record = self.record.map(|record| record.decisions.as_slice());
        by_record.or_else(by_grant).unwrap_or_default()
    }

    /// The end of a loan, or of a request that has a record.
    pub fn end(&self) -> Option<&'a EndRecord> {
        self.record?.end.as_ref()
    }

    /// The record, if it is of a loan.
    pub fn loan(&self) -> Option<&'a AccessRecordSpec> {
        self.record.filter(|record| is_of_a_loan(record))
    }

    /// The time until which a link may still open.
    pub fn residual_until(&self) -> Option<Timestamp> {
        Some(self.record?.residual_until.as_ref()?.0)
    }

    /// The condition of this type in the request's status.
    pub fn condition(&self, type_: &str) -> Option<&'a Condition> {
        let conditions = &self.grant?.status.as_ref()?.conditions;
        conditions.iter().find(|condition| condition.type_ == type_)
    }

    /// The condition that says why there is no loan: the one that a person has to act on, if there
    /// is one.
    pub fn why_not(&self) -> Option<&'a Condition> {
        let refused = |c: &&Condition| c.status == "False";
        let accepted = || self.condition(ACCEPTED).filter(refused);
        self.condition(STALLED).or_else(accepted)
    }

    /// The missing approvals, in a sentence.
    pub fn waiting_for(&self) -> Option<&'a str> {
        self.grant?.status.as_ref()?.waiting_for.as_deref()
    }

    /// Whether the request waits for approval.
    pub fn waits_for_approval(&self) -> bool {
        let waits = self.condition(APPROVED);
        self.record.is_none() && waits.is_some_and(|c| c.reason == GrantReason::WaitingForApproval)
    }

    /// All steps until now, in the order in which they are told. A request that still waits is recalled
    /// this long after it was made.
    pub fn steps(&self, remind_after: Option<SignedDuration>, now: Timestamp) -> Vec<Step<'a>> {
        let mut steps = self.of_request();
        steps.extend(self.reminder(remind_after));
        steps.extend(self.of_links());
        steps.extend(self.of_end());
        steps.retain(|step| step.at <= now || !comes_with_time(step.event));
        let of_links = |step: &&Step<'_>| step.link.is_some();
        let last_link = steps.iter().filter(of_links).map(|step| step.at).max();
        for step in &mut steps {
            if matches!(step.event, NoticeEvent::Ended | NoticeEvent::LinksOver) {
                step.told_by = last_link.map_or(step.at, |link| link.max(step.at));
            }
        }
        steps.sort_by_key(|step| step.told_by);
        steps
    }

    /// When the next step of a loan happens that only time brings, if one does.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let by_time = self.of_end().into_iter().map(|step| step.at);
        by_time.filter(|at| *at > now).min()
    }

    /// The step that recalls a request that waits, this long after it was made; its time may still
    /// come.
    pub fn reminder(&self, after: Option<SignedDuration>) -> Option<Step<'a>> {
        let asked = self.requested_at().filter(|_| self.waits_for_approval())?;
        Some(self.step(NoticeEvent::Reminder, "", later(asked, after?)))
    }

    fn step(&self, event: NoticeEvent, which: &str, at: Timestamp) -> Step<'a> {
        let uid = self.identity().uid;
        let id = match which {
            "" => format!("{uid}/{event:?}"),
            which => format!("{uid}/{event:?}/{which}"),
        };
        Step {
            id,
            event,
            at,
            told_by: at,
            decision: None,
            link: None,
        }
    }

    /// When the approvers were asked: when a flow covered the request, which may be shown once more,
    /// and later, after its integration could not be used for a while.
    fn covered_at(&self) -> Option<Timestamp> {
        if self.record.is_some() {
            return self.requested_at();
        }
        let accepted = self.condition(ACCEPTED).filter(|c| c.status == "True")?;
        let decided = self.decisions().iter().map(|decision| decision.at.0);
        let shown = std::iter::once(accepted.last_transition_time.0);
        shown.chain(decided).min()
    }

    fn digest(&self) -> &'a str {
        let by_grant = || self.grant?.status.as_ref()?.digest.as_deref();
        let by_record = self.record.map(|record| record.digest.as_str());
        by_record.or_else(by_grant).unwrap_or_default()
    }

    fn of_request(&self) -> Vec<Step<'a>> {
        let mut steps = Vec::new();
        let approval = self.terms().and_then(|terms| terms.approval.as_ref());
        if let (Some(_), Some(at)) = (approval, self.covered_at()) {
            steps.push(self.step(NoticeEvent::Requested, self.digest(), at));
        }
        for decision in self.decisions() {
            let which = decision.uid.as_deref().or(decision.name.as_deref());
            steps.push(Step {
                decision: Some(decision),
                ..self.step(
                    NoticeEvent::Decided,
                    which.unwrap_or(&decision.user),
                    decision.at.0,
                )
            });
        }
        let is_approved =
            self.loan().is_some() || self.condition(APPROVED).is_some_and(|c| c.status == "True");
        let approvals = self.decisions().iter();
        let approvals = approvals.filter(|decision| decision.decision == Decision::Approve);
        let last = approvals.map(|decision| decision.at.0).max();
        if let (Some(_), true, Some(at)) = (approval, is_approved, last) {
            steps.push(self.step(NoticeEvent::Approved, self.digest(), at));
        }
        steps.extend(self.outcome());
        steps
    }

    /// The outcome of a request that lent nothing.
    fn outcome(&self) -> Option<Step<'a>> {
        let mut decisions = self.decisions().iter();
        let no = decisions.find(|decision| decision.decision != Decision::Approve);
        let step = |event, at| Step {
            decision: no,
            ..self.step(event, "", at)
        };
        if let Some(record) = self.record {
            let at = record.end.as_ref()?.at.0;
            return match record.outcome? {
                RequestOutcome::Lent => None,
                RequestOutcome::Denied => Some(step(NoticeEvent::Denied, at)),
                RequestOutcome::TakenBack => Some(step(NoticeEvent::TakenBack, at)),
                RequestOutcome::Lapsed => Some(step(NoticeEvent::Lapsed, at)),
                RequestOutcome::Failed => Some(step(NoticeEvent::Failed, at)),
            };
        }
        let status = self.grant?.status.as_ref()?;
        let by_requester = self.requester().map(|by| by.username.as_str());
        let was_taken_back = no.is_some_and(|no| Some(no.user.as_str()) == by_requester);
        match (RequestState::shown(status), status.phase?) {
            (RequestState::Closed { since }, Phase::Denied) => {
                let at = no.map_or(since, |no| no.at.0);
                Some(match was_taken_back {
                    true => step(NoticeEvent::TakenBack, at),
                    false => step(NoticeEvent::Denied, at),
                })
            }
            (RequestState::Closed { since }, Phase::Lapsed) => {
                Some(step(NoticeEvent::Lapsed, since))
            }
            (RequestState::Closed { since }, Phase::Failed) => {
                Some(step(NoticeEvent::Failed, since))
            }
            // It can still be granted if somebody removes the cause.
            (_, Phase::Failed) => {
                let stalled = self.condition(STALLED)?;
                let since = stalled.last_transition_time.0;
                Some(self.step(NoticeEvent::Failed, &stalled.reason, since))
            }
            _ => None,
        }
    }

    fn of_links(&self) -> Vec<Step<'a>> {
        let Some(record) = self.loan() else {
            return Vec::new();
        };
        let first = Links::of(record).first().map(|link| link.sequence);
        let links = record.links.iter().filter_map(|link| {
            let issued_at = link.issued_at.as_ref().unwrap_or(&link.intent_at);
            let (event, at) = match link.outcome? {
                LinkOutcome::Issued if Some(link.sequence) == first => {
                    (NoticeEvent::LinkIssued, issued_at)
                }
                LinkOutcome::Issued => (NoticeEvent::LinkRenewed, issued_at),
                LinkOutcome::Lost => (NoticeEvent::LinkLost, &link.intent_at),
                LinkOutcome::Refused => return None,
            };
            Some(Step {
                link: Some(link),
                ..self.step(event, &link.sequence.to_string(), at.0)
            })
        });
        links.collect()
    }

    fn of_end(&self) -> Vec<Step<'a>> {
        let Some(record) = self.loan() else {
            return Vec::new();
        };
        let Some(end) = &record.end else {
            let ends_at = Links::of(record).access_end();
            let soon = ends_at.and_then(|end| end.checked_sub(ENDS_SOON).ok());
            let soon = soon.map(|at| self.step(NoticeEvent::EndsSoon, "", at));
            return soon.into_iter().collect();
        };
        let decisions = record.decisions.iter();
        let revoked = decisions.rev().find(|d| Some(&d.user) == end.by.as_ref());
        let ended = match end.reason {
            EndReason::NotIssued => self.step(NoticeEvent::Failed, "", end.at.0),
            _ => Step {
                decision: revoked,
                ..self.step(NoticeEvent::Ended, "", end.at.0)
            },
        };
        let over_at = over_at(record, end);
        let over = (over_at > end.at.0).then(|| self.step(NoticeEvent::LinksOver, "", over_at));
        std::iter::once(ended).chain(over).collect()
    }
}

/// Whether an event happens because time passes, and not because something is written.
fn comes_with_time(event: NoticeEvent) -> bool {
    matches!(
        event,
        NoticeEvent::Reminder | NoticeEvent::EndsSoon | NoticeEvent::LinksOver
    )
}
