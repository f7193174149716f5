//! Data about a loan that passes remember and that may be forgotten: everything important is in its
//! record.

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

    /// Forgets a loan that has ended completely.
    pub fn forget(&self, uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(uid);
    }
}

impl Memory {
    /// The failure of the last attempt, if it failed.
    pub fn attempt(&self) -> Option<Attempt> {
        self.with(|r| r.attempt.clone())
    }

    /// Takes in the result of an attempt: success forgets earlier failures.
    pub fn note_attempt(&self, outcome: Result<(), Failure>, at: Timestamp) {
        self.with(|r| {
            let before = r.attempt.as_ref().map(|attempt| &attempt.failure);
            if let Some(failure) = outcome
                .as_ref()
                .err()
                .filter(|failure| before != Some(failure))
            {
                // Logged once for each cause, because attempts are repeated. The text is that of
                // the condition, which names the loan.
                let attempt = Attempt {
                    at,
                    failure: failure.clone(),
                    count: 1,
                };
                let (reason, message) = attempt.explain();
                tracing::warn!(%reason, message, "could not issue a link");
            }
            r.attempt = outcome.err().map(|failure| Attempt {
                at,
                failure,
                count: r.attempt.as_ref().map_or(0, |a| a.count).saturating_add(1),
            });
        });
    }

    /// Notes that the loan waits for its turn at 1Password; returns since when.
    pub fn note_in_line(&self, now: Timestamp) -> Timestamp {
        self.with(|r| *r.in_line_since.get_or_insert(now))
    }

    /// Notes that the loan has its turn.
    pub fn leave_line(&self) {
        self.with(|r| r.in_line_since = None);
    }

    /// Notes that the link Secret with this uid was deleted, whatever the watch has reported so
    /// far.
    pub fn note_deleted(&self, secret_uid: String, outcome: Deleted) {
        self.with(|r| {
            r.deleted = Some((secret_uid, outcome));
            r.undeleted = None;
            r.policy = None;
        });
    }

    /// The result of deleting the link Secret with this uid, if that was tried.
    pub fn deleted(&self, secret_uid: &str) -> Option<Deleted> {
        self.with(|r| {
            let deleted = r.deleted.as_ref().filter(|(uid, _)| uid == secret_uid);
            deleted.map(|(_, outcome)| *outcome)
        })
    }

    /// Notes that the link's Secret could not be deleted.
    pub fn note_undeleted(&self, kind: &ApiErrorKind, at: Timestamp) {
        self.with(|r| {
            let before = r.undeleted.as_ref().map_or(0, |u| u.count);
            r.undeleted = Some(Undeleted {
                at,
                why: kind.to_string(),
                is_passing: kind.may_pass(),
                count: before.saturating_add(1),
            });
        });
    }

    /// The failure of the last attempt to delete the link's Secret, if it failed.
    pub fn undeleted(&self) -> Option<Undeleted> {
        self.with(|r| r.undeleted.clone())
    }

    /// Whether the operator was allowed to read the link's Secret at the last attempt.
    pub fn is_in_reach(&self) -> bool {
        self.with(|r| !r.out_of_reach)
    }

    /// Notes whether the operator is allowed to read the link's Secret.
    pub fn note_reach(&self, is_in_reach: bool) {
        self.with(|r| r.out_of_reach = !is_in_reach);
    }

    /// The uids of the request and of the decisions that existed when the last passed check of the
    /// boundary began.
    pub fn checked(&self) -> BTreeSet<String> {
        self.with(|r| r.checked.clone())
    }

    /// Notes that the boundary was checked while these existed.
    pub fn note_checked(&self, uids: impl IntoIterator<Item = String>) {
        self.with(|r| r.checked.extend(uids));
    }

    /// The sharing policy as last read for this loan's item.
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
