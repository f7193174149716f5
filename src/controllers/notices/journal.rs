//! Derives the steps of each request and loan from its objects as they change, and hands those that
//! are new to the audit log and to the notifiers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::api::{AccessGrant, AccessRecord};
use crate::cluster::{Cluster, Key};
use crate::controllers::loan::LoanKey;
use crate::desk::cloud_event::{CloudEvent, Data};
use crate::plan::timeline::Subject;
use crate::runtime::Clock;
use crate::telemetry::Audit;

use super::line::LATENESS;
use super::notifiers::Notifiers;
use super::objects::{Objects, keys};

/// The longest wait for a step that only time brings; the clock may jump meanwhile.
const AT_LEAST_EVERY: Duration = Duration::from_secs(60);

/// Derives steps and hands them on.
pub struct Journal {
    cluster: Arc<Cluster>,
    clock: Clock,
    audit: Audit,
    notifiers: Arc<Notifiers>,
    /// Whether this replica leads: no other one tells anything.
    leads: AtomicBool,
    /// Since when it does.
    began: OnceLock<Timestamp>,
    changed: Mutex<HashMap<LoanKey, Option<Arc<AccessRecord>>>>,
    told: Mutex<Told>,
    added: Notify,
}

/// What was handed on.
#[derive(Default)]
struct Told {
    /// The steps of each request and loan that is in the caches.
    of: HashMap<LoanKey, HashSet<String>>,
    /// When time brings the next step of one.
    due: BTreeSet<(Timestamp, LoanKey)>,
}

impl Journal {
    /// Follows the grants and records of this cluster. Call this before the watches start.
    pub fn new(
        cluster: &Arc<Cluster>,
        clock: &Clock,
        audit: Audit,
        notifiers: &Arc<Notifiers>,
    ) -> Arc<Self> {
        let journal = Arc::new(Self {
            cluster: cluster.clone(),
            clock: clock.clone(),
            audit,
            notifiers: notifiers.clone(),
            leads: AtomicBool::new(false),
            began: OnceLock::new(),
            changed: Mutex::default(),
            told: Mutex::default(),
            added: Notify::new(),
        });
        let of = Arc::downgrade(&journal);
        cluster.grants.subscribe(move |grant: &AccessGrant| {
            if let Some(journal) = of.upgrade() {
                journal.note(LoanKey::of_grant(grant), None);
            }
        });
        let of = Arc::downgrade(&journal);
        cluster.records.subscribe(move |record: &AccessRecord| {
            if let Some(journal) = of.upgrade() {
                // Its content is not in the cache any longer once it is history.
                let is_kept = journal.cluster.records.get(&Key::of(record)).is_some();
                let last = (!is_kept).then(|| Arc::new(record.clone()));
                journal.note(LoanKey::of_record(record), last);
            }
        });
        journal
    }

    fn note(&self, key: LoanKey, record: Option<Arc<AccessRecord>>) {
        if !self.cluster.install.serves(&key.ledger) || !self.leads.load(Ordering::Relaxed) {
            return;
        }
        let mut changed = lock(&self.changed);
        let known = changed.entry(key).or_default();
        if record.is_some() {
            *known = record;
        }
        drop(changed);
        self.added.notify_one();
    }

    /// Hands on what is new, as long as this replica leads.
    pub async fn run(self: Arc<Self>) -> Infallible {
        self.begin();
        let mut jumps = self.clock.jumps();
        loop {
            let changed = std::mem::take(&mut *lock(&self.changed));
            for (key, record) in changed {
                self.look(&key, record);
            }
            let now = self.clock.now();
            self.due(now).iter().for_each(|key| self.look(key, None));
            let next = lock(&self.told).due.first().map(|(at, _)| *at);
            let wait = next.map(|at| {
                at.duration_since(self.clock.now())
                    .max(SignedDuration::ZERO)
            });
            let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
            tokio::select! {
                () = self.added.notified() => {}
                () = tokio::time::sleep(wait.unwrap_or(AT_LEAST_EVERY).min(AT_LEAST_EVERY)) => {}
                _ = jumps.changed() => {}
            }
        }
    }

    /// Takes everything that is there for told: the notifiers know from their status which of it was
    /// not.
    fn begin(&self) {
        self.began.set(self.clock.now()).ok();
        self.leads.store(true, Ordering::Relaxed);
        for key in keys(&self.cluster) {
            let objects = Objects::of(&self.cluster, &key, None);
            self.take_in(&key, &objects);
        }
    }

    /// The ids of the steps that are new, all of which count as told from now on.
    fn take_in(&self, key: &LoanKey, objects: &Objects) -> HashSet<String> {
        let (subject, now) = (objects.subject(), self.clock.now());
        let mut steps: HashSet<_> = subject.steps(None, now).into_iter().map(|s| s.id).collect();
        steps.extend(ignored(&subject).map(|(id, _)| id));
        if subject.grant.is_some() {
            steps.insert(asked(&subject));
        }
        let mut told = lock(&self.told);
        let new = match told.of.get(key) {
            Some(known) => steps.difference(known).cloned().collect(),
            None => steps.clone(),
        };
        let is_kept = objects.grant.is_some() || self.cluster.records.get(&key.record()).is_some();
        if is_kept {
            told.of.entry(key.clone()).or_default().extend(steps);
        } else {
            told.of.remove(key);
        }
        let reminders = self.notifiers.reminders();
        let by_time = std::iter::once(None).chain(reminders.into_iter().map(Some));
        let next = by_time.filter_map(|after| subject.next(after, now)).min();
        told.due.extend(next.map(|at| (at, key.clone())));
        new
    }

    /// Whether a step may be new. An old record that is read again shows steps that earlier leaders
    /// have told.
    fn is_recent(&self, at: Timestamp) -> bool {
        let began = self.began.get().copied().unwrap_or(Timestamp::MIN);
        at.saturating_add(LATENESS).is_ok_and(|at| at >= began)
    }

    /// The requests and loans whose time has come.
    fn due(&self, now: Timestamp) -> Vec<LoanKey> {
        let mut told = lock(&self.told);
        let mut due = Vec::new();
        while told.due.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(told.due.pop_first().map(|(_, key)| key));
        }
        due
    }

    fn look(&self, key: &LoanKey, last: Option<Arc<AccessRecord>>) {
        let objects = Objects::of(&self.cluster, key, last);
        if objects.grant.is_none() && objects.record.is_none() {
            lock(&self.told).of.remove(key);
            return;
        }
        let new = self.take_in(key, &objects);
        let (subject, now) = (objects.subject(), self.clock.now());
        let install = &self.cluster.install.name;
        let asked = asked(&subject);
        let at = subject.requested_at().unwrap_or(now);
        if new.contains(&asked) && self.is_recent(at) {
            self.audit.write(&CloudEvent::new(
                install,
                asked,
                "asked",
                at,
                Data::of(&subject),
            ));
        }
        for (id, decision) in ignored(&subject).filter(|(id, _)| new.contains(id)) {
            let data = Data {
                ignored_decision: Some(decision.clone()),
                ..Data::of(&subject)
            };
            self.audit
                .write(&CloudEvent::new(install, id, "decision-ignored", now, data));
        }
        for step in subject.steps(None, now) {
            if new.contains(&step.id) && self.is_recent(step.at) {
                self.audit
                    .write(&CloudEvent::of_step(install, &subject, &step));
                self.notifiers.offer(&subject, &step, now);
            }
        }
        self.notifiers.remind(&subject, now);
    }
}

/// The id of the line that says that somebody made a request.
fn asked(subject: &Subject<'_>) -> String {
    format!("{}/Asked", subject.identity().uid)
}

/// The decisions without effect, each with the id of its line.
fn ignored<'a>(
    subject: &Subject<'a>,
) -> impl Iterator<Item = (String, &'a crate::api::IgnoredDecision)> {
    let uid = subject.identity().uid;
    let status = subject.grant.and_then(|grant| grant.status.as_ref());
    let ignored = status.map_or(&[][..], |status| &status.ignored_decisions);
    ignored.iter().map(move |decision| {
        let which = decision.uid.as_ref().unwrap_or(&decision.name);
        (format!("{uid}/DecisionIgnored/{which}"), decision)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
