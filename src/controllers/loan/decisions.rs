//! Whether people really made the requests and decisions that the watches have reported: the
//! boundary verifies them, and before the first link the decisions are read again.

use std::sync::Arc;

use crate::cluster::{ApiError, Key};
use crate::plan::effect::IssueLink;
use crate::plan::observed::Observed;

use super::issue::Issuing;
use super::{LoanKey, Loans};

impl Issuing {
    /// Reads the decisions for the first link from the API server itself, so that the next plan
    /// counts what exists.
    pub(super) async fn read_decisions_again(&self, issue: &IssueLink) -> Result<(), ApiError> {
        if issue.item_version.is_some() {
            return Ok(());
        }
        let grant = &self.key.grant;
        let names = issue
            .decisions
            .iter()
            .filter_map(|counted| counted.name.as_ref());
        for name in names {
            let key = Key::new(&grant.namespace, name);
            self.loans.cluster.decisions.live(&key).await?;
        }
        Ok(())
    }
}

impl Loans {
    /// Checks the boundary, and then remembers the verified objects: those that exist by now and
    /// are younger than the last change. The loan is looked at again once the state of the boundary
    /// is known.
    pub(super) fn have_vouched(self: &Arc<Self>, key: &LoanKey, seen: &Observed) {
        let grant = seen.grant.iter().map(|grant| &grant.metadata);
        let decisions = seen.decisions.iter().map(|decision| &decision.metadata);
        let there: Vec<_> = grant
            .chain(decisions)
            .filter_map(|meta| {
                let made = meta.creation_timestamp.as_ref().map(|time| time.0);
                Some((meta.uid.clone()?, made))
            })
            .collect();
        let (loans, key) = (Arc::downgrade(self), key.clone());
        self.boundary.check(&key.uid.clone(), move |answer| {
            let Some(loans) = loans.upgrade() else { return };
            match answer {
                Ok(()) => {
                    let changed_at = loans.boundary.seen().changed_at;
                    let vouched = there.into_iter().filter(|(_, made)| {
                        changed_at.is_none_or(|changed| made.is_some_and(|made| made > changed))
                    });
                    let memory = loans.memories.of(&key.uid);
                    memory.note_checked(vouched.map(|(uid, _)| uid));
                }
                Err(why) => {
                    tracing::warn!(grant = %key.grant, %why, "the identity of the requester or of an approver is not verified");
                }
            }
            loans.go_on(key);
        });
    }
}
