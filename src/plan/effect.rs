//! The parts of a plan: at most one effect, a status, a time for the next look, and the events of
//! the loan.

use jiff::Timestamp;

use crate::api::{
    AccessGrantStatus, AccessRecordSpec, CountedDecision, EndReason, EndRecord, LinkOutcome, Time,
};

use super::delivery::closing::Closing;
use super::delivery::steps::IssueLink;
use super::events::LoanEvent;

/// What to do about one loan now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The next action, if any. Afterwards the loan is looked at again.
    pub effect: Option<Effect>,
    /// The grant's status; `None` if there is no grant or nothing to report. It is written only
    /// without an effect, because an effect changes the state.
    pub status: Option<AccessGrantStatus>,
    /// The time of the next look if nothing happens before.
    pub wake: Option<Timestamp>,
    /// What happens with the loan by this plan. It is told once the status is written or, without a
    /// status, once the effect is done.
    pub events: Vec<LoanEvent>,
}

impl Plan {
    /// A plan that only does this.
    pub fn effect(effect: Effect) -> Self {
        Self {
            effect: Some(effect),
            ..Self::default()
        }
    }

    /// The link that the plan issues, if any.
    pub fn issues(&self) -> Option<&IssueLink> {
        match &self.effect {
            Some(Effect::IssueLink(issue)) => Some(issue),
            _ => None,
        }
    }

    /// Whether the plan ends a loan whose link has just been issued. Until the Secret exists, it
    /// looks as if no link could be issued in time.
    pub fn ends_issued(&self) -> bool {
        match &self.effect {
            Some(Effect::DeleteLink) => true,
            Some(Effect::EndLoan(end)) => end.end.reason != EndReason::NotIssued,
            _ => false,
        }
    }
}

/// One effect on the outside. Every effect can be repeated: a crash at any point leaves a state
/// that the plan knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// List one vault's items again, because the inventory does not contain a name.
    ListVault {
        /// The vault's id.
        vault: String,
        /// The name to find. It is remembered if the new list does not contain it exactly once
        /// either.
        looking_for: String,
    },
    /// Issue a link, in steps: see [`super::delivery::steps`].
    IssueLink(Box<IssueLink>),
    /// Complete an interrupted [`Effect::IssueLink`] whose Secret exists: write the missing parts
    /// and close the intent.
    FinishLink(Closing),
    /// Check whether the API server verifies requesters and approvers, with a dry run that starts
    /// now.
    CheckBoundary,
    /// Delete the Secret. The Role and the RoleBinding go with it.
    DeleteLink,
    /// Write the loan's end into its record.
    EndLoan(Box<EndLoan>),
    /// Create the record of a request that was not granted.
    RecordUnlent(Box<AccessRecordSpec>),
    /// Delete a grant that ended long enough ago.
    DeleteGrant,
    /// Delete a record whose retention has ended.
    DeleteRecord,
}

/// The end of a loan, for its record.
#[derive(Clone, Debug, PartialEq)]
pub struct EndLoan {
    /// The reason and the time of the end.
    pub end: EndRecord,
    /// An intent that is still open and counts as lost from now on.
    pub lost: Option<u32>,
    /// The time until which a link may still open.
    pub residual_until: Option<Time>,
    /// The decision that ended it, if one did.
    pub decision: Option<CountedDecision>,
}

impl EndLoan {
    /// The record with this end.
    pub fn applied(&self, record: &AccessRecordSpec) -> AccessRecordSpec {
        let mut record = record.clone();
        let interrupted = record
            .links
            .iter_mut()
            .filter(|link| Some(link.sequence) == self.lost);
        interrupted.for_each(|link| link.outcome = Some(LinkOutcome::Lost));
        record.decisions.extend(self.decision.clone());
        record.end = Some(self.end.clone());
        record.residual_until = self.residual_until.clone();
        record
    }
}
