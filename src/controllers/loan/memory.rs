//! What is remembered of a loan between passes, and may be forgotten: all that matters is in its record.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::cluster::{ApiErrorKind, Deleted};
use crate::onepassword::SharePolicy;
use crate::plan::retry::{Attempt, Failure, Undeleted};

/// The memories of all loans, by the grants' uids.
#[derive(Default)]
pub struct Memories(Mutex<HashMap<String, Arc<Memory>>>);

/// The memory of one loan.
#[derive(Default)]
pub struct Memory(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    attempt: Option<Attempt>,
    deleted: Option<(String, Deleted)>,
    undeleted: Option<Undeleted>,
    policy: Option<Arc<SharePolicy>>,
    out_of_reach: bool,
    checked: BTreeSet<String>,
    in_line_since: Option<Timestamp>,
}

impl Memories {
    /// The memory of the loan of this grant.
    pub fn of(&self, uid: &str) -> Arc<Memory> {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.entry(uid.to_owned()).or_default().clone()
    }

    /// Forgets a loan of which nothing is left.
    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

impl Memory {
    /// How the last attempt failed, if it did.
    pub fn attempt(&self) -> Option<Attempt> {
        self.with(|r| r.attempt.clone())
    }

    /// Takes in what came of an attempt: success forgets the failures before it.
    pub fn note_attempt(&self, outcome: Result<(), Failure>, at: Timestamp) {
        self.with(|r| {
            let before = r.attempt.as_ref().map(|attempt| &attempt.failure);
            if let Some(failure) = outcome
                .as_ref()
                .err()
                .filter(|failure| before != Some(failure))
            {
                // Once for each cause: it is tried again and again. The words are those of the condition, which names the loan.
                let attempt = Attempt {
                    at,
                    failure: failure.clone(),
                    count: 1,
                };
                let (reason, message) = attempt.explain();
                tracing::warn!(reason, message, "no link could be issued");
            }
            r.attempt = outcome.err().map(|failure| Attempt {
                at,
                failure,
                count: r.attempt.as_ref().map_or(0, |a| a.count).saturating_add(1),
            });
        });
    }

    /// The loan waits for its turn at 1Password; says since when.
    pub fn note_in_line(&self, now: Timestamp) -> Timestamp {
        self.with(|r| *r.in_line_since.get_or_insert(now))
    }

    /// The loan has its turn.
    pub fn leave_line(&self) {
        self.with(|r| r.in_line_since = None);
    }

    /// The link Secret of this uid was deleted, whatever the watch has told so far.
    pub fn note_deleted(&self, secret_uid: String, outcome: Deleted) {
        self.with(|r| {
            r.deleted = Some((secret_uid, outcome));
            r.undeleted = None;
            r.policy = None;
        });
    }

    /// What came of deleting the link Secret of this uid, if that was done.
    pub fn deleted(&self, secret_uid: &str) -> Option<Deleted> {
        self.with(|r| {
            let deleted = r.deleted.as_ref().filter(|(uid, _)| uid == secret_uid);
            deleted.map(|(_, outcome)| *outcome)
        })
    }

    /// The link's Secret could not be deleted.
    pub fn note_undeleted(&self, trouble: &ApiErrorKind, at: Timestamp) {
        self.with(|r| {
            let before = r.undeleted.as_ref().map_or(0, |u| u.count);
            r.undeleted = Some(Undeleted {
                at,
                why: trouble.to_string(),
                is_passing: trouble.may_pass(),
                count: before.saturating_add(1),
            });
        });
    }

    /// How the last attempt to delete the link's Secret failed, if it did.
    pub fn undeleted(&self) -> Option<Undeleted> {
        self.with(|r| r.undeleted.clone())
    }

    /// Whether the operator might look at the link's Secret when it last tried to.
    pub fn is_in_reach(&self) -> bool {
        self.with(|r| !r.out_of_reach)
    }

    /// Takes in whether the operator may look at the link's Secret.
    pub fn note_reach(&self, is_in_reach: bool) {
        self.with(|r| r.out_of_reach = !is_in_reach);
    }

    /// The uids of the request and of the decisions that were there when a check of the boundary began that it passed.
    pub fn checked(&self) -> BTreeSet<String> {
        self.with(|r| r.checked.clone())
    }

    /// The boundary was checked while these were there.
    pub fn note_checked(&self, uids: impl IntoIterator<Item = String>) {
        self.with(|r| r.checked.extend(uids));
    }

    /// The sharing policy as it was last read for this loan's item.
    pub fn policy(&self) -> Option<Arc<SharePolicy>> {
        self.with(|r| r.policy.clone())
    }

    /// Keeps a sharing policy, or forgets it.
    pub fn keep_policy(&self, policy: Option<Arc<SharePolicy>>) {
        self.with(|r| r.policy = policy);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Remembered) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
