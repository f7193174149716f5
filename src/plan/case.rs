//! Reads the observed objects once: whether they are a request, a loan that runs or has ended, or a
//! request that was not granted, each with everything that it always has.

use std::sync::LazyLock;

use jiff::Timestamp;

use crate::api::{
    AccessGrant, AccessGrantStatus, AccessRecord, AgreedApproval, EndRecord, Identity, Terms,
};

use super::deadline::{LAPSES_AFTER, later, timeout};
use super::delivery::failure::Failure;
use super::delivery::links::Links;
use super::observed::Observed;
use super::record::{is_of_a_loan, over_at};
use super::request_state::RequestState;
use super::terms::Agreement;

static NO_STATUS: LazyLock<AccessGrantStatus> = LazyLock::new(AccessGrantStatus::default);

/// The subject of a plan.
pub enum Case<'a> {
    /// A request without a record.
    Request(Request<'a>),
    /// A loan that runs.
    Running(Loan<'a>, Request<'a>),
    /// A loan that runs although its request is gone.
    Abandoned(Loan<'a>),
    /// A loan that has ended, and its request if it still exists.
    Ended(EndedLoan<'a>, Option<Request<'a>>),
    /// A request that was not granted, with its record.
    Unlent(&'a AccessRecord, Request<'a>),
    /// A request whose record is only history.
    History(Request<'a>),
    /// A request that is gone and has no record.
    Gone(Option<Request<'a>>),
    /// Nothing to decide about.
    Nothing,
}

impl<'a> Case<'a> {
    /// What was observed, read at this time.
    pub fn of(seen: &'a Observed, now: Timestamp) -> Self {
        let Some(record) = seen.record.as_deref() else {
            return Self::without_record(seen, now);
        };
        let request = seen.grant.as_deref();
        let request = request.and_then(|grant| Request::of(seen, grant, now));
        let request = request.filter(|request| request.uid == record.spec.grant.uid);
        let is_loan = is_of_a_loan(&record.spec);
        match (&record.spec.end, request) {
            (None, Some(request)) if is_loan => Self::Running(Loan::of(seen, record, now), request),
            (None, None) if is_loan => Self::Abandoned(Loan::of(seen, record, now)),
            (_, Some(request)) if !is_loan => Self::Unlent(record, request),
            (Some(end), request) => Self::Ended(EndedLoan::of(seen, record, end, now), request),
            (None, _) => Self::Nothing,
        }
    }

    fn without_record(seen: &'a Observed, now: Timestamp) -> Self {
        let request = seen.grant.as_deref();
        let request = request.map(|grant| Request::of(seen, grant, now));
        match request {
            Some(Some(request)) if seen.history => Self::History(request),
            Some(Some(request)) => Self::Request(request),
            Some(None) => Self::Nothing,
            None if seen.history => Self::Nothing,
            None => {
                let gone = seen.gone.as_deref();
                Self::Gone(gone.and_then(|grant| Request::read(seen, grant, now)))
            }
        }
    }
}

/// A request, whether it has become a loan or not.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Everything that was observed.
    pub seen: &'a Observed,
    /// The time of the plan.
    pub now: Timestamp,
    /// The object.
    pub grant: &'a AccessGrant,
    /// Its uid, which is never empty.
    pub uid: &'a str,
    /// The time of its creation.
    pub made: Timestamp,
    /// Its last status, which is empty before the first look.
    pub status: &'a AccessGrantStatus,
    /// How far it has got, according to that status.
    pub state: RequestState,
}

impl<'a> Request<'a> {
    /// The request, unless it is being deleted.
    pub fn of(seen: &'a Observed, grant: &'a AccessGrant, now: Timestamp) -> Option<Self> {
        Self::read(seen, grant, now).filter(|request| request.state != RequestState::Deleted)
    }

    /// The request, even if it is being deleted; `None` if the API server has not stored it.
    fn read(seen: &'a Observed, grant: &'a AccessGrant, now: Timestamp) -> Option<Self> {
        let uid = grant
            .metadata
            .uid
            .as_deref()
            .filter(|uid| !uid.is_empty())?;
        let made = grant.metadata.creation_timestamp.as_ref();
        Some(Self {
            seen,
            now,
            grant,
            uid,
            made: made.map_or(now, |made| made.0),
            status: grant.status.as_ref().unwrap_or(&NO_STATUS),
            state: RequestState::of(grant),
        })
    }

    /// The requester, if the request identifies one.
    pub fn requester(&self) -> Option<&'a Identity> {
        self.grant.spec.requester.as_ref()
    }

    /// Whether a flow covered the request at the last look.
    pub(super) fn was_covered(&self) -> bool {
        self.status.terms.is_some()
    }

    /// The deadline before the request is looked up: a day, or the time that its approval needed at
    /// the last look.
    pub(super) fn deadline(&self) -> Timestamp {
        let terms = self.status.terms.as_ref();
        let waits = terms
            .and_then(|t| t.approval.as_ref())
            .map_or(LAPSES_AFTER, |approval| timeout(approval).max(LAPSES_AFTER));
        let approved = self.status.decisions.iter();
        let starts = approved.map(|d| later(d.at.0, LAPSES_AFTER)).max();
        let patience = later(self.made, waits);
        self.not_after(starts.map_or(patience, |starts| starts.max(patience)))
    }

    /// Whether the request was void when it was made: a tool made it again after its `notAfter`.
    pub(super) fn was_made_void(&self) -> bool {
        let not_after = self.grant.spec.not_after.as_ref();
        not_after.is_some_and(|t| t.0 <= self.made)
    }

    /// The deadline for approvals.
    pub(super) fn approval_deadline(&self, approval: &AgreedApproval) -> Timestamp {
        self.not_after(later(self.made, timeout(approval)))
    }

    /// The deadline for the start if the request was approved at this time, or needed no approval.
    pub(super) fn start_deadline(&self, approved_at: Option<Timestamp>) -> Timestamp {
        self.not_after(later(approved_at.unwrap_or(self.made), LAPSES_AFTER))
    }

    fn not_after(&self, limit: Timestamp) -> Timestamp {
        let not_after = self.grant.spec.not_after.as_ref();
        not_after.map_or(limit, |t| t.0.min(limit))
    }
}

/// A loan that runs.
#[derive(Clone, Debug)]
pub struct Loan<'a> {
    /// Everything that was observed.
    pub seen: &'a Observed,
    /// The time of the plan.
    pub now: Timestamp,
    /// The record.
    pub record: &'a AccessRecord,
    /// The links that the record keeps.
    pub links: Links<'a>,
    /// What was agreed.
    pub agreement: Agreement,
}

impl<'a> Loan<'a> {
    fn of(seen: &'a Observed, record: &'a AccessRecord, now: Timestamp) -> Self {
        Self {
            seen,
            now,
            record,
            links: Links::of(&record.spec),
            agreement: Agreement::of(record),
        }
    }

    /// The terms.
    pub fn terms(&self) -> &'a Terms {
        &self.record.spec.terms
    }

    /// The grant's uid.
    pub fn uid(&self) -> &'a str {
        &self.record.spec.grant.uid
    }

    /// Whether the last attempt to issue a link failed in this way. An attempt that is older than
    /// the last intent does not count.
    pub fn failed_by(&self, how: impl Fn(&Failure) -> bool) -> bool {
        let since = self.record.spec.links.last().map(|l| l.intent_at.0);
        let attempt = self.seen.attempt.as_ref();
        attempt.is_some_and(|a| since.is_none_or(|since| a.at >= since) && how(&a.failure))
    }
}

/// A loan that has ended, or a request that was not granted.
#[derive(Clone, Copy, Debug)]
pub struct EndedLoan<'a> {
    /// Everything that was observed.
    pub seen: &'a Observed,
    /// The time of the plan.
    pub now: Timestamp,
    /// The record.
    pub record: &'a AccessRecord,
    /// How and when it ended.
    pub end: &'a EndRecord,
    /// The time at which nothing of it opens any longer.
    pub over_at: Timestamp,
}

impl<'a> EndedLoan<'a> {
    fn of(
        seen: &'a Observed,
        record: &'a AccessRecord,
        end: &'a EndRecord,
        now: Timestamp,
    ) -> Self {
        Self {
            seen,
            now,
            record,
            end,
            over_at: over_at(&record.spec, end),
        }
    }

    /// The time until which a link may still open, if one may now.
    pub fn residual(&self) -> Option<Timestamp> {
        let until = self.record.spec.residual_until.as_ref()?.0;
        Some(until).filter(|until| *until > self.now)
    }

    /// The grant's uid.
    pub fn uid(&self) -> &'a str {
        &self.record.spec.grant.uid
    }
}
