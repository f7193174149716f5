//! Derives the steps of each request and loan from its objects as they change, and hands those that
//! are new to the audit log and to the notifiers.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::api::{AccessGrant, AccessRecord, EndReason, EndRecord, IgnoredDecision, NoticeEvent};
use crate::cluster::{Cluster, Key};
use crate::controllers::loan::LoanKey;
use crate::desk::cloud_event::{CloudEvent, Data};
use crate::plan::timeline::{Step, Subject};
use crate::runtime::{Clock, Outcome, WorkQueue};
use crate::telemetry::Audit;

use super::line::LATENESS;
use super::notifiers::Notifiers;
use super::objects::{Objects, keys};

/// Derives steps and hands them on.
pub struct Journal {
    cluster: Arc<Cluster>,
    clock: Clock,
    audit: Audit,
    notifiers: Arc<Notifiers>,
    /// Whether this replica leads. No other one tells anything.
    leads: AtomicBool,
    /// Records that became history since the last pass over them: the caches have dropped their
    /// content.
    last: Mutex<HashMap<LoanKey, Arc<AccessRecord>>>,
    /// The ids of the steps that were handed on, of each request and loan in the caches.
    told: Mutex<HashMap<LoanKey, HashSet<String>>>,
}

impl Journal {
    /// Tells nothing until it leads.
    pub fn new(
        cluster: &Arc<Cluster>,
        clock: &Clock,
        audit: Audit,
        notifiers: &Arc<Notifiers>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster: cluster.clone(),
            clock: clock.clone(),
            audit,
            notifiers: notifiers.clone(),
            leads: AtomicBool::new(false),
            last: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// Schedules a pass for a request or loan when its grant or record changes. Call this before the
    /// watches start.
    pub fn subscribe(self: &Arc<Self>, passes: &WorkQueue<LoanKey>) {
        let (of, queue) = (Arc::downgrade(self), passes.clone());
        self.cluster.grants.subscribe(move |grant: &AccessGrant| {
            let journal = of.upgrade();
            let key = journal.and_then(|journal| journal.own(LoanKey::of_grant(grant)));
            key.into_iter().for_each(|key| queue.enqueue(key));
        });
        let (of, queue) = (Arc::downgrade(self), passes.clone());
        self.cluster
            .records
            .subscribe(move |record: &AccessRecord| {
                let Some(journal) = of.upgrade() else { return };
                let Some(key) = journal.own(LoanKey::of_record(record)) else {
                    return;
                };
                if journal.cluster.records.get(&Key::of(record)).is_none() {
                    lock(&journal.last).insert(key.clone(), Arc::new(record.clone()));
                }
                queue.enqueue(key);
            });
    }

    /// The key, if this replica tells what happens to the loan.
    fn own(&self, key: LoanKey) -> Option<LoanKey> {
        let leads = self.leads.load(Ordering::Relaxed);
        (leads && self.cluster.install.serves(&key.ledger)).then_some(key)
    }

    /// From now on, this replica tells. It takes everything that is there for told: the notifiers
    /// know from their status which of it was not. An earlier leader may have stopped before it
    /// wrote its last lines of the audit log, so those of the last minutes are written again.
    pub fn lead(&self) {
        self.leads.store(true, Ordering::Relaxed);
        let now = self.clock.now();
        for key in keys(&self.cluster) {
            let objects = Objects::of(&self.cluster, &key, None);
            let entries = entries(&objects, now);
            for entry in entries.iter().filter(|entry| entry.is_recent(now)) {
                // Nobody knows when a decision was found to have no effect.
                if !matches!(entry.what, What::Ignored(_)) {
                    self.write(entry);
                }
            }
            let ids = entries.into_iter().map(|entry| entry.id);
            lock(&self.told).insert(key, ids.collect());
        }
    }

    /// The requests and loans that have a pass when the passes begin.
    pub fn keys(&self) -> HashSet<LoanKey> {
        let mut keys = keys(&self.cluster);
        keys.extend(lock(&self.last).keys().cloned());
        keys
    }

    /// Tells what is new of one request or loan.
    pub fn pass(&self, key: &LoanKey) -> Outcome {
        let last = lock(&self.last).remove(key);
        let objects = Objects::of(&self.cluster, key, last);
        let now = self.clock.now();
        for entry in self.new_of(key, &objects, now) {
            self.tell(&entry, now);
        }
        if !objects.are_kept(&self.cluster, key) {
            lock(&self.told).remove(key);
            return Outcome::Gone;
        }
        let subject = objects.subject();
        let reminder = self.notifiers.remind(&subject, now);
        let next = subject.next(now).into_iter().chain(reminder).min();
        Outcome::Waiting(next)
    }

    /// The entries that are new, all of which count as told from now on.
    fn new_of<'a>(&self, key: &LoanKey, objects: &'a Objects, now: Timestamp) -> Vec<Entry<'a>> {
        let mut entries = entries(objects, now);
        let mut told = lock(&self.told);
        let is_known = objects.grant.is_some() || told.contains_key(key);
        let told = told.entry(key.clone()).or_default();
        entries.retain(|entry| told.insert(entry.id.clone()));
        // An old record that is read again shows steps that were told long ago.
        entries.retain(|entry| is_known || entry.is_recent(now));
        entries
    }

    fn tell(&self, entry: &Entry<'_>, now: Timestamp) {
        self.write(entry);
        if let What::Step(step) = &entry.what {
            self.notifiers.offer(&entry.subject, step, now);
        }
    }

    /// Writes the line of the audit log.
    fn write(&self, entry: &Entry<'_>) {
        let (install, subject) = (&self.cluster.install.name, &entry.subject);
        let event = |kind, data| CloudEvent::new(install, entry.id.clone(), kind, entry.at, data);
        let line = match &entry.what {
            What::Asked => event("asked", Data::of(subject)),
            What::Ignored(decision) => {
                let ignored_decision = Some((*decision).clone());
                let data = Data::of(subject);
                event(
                    "decision-ignored",
                    Data {
                        ignored_decision,
                        ..data
                    },
                )
            }
            What::Step(step) | What::Restored(step) => CloudEvent::of_step(install, subject, step),
        };
        self.audit.write(&line);
    }
}

/// Something that happened to a request or loan, and that the audit log tells.
struct Entry<'a> {
    id: String,
    at: Timestamp,
    subject: Subject<'a>,
    what: What<'a>,
}

impl<'a> Entry<'a> {
    fn is_recent(&self, now: Timestamp) -> bool {
        now.duration_since(self.at) <= LATENESS
    }

    fn of(subject: Subject<'a>, step: Step<'a>, what: fn(Step<'a>) -> What<'a>) -> Self {
        Self {
            id: step.id.clone(),
            at: step.at,
            subject,
            what: what(step),
        }
    }
}

enum What<'a> {
    /// Somebody made the request.
    Asked,
    /// Somebody made a decision without effect.
    Ignored(&'a IgnoredDecision),
    /// The notifiers tell it, too.
    Step(Step<'a>),
    /// A record that a restore brought back was closed. What else it says happened before, or in
    /// another cluster, or not at all.
    Restored(Step<'a>),
}

/// What happened until now, in the order in which it is told.
fn entries(objects: &Objects, now: Timestamp) -> Vec<Entry<'_>> {
    let subject = objects.subject();
    let uid = subject.identity().uid;
    let asked = subject.grant.map(|_| Entry {
        id: format!("{uid}/Asked"),
        at: subject.requested_at().unwrap_or(now),
        subject,
        what: What::Asked,
    });
    let status = subject.grant.and_then(|grant| grant.status.as_ref());
    let ignored = status.map_or(&[][..], |status| &status.ignored_decisions);
    let ignored = ignored.iter().map(|decision| Entry {
        id: format!(
            "{uid}/DecisionIgnored/{}",
            decision.uid.as_ref().unwrap_or(&decision.name)
        ),
        at: now,
        subject,
        what: What::Ignored(decision),
    });
    let steps = subject.steps(None, now).into_iter();
    let steps = steps.map(|step| Entry::of(subject, step, What::Step));
    let restored = objects.restored().into_iter().flat_map(|subject| {
        let by_restore = |end: &EndRecord| end.reason == EndReason::Restored;
        let is_closed = subject.end().is_some_and(by_restore);
        let steps = subject.steps(None, now).into_iter();
        let closed = steps.filter(move |step| is_closed && step.event == NoticeEvent::Ended);
        closed.map(move |step| Entry::of(subject, step, What::Restored))
    });
    let of_request = asked.into_iter().chain(ignored).chain(steps);
    of_request.chain(restored).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RESTORE_LABELS;

    fn ended(reason: EndReason, labels: &[&str]) -> Objects {
        let full = include_str!("../../../tests/apiserver/schema/full/accessrecord.yaml");
        let mut record: AccessRecord = serde_saphyr::from_str(full).expect("a record");
        let labels = labels
            .iter()
            .map(|name| ((*name).to_owned(), "x".to_owned()));
        record.metadata.labels = Some(labels.collect());
        record.spec.end.as_mut().expect("it ended").reason = reason;
        Objects {
            grant: None,
            record: Some(Arc::new(record)),
        }
    }

    /// The events, and whether notifiers tell them.
    fn told(objects: &Objects) -> Vec<(NoticeEvent, bool)> {
        let all = entries(objects, Timestamp::MAX).into_iter();
        let steps = all.filter_map(|entry| match entry.what {
            What::Step(step) => Some((step.event, true)),
            What::Restored(step) => Some((step.event, false)),
            What::Asked | What::Ignored(_) => None,
        });
        steps.collect()
    }

    #[test]
    fn of_a_restored_record_only_its_end_is_told_and_by_no_notifier() {
        let own = told(&ended(EndReason::Revoked, &[]));
        assert!(own.contains(&(NoticeEvent::Requested, true)) && own.len() > 3);
        for label in RESTORE_LABELS {
            let closed = told(&ended(EndReason::Restored, &[label]));
            assert_eq!(closed, [(NoticeEvent::Ended, false)], "{label}");
            assert_eq!(told(&ended(EndReason::Revoked, &[label])), [], "{label}");
        }
    }
}
