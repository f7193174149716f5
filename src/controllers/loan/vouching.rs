//! Who vouches for those who ask and decide: the admission policies, if they are in force.

use std::sync::Arc;

use super::{LoanKey, Loans};
use crate::plan::observed::Observed;

impl Loans {
    /// Has the boundary looked at, and then remembers for whom it vouches: for what is there by now, and is younger than the last change.
    /// The loan is looked at again once it is known how the boundary stands.
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
                    tracing::warn!(grant = %key.grant, %why, "nobody vouches for who asks");
                }
            }
            loans.go_on(key);
        });
    }
}
