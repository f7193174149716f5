//! Requests that wait for a place: when a loan or an older request of the same person ends, they are looked at again. A loan that has
//! ended while a link of it may open keeps its place until then: each plan knows when that is.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::api::{ACCEPTED, AccessGrantStatus};
use crate::plan::reasons::grant::LIMIT_REACHED;

use super::LoanKey;

/// The requests that wait because their requester has as much as a flow allows, by the requester's name.
#[derive(Default)]
pub(super) struct Rivals(Mutex<HashMap<String, HashSet<LoanKey>>>);

impl Rivals {
    /// Takes in how a request of this person stands.
    pub(super) fn note(&self, requester: &str, key: &LoanKey, status: Option<&AccessGrantStatus>) {
        let conditions = status.map_or(&[][..], |s| &s.conditions);
        let waits = conditions
            .iter()
            .any(|c| c.type_ == ACCEPTED && c.reason == LIMIT_REACHED);
        let mut rivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waits {
            let of_them = rivals.entry(requester.to_owned()).or_default();
            of_them.insert(key.clone());
        } else if let Some(of_them) = rivals.get_mut(requester) {
            of_them.remove(key);
            if of_them.is_empty() {
                rivals.remove(requester);
            }
        }
    }

    /// Forgets a request that is gone.
    pub(super) fn forget(&self, key: &LoanKey) {
        let mut rivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rivals.retain(|_, keys| {
            keys.remove(key);
            !keys.is_empty()
        });
    }

    /// The waiting requests of this person.
    pub(super) fn of(&self, requester: &str) -> Vec<LoanKey> {
        let rivals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_them = rivals.get(requester);
        of_them.map_or_else(Vec::new, |keys| keys.iter().cloned().collect())
    }
}
