//! Counts requests, loans and links for the metrics. Each is counted when the write that makes it so
//! has succeeded: a compare-and-swap of the record, or the status that first shows the outcome. So a
//! restart counts nothing again, and what another process did is not counted here.

use jiff::Timestamp;

use crate::api::{
    ACTIVE, AccessGrant, AccessGrantStatus, AccessRecordSpec, Decision, EndReason, LinkOutcome,
    Phase, RequestOutcome, Time,
};
use crate::plan::delivery::closing::{Closing, Outcome};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::links::Links;
use crate::plan::delivery::steps::IssueLink;
use crate::plan::effect::EndLoan;
use crate::plan::reasons::GrantReason;
use crate::telemetry::{CauseLabel, DecisionLabel, LinkLabel, RequestLabel};

use super::key::LoanKey;
use super::loans::Loans;

impl Loans {
    /// A record has got its first intent: everyone who had to approve has done so.
    pub(super) fn count_approved(&self, record: &AccessRecordSpec) {
        let approvals = record.decisions.iter();
        let last = approvals
            .filter(|counted| counted.decision == Decision::Approve)
            .map(|counted| counted.at.0)
            .max();
        if let (Some(last), Some(asked)) = (last, &record.requested_at) {
            let took = seconds(asked.0, last);
            self.metrics()
                .lending
                .request_decided(DecisionLabel::Approved, took);
        }
    }

    /// An intent was written that marks an interrupted one as lost in the same write.
    pub(super) fn count_interrupted(&self, key: &LoanKey, issue: &IssueLink) {
        if issue.lost.is_some() {
            self.count_lost(key);
        }
    }

    /// A link's intent was closed in this record. `failure` is the reason, unless the link was
    /// issued or the loan was to end.
    pub(super) fn count_closed(
        &self,
        record: &AccessRecordSpec,
        closing: &Closing,
        failure: Option<&Failure>,
    ) {
        let cause = failure.map(cause_of);
        match closing.outcome {
            Outcome::Issued { .. } => self.count_issued(record),
            Outcome::Refused => {
                let cause = cause.unwrap_or(CauseLabel::None);
                self.metrics().lending.link(LinkLabel::Refused, cause);
            }
            Outcome::Lost { .. } => {
                let cause = cause.unwrap_or(CauseLabel::LoanEnded);
                self.metrics().lending.link(LinkLabel::Lost, cause);
            }
        }
    }

    fn count_issued(&self, record: &AccessRecordSpec) {
        self.metrics()
            .lending
            .link(LinkLabel::Issued, CauseLabel::None);
        if has_lent(record) {
            return;
        }
        self.metrics().lending.request(RequestLabel::Lent);
        if let Some(asked) = &record.requested_at {
            let took = seconds(asked.0, self.clock.now());
            let needed_approval = record.terms.approval.is_some();
            self.metrics().lending.request_lent(needed_approval, took);
        }
    }

    /// An attempt to issue a link failed, whether its intent was written by then or not.
    pub(super) fn count_failure(&self, failure: &Failure) {
        self.metrics().lending.link_failure(cause_of(failure));
    }

    /// The end of a loan was written. `record` is as it was before.
    pub(super) fn count_end(&self, key: &LoanKey, record: &AccessRecordSpec, ended: &EndLoan) {
        if ended.lost.is_some() {
            self.count_lost(key);
        }
        let reason = ended.end.reason;
        if !has_lent(record) {
            self.metrics().lending.request(match reason {
                EndReason::Deleted | EndReason::Revoked | EndReason::TakenBack => {
                    RequestLabel::TakenBack
                }
                EndReason::Denied => RequestLabel::Denied,
                EndReason::Lapsed => RequestLabel::Lapsed,
                EndReason::Expired
                | EndReason::ItemChanged
                | EndReason::Blocked
                | EndReason::LinkEnded
                | EndReason::NotIssued
                | EndReason::Restored
                | EndReason::Failed => RequestLabel::Failed,
            });
        }
        // Nobody plans the other ends.
        let is_planned = matches!(reason, EndReason::Expired | EndReason::LinkEnded);
        let planned = Links::of(record).access_end().filter(|_| is_planned);
        if let Some(planned) = planned {
            let late_by = seconds(planned, self.clock.now());
            self.metrics().lending.ended_late_by(late_by);
        }
    }

    /// The status of a request without a record was written.
    pub(super) fn count_status(&self, grant: &AccessGrant, status: &AccessGrantStatus) {
        let before = grant.status.as_ref().and_then(|s| s.phase);
        let Some(outcome) = outcome_of(status).filter(|_| status.phase != before) else {
            return;
        };
        self.metrics().lending.request(outcome);
        let mut decisions = status.decisions.iter();
        let no = decisions.find(|counted| counted.decision != Decision::Approve);
        if let (RequestLabel::Denied, Some(no)) = (outcome, no) {
            self.count_denied(grant.metadata.creation_timestamp.as_ref(), no.at.0);
        }
    }

    /// A request is gone that had got no outcome. `unlent` is its record, if it gets one: it says
    /// whether somebody denied the request just before.
    pub(super) fn count_deleted(&self, key: &LoanKey, unlent: Option<&AccessRecordSpec>) {
        if !self.deleted.is_first_look(key) {
            return;
        }
        match unlent.filter(|record| record.outcome == Some(RequestOutcome::Denied)) {
            Some(record) => {
                self.metrics().lending.request(RequestLabel::Denied);
                if let Some(end) = &record.end {
                    self.count_denied(record.requested_at.as_ref(), end.at.0);
                }
            }
            None => self.metrics().lending.request(RequestLabel::TakenBack),
        }
    }

    fn count_denied(&self, asked: Option<&Time>, denied: Timestamp) {
        if let Some(asked) = asked {
            let took = seconds(asked.0, denied);
            self.metrics()
                .lending
                .request_decided(DecisionLabel::Denied, took);
        }
    }

    /// An intent turned out to have been interrupted. Only the process that wrote it knows more.
    fn count_lost(&self, key: &LoanKey) {
        let attempt = self.memories.of(&key.uid).attempt();
        let not_stored = attempt.is_some_and(|a| matches!(a.failure, Failure::NotKept(_)));
        let cause = match not_stored {
            true => CauseLabel::NotStored,
            false => CauseLabel::Interrupted,
        };
        self.metrics().lending.link(LinkLabel::Lost, cause);
    }
}

/// Whether a link of this loan was issued before.
fn has_lent(record: &AccessRecordSpec) -> bool {
    let mut links = record.links.iter();
    links.any(|link| link.outcome == Some(LinkOutcome::Issued))
}

/// The outcome that a status shows, if it shows one and no record does.
fn outcome_of(status: &AccessGrantStatus) -> Option<RequestLabel> {
    let withdrawn = status
        .conditions
        .iter()
        .any(|c| c.type_ == ACTIVE && c.reason == GrantReason::Revoked);
    match status.phase? {
        Phase::Denied if withdrawn => Some(RequestLabel::TakenBack),
        Phase::Denied => Some(RequestLabel::Denied),
        Phase::Lapsed => Some(RequestLabel::Lapsed),
        Phase::Failed => Some(RequestLabel::Failed),
        Phase::Pending | Phase::Issuing | Phase::Active | Phase::Ending | Phase::Ended => None,
    }
}

/// The class of a failure.
fn cause_of(failure: &Failure) -> CauseLabel {
    match failure {
        Failure::Unauthorized => CauseLabel::Unauthorized,
        Failure::Forbidden => CauseLabel::Forbidden,
        Failure::NotFound | Failure::Archived => CauseLabel::ItemGone,
        Failure::RateLimited { .. } => CauseLabel::Throttled,
        Failure::Refused | Failure::OpensOnce | Failure::NotShareable(_) => CauseLabel::Policy,
        Failure::NotConnected => CauseLabel::NotConnected,
        Failure::Unavailable | Failure::Unanswered(_) => CauseLabel::Unavailable,
        Failure::NotKept(_) => CauseLabel::NotStored,
        Failure::NoPlace { .. } | Failure::SecretTaken(_) => CauseLabel::NoPlace,
        Failure::NoRecord { .. } => CauseLabel::NoRecord,
        Failure::ItemDiffers | Failure::ItemChanged => CauseLabel::ItemChanged,
        Failure::LimitReached => CauseLabel::Limit,
    }
}

/// The seconds between two times; none if the clocks differ so much that they are in the wrong
/// order.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}
