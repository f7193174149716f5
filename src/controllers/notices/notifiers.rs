//! Looks after the notifiers: their Secrets, their lines of notices, and their status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::api::AccessNotifier;
use crate::cluster::{ApiError, ApiErrorKind, Cluster, Events, Key, with_retries};
use crate::controllers::boundary::Boundary;
use crate::controllers::loan::LoanKey;
use crate::plan::conditions::notes;
use crate::plan::notifier::{SecretsSeen, status};
use crate::plan::timeline::{Step, Subject};
use crate::runtime::{Clock, Outcome, Tasks, WorkQueue};

use super::delivery::Delivering;
use super::line::Line;
use super::notifier::Notifier;
use super::objects::{Objects, keys};
use super::secrets::{channels, version};

/// The least time between two writes of a status that say only how far the notifier has got.
const WRITTEN_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// The time of the first such write of a leader.
const WRITTEN_SOON: SignedDuration = SignedDuration::from_secs(1);

/// How soon a Secret is read again that could not be read.
const READ_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// All notifiers of this install.
pub struct Notifiers {
    cluster: Arc<Cluster>,
    clock: Clock,
    boundary: Arc<Boundary>,
    delivering: Arc<Delivering>,
    events: Events,
    tasks: Tasks,
    passes: WorkQueue<Key>,
    /// The passes of the journal over requests and loans.
    journal: WorkQueue<LoanKey>,
    known: Mutex<HashMap<Key, Arc<Notifier>>>,
    /// One notifier at a time looks for what it has missed.
    catching_up: tokio::sync::Mutex<()>,
}

impl Notifiers {
    /// Starts without any; [`Self::pass`] takes in each.
    pub fn new(
        cluster: &Arc<Cluster>,
        clock: &Clock,
        boundary: &Arc<Boundary>,
        delivering: Delivering,
        tasks: &Tasks,
        passes: &WorkQueue<Key>,
        journal: &WorkQueue<LoanKey>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster: cluster.clone(),
            clock: clock.clone(),
            boundary: boundary.clone(),
            delivering: Arc::new(delivering),
            events: cluster.events("notifier", tasks),
            tasks: tasks.clone(),
            passes: passes.clone(),
            journal: journal.clone(),
            known: Mutex::default(),
            catching_up: tokio::sync::Mutex::default(),
        })
    }

    /// Schedules a pass for a notifier when it or its Secret changes, and for all when the boundary
    /// does. Call this before the watches start.
    pub fn subscribe(&self) {
        let (queue, cluster) = (self.passes.clone(), Arc::downgrade(&self.cluster));
        self.boundary.subscribe(move || {
            let keys = cluster.upgrade().map(|cluster| cluster.notifiers.keys());
            let keys = keys.into_iter().flatten();
            keys.for_each(|key| queue.enqueue(key));
        });
        let queue = self.passes.clone();
        let notifiers = &self.cluster.notifiers;
        notifiers.subscribe(move |notifier| queue.enqueue(Key::of(notifier)));
        let (queue, cluster) = (self.passes.clone(), Arc::downgrade(&self.cluster));
        self.cluster.secrets.subscribe(move |secret| {
            let Some(cluster) = cluster.upgrade() else {
                return;
            };
            let named = secret.labels().get(crate::api::NOTIFIER_LABEL);
            let key = named.map(|name| Key::new(secret.namespace().unwrap_or_default(), name));
            let key = key.filter(|key| cluster.notifiers.get(key).is_some());
            key.into_iter().for_each(|key| queue.enqueue(key));
        });
    }

    fn all(&self) -> Vec<Arc<Notifier>> {
        lock(&self.known).values().cloned().collect()
    }

    /// Hands a new step to each notifier.
    pub fn offer(&self, subject: &Subject<'_>, step: &Step<'_>, now: Timestamp) {
        for notifier in self.all() {
            notifier.offer(&self.cluster.install.name, subject, step, now);
        }
    }

    /// Recalls a request that waits, where the time for it has come. Returns when that is next.
    pub fn remind(&self, subject: &Subject<'_>, now: Timestamp) -> Option<Timestamp> {
        let mut next = None;
        for notifier in self.all() {
            let Some(reminder) = subject.reminder(notifier.remind_after()) else {
                continue;
            };
            if reminder.at > now {
                next = next.into_iter().chain([reminder.at]).min();
            } else if reminder.at >= notifier.line().told_until() {
                notifier.offer(&self.cluster.install.name, subject, &reminder, now);
            }
        }
        next
    }

    /// Runs one pass over one notifier.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        let served = self.cluster.install.serves(&key.namespace);
        let Some(object) = self.cluster.notifiers.get(&key).filter(|_| served) else {
            let gone = lock(&self.known).remove(&key);
            gone.iter().for_each(|notifier| notifier.retire());
            self.measure();
            return Outcome::Gone;
        };
        let notifier = self.taken_in(&key, &object);
        let seen = self.configure(&notifier, &object).await;
        notifier.settings().seen = Some(seen);
        if !notifier.line().has_begun() {
            if let Err(error) = self.catch_up(&notifier).await {
                tracing::warn!(notifier = %key, %error, "could not read what was not told yet; retrying");
                return Outcome::Failed;
            }
            self.start(&notifier);
            // Earlier leaders may have stopped before they could say what they told: this one says
            // so soon.
            let now = self.clock.now();
            let before = now.checked_sub(WRITTEN_EVERY - WRITTEN_SOON);
            notifier.settings().written_at = before.ok();
        }
        self.report(&notifier, &object).await
    }

    /// The notifier. Another one of the same name begins its own line.
    fn taken_in(&self, key: &Key, object: &Arc<AccessNotifier>) -> Arc<Notifier> {
        let uid = object.uid().unwrap_or_default();
        let mut known = lock(&self.known);
        if let Some(notifier) = known.get(key).filter(|known| known.uid == uid) {
            return notifier.clone();
        }
        let made = object.creation_timestamp().map(|at| at.0);
        let line = Line::resume(object.status.as_ref(), made.unwrap_or(self.clock.now()));
        let notifier = Arc::new(Notifier::new(key.clone(), uid, object, line));
        let former = known.insert(key.clone(), notifier.clone());
        former.iter().for_each(|notifier| notifier.retire());
        if notifier.remind_after().is_some() {
            self.plan_reminders();
        }
        notifier
    }

    /// Has the journal look at the requests that wait already: their reminders may come at another
    /// time than it knows.
    fn plan_reminders(&self) {
        let all = keys(&self.cluster);
        all.into_iter().for_each(|key| self.journal.enqueue(key));
    }

    /// Takes the spec over, and reads the Secret again, if one of them has changed.
    async fn configure(&self, notifier: &Notifier, object: &Arc<AccessNotifier>) -> SecretsSeen {
        let broken = self.boundary.seen().broken;
        let is_guarded = broken.is_none();
        let found = match version(&self.cluster, object).await {
            Ok(version) => {
                let made_of = Some((object.metadata.generation, version));
                if notifier.settings().made_of == made_of {
                    return SecretsSeen::Usable;
                }
                // A person who may change a notifier, and not read its Secret, could aim it at a host
                // of theirs.
                if let Some(why) = broken {
                    return SecretsSeen::Unguarded { why };
                }
                let made = channels(&self.cluster, object).await;
                made.map(|channels| (Some(Arc::new(channels)), made_of))
            }
            Err(seen) => Err(seen),
        };
        let (channels, made_of, seen) = match found {
            Ok((channels, made_of)) => (channels, made_of, SecretsSeen::Usable),
            // The problem is the API server's: what was read before stays in use.
            Err(seen @ SecretsSeen::Unreadable { .. }) => return seen,
            Err(seen) => (None, None, seen),
        };
        let reminded_after = notifier.remind_after();
        let mut settings = notifier.settings();
        if is_guarded {
            settings.spec = object.clone();
        }
        (settings.channels, settings.made_of) = (channels, made_of);
        drop(settings);
        if notifier.remind_after() != reminded_after {
            self.plan_reminders();
        }
        notifier.tell_reconfigured();
        seen
    }

    /// Hands a new notifier the steps that it has not told yet. The caches hold no content of records
    /// that have become history meanwhile: these are read, one after the other.
    async fn catch_up(&self, notifier: &Notifier) -> Result<(), ApiError> {
        let _one_at_a_time = self.catching_up.lock().await;
        let (cluster, since) = (&self.cluster, notifier.line().told_until());
        let namespace = &notifier.key.namespace;
        for key in keys(cluster) {
            self.offer_missed(notifier, &Objects::of(cluster, &key, None), since);
        }
        for key in cluster.records.became_history_since(namespace, since) {
            let record = match with_retries(|| cluster.records.live(&key)).await {
                Err(error) if matches!(error.kind, ApiErrorKind::Unavailable(_)) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(record = %key, %error, "nobody is told what may be missing of it");
                    continue;
                }
                Ok(record) => record,
            };
            if let Some(record) = record {
                let loan = LoanKey::of_record(&record);
                let objects = Objects::of(cluster, &loan, Some(record));
                self.offer_missed(notifier, &objects, since);
            }
        }
        notifier.line().begin(self.clock.now());
        Ok(())
    }

    fn offer_missed(&self, notifier: &Notifier, objects: &Objects, since: Timestamp) {
        let (subject, now) = (objects.subject(), self.clock.now());
        let steps = subject.steps(notifier.remind_after(), now);
        for step in steps.iter().filter(|step| step.at >= since) {
            notifier.offer(&self.cluster.install.name, &subject, step, now);
        }
    }

    fn start(&self, notifier: &Arc<Notifier>) {
        let (delivering, passes) = (self.delivering.clone(), self.passes.clone());
        let (of, key) = (Arc::downgrade(notifier), notifier.key.clone());
        let task = self.tasks.run(format!("notices of {key}"), async move {
            if let Some(notifier) = of.upgrade() {
                let ended = delivering
                    .run(&notifier, || passes.enqueue(key.clone()))
                    .await;
                match ended {}
            }
        });
        notifier.has_task(task);
    }

    /// Writes the status, unless it was written a moment ago and says nothing new but how far the
    /// notifier has got.
    async fn report(&self, notifier: &Notifier, object: &AccessNotifier) -> Outcome {
        let now = self.clock.now();
        let (secrets, written_at) = {
            let settings = notifier.settings();
            (settings.seen.clone(), settings.written_at)
        };
        let Some(secrets) = secrets else {
            return Outcome::Waiting(None);
        };
        self.measure();
        let before = object.status.clone().unwrap_or_default();
        let (delivery, progress, rests_from) = {
            let mut line = notifier.line();
            let progress = line.progress(now);
            (line.delivery(), progress, line.rests_from())
        };
        let status = status(object, &secrets, &delivery, progress, now);
        let notes = notes(&before.conditions, &status.conditions, |c| {
            c.status == "False"
        });
        let again = matches!(secrets, SecretsSeen::Unreadable { .. });
        let again = again.then(|| now.saturating_add(READ_AGAIN).unwrap_or(Timestamp::MAX));
        let again = again.into_iter().chain(rests_from).min();
        let due = written_at.and_then(|at| at.checked_add(WRITTEN_EVERY).ok());
        if let Some(due) = due.filter(|due| notes.is_empty() && *due > now) {
            return Outcome::Waiting(Some(due));
        }
        match self.cluster.notifiers.patch_status(object, &status).await {
            Ok(written) => {
                if written {
                    notifier.settings().written_at = Some(now);
                    self.events.tell(object, "Notify", notes);
                }
                Outcome::Waiting(again)
            }
            Err(error) if matches!(error.kind, ApiErrorKind::NotFound | ApiErrorKind::Conflict) => {
                Outcome::Waiting(again)
            }
            Err(error) => {
                tracing::warn!(%error, "could not write a status; retrying");
                Outcome::Failed
            }
        }
    }

    /// Shows in the metrics how many notices wait.
    fn measure(&self) {
        let (mut waiting, mut oldest) = (0, None);
        for notifier in self.all() {
            let line = notifier.line();
            waiting += u64::try_from(line.backlog()).unwrap_or(u64::MAX);
            oldest = line.oldest().into_iter().chain(oldest).min();
        }
        let oldest = oldest.map(|at| at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64());
        self.delivering.metrics.notices.waiting(waiting, oldest);
    }

    /// Writes once more how far each notifier has got, for the next leader.
    pub async fn save_last(&self) {
        for notifier in self.all() {
            if let Some(object) = self.cluster.notifiers.get(&notifier.key) {
                notifier.settings().written_at = None;
                self.report(&notifier, &object).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
