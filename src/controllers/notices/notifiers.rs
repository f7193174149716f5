//! Looks after the notifiers: their Secrets, their lines of notices, and their status.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::api::{AccessNotifier, NoticeEvent};
use crate::cluster::{ApiErrorKind, Cluster, Events, Key};
use crate::plan::conditions::notes;
use crate::plan::notifier::{SecretsSeen, status};
use crate::plan::timeline::{Step, Subject};
use crate::runtime::{Clock, Outcome, Tasks, WorkQueue};

use super::delivery::Delivering;
use super::line::Line;
use super::notifier::Notifier;
use super::objects::Objects;
use super::secrets::{channels, version};

/// The least time between two writes of a status that say only how far the notifier has got.
const WRITTEN_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// How soon a Secret is read again that could not be read.
const READ_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// All notifiers of this install.
pub struct Notifiers {
    cluster: Arc<Cluster>,
    clock: Clock,
    delivering: Arc<Delivering>,
    events: Events,
    tasks: Tasks,
    passes: WorkQueue<Key>,
    known: Mutex<HashMap<Key, Arc<Notifier>>>,
}

impl Notifiers {
    /// Starts without any; [`Self::pass`] takes in each.
    pub fn new(
        cluster: &Arc<Cluster>,
        clock: &Clock,
        delivering: Delivering,
        tasks: &Tasks,
        passes: &WorkQueue<Key>,
    ) -> Arc<Self> {
        Arc::new(Self {
            cluster: cluster.clone(),
            clock: clock.clone(),
            delivering: Arc::new(delivering),
            events: cluster.events("notifier", tasks),
            tasks: tasks.clone(),
            passes: passes.clone(),
            known: Mutex::default(),
        })
    }

    /// Schedules a pass for a notifier when it or its Secret changes. Call this before the
    /// watches start.
    pub fn subscribe(&self) {
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

    /// The times after which notifiers recall a request that waits.
    pub fn reminders(&self) -> BTreeSet<SignedDuration> {
        let all = self.all();
        all.iter()
            .filter_map(|notifier| notifier.remind_after())
            .collect()
    }

    /// Hands a new step to each notifier.
    pub fn offer(&self, subject: &Subject<'_>, step: &Step<'_>, now: Timestamp) {
        for notifier in self.all() {
            notifier.offer(&self.cluster.install.name, subject, step, now);
        }
    }

    /// Recalls a request that waits, where the time for it has come.
    pub fn remind(&self, subject: &Subject<'_>, now: Timestamp) {
        for notifier in self.all() {
            let steps = subject.steps(notifier.remind_after(), now);
            let reminder = steps
                .iter()
                .find(|step| step.event == NoticeEvent::Reminder);
            if let Some(step) = reminder {
                notifier.offer(&self.cluster.install.name, subject, step, now);
            }
        }
    }

    /// Runs one pass over one notifier.
    pub async fn pass(self: Arc<Self>, key: Key) -> Outcome {
        let served = self.cluster.install.serves(&key.namespace);
        let Some(object) = self.cluster.notifiers.get(&key).filter(|_| served) else {
            let gone = lock(&self.known).remove(&key);
            gone.iter().for_each(|notifier| notifier.retire());
            return Outcome::Gone;
        };
        let (notifier, is_new) = self.taken_in(&key, &object);
        let secrets = self.configure(&notifier, &object).await;
        if is_new {
            self.catch_up(&notifier).await;
            self.start(&notifier);
        }
        self.report(&notifier, &object, &secrets).await
    }

    /// The notifier, and whether it is new. Another one of the same name begins its own line.
    fn taken_in(&self, key: &Key, object: &Arc<AccessNotifier>) -> (Arc<Notifier>, bool) {
        let uid = object.uid().unwrap_or_default();
        let mut known = lock(&self.known);
        if let Some(notifier) = known.get(key).filter(|known| known.uid == uid) {
            notifier.settings().spec = object.clone();
            return (notifier.clone(), false);
        }
        let made = object.creation_timestamp().map(|at| at.0);
        let line = Line::resume(object.status.as_ref(), made.unwrap_or(self.clock.now()));
        let notifier = Arc::new(Notifier::new(key.clone(), uid, object, line));
        let former = known.insert(key.clone(), notifier.clone());
        former.iter().for_each(|notifier| notifier.retire());
        (notifier, true)
    }

    /// Reads the Secret again if it or the spec has changed.
    async fn configure(&self, notifier: &Notifier, object: &AccessNotifier) -> SecretsSeen {
        let found = match version(&self.cluster, object).await {
            Ok(version) => {
                let made_of = Some((object.metadata.generation, version));
                if notifier.settings().made_of == made_of {
                    return SecretsSeen::Usable;
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
        let mut settings = notifier.settings();
        (settings.channels, settings.made_of) = (channels, made_of);
        drop(settings);
        notifier.tell_reconfigured();
        seen
    }

    /// Hands a new notifier the steps that it has not told yet, in the order of their times.
    async fn catch_up(&self, notifier: &Notifier) {
        let since = notifier.line().told_until();
        let objects = Objects::since(&self.cluster, since).await;
        let subjects: Vec<_> = objects.iter().map(Objects::subject).collect();
        let now = self.clock.now();
        let mut missed = Vec::new();
        for subject in &subjects {
            let steps = subject.steps(notifier.remind_after(), now);
            let later = steps.into_iter().filter(|step| step.at >= since);
            missed.extend(later.map(|step| (subject, step)));
        }
        missed.sort_by_key(|(_, step)| step.at);
        for (subject, step) in missed {
            notifier.offer(&self.cluster.install.name, subject, &step, now);
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
    async fn report(
        &self,
        notifier: &Notifier,
        object: &AccessNotifier,
        secrets: &SecretsSeen,
    ) -> Outcome {
        let now = self.clock.now();
        let (delivery, progress) = {
            let line = notifier.line();
            (line.delivery().clone(), line.progress())
        };
        self.measure();
        let status = status(object, secrets, &delivery, progress, now);
        let before = object.status.clone().unwrap_or_default();
        let notes = notes(&before.conditions, &status.conditions, |c| {
            c.status == "False"
        });
        let again = matches!(secrets, SecretsSeen::Unreadable { .. });
        let again = again.then(|| now.saturating_add(READ_AGAIN).unwrap_or(Timestamp::MAX));
        let written_at = notifier.settings().written_at;
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
        let progress: Vec<_> = self.all().iter().map(|of| of.line().progress()).collect();
        let waiting = progress.iter().map(|of| u64::from(of.backlog)).sum();
        let oldest = progress.iter().filter_map(|of| of.oldest_waiting).min();
        let oldest = oldest.map(|at| at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64());
        self.delivering.metrics.notices.waiting(waiting, oldest);
    }

    /// Writes once more how far each notifier has got, for the next leader.
    pub async fn save_last(&self) {
        for notifier in self.all() {
            if let Some(object) = self.cluster.notifiers.get(&notifier.key) {
                notifier.settings().written_at = None;
                let secrets = match notifier.channels() {
                    Some(_) => SecretsSeen::Usable,
                    None => continue,
                };
                self.report(&notifier, &object, &secrets).await;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
