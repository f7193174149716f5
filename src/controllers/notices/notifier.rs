//! One notifier: what it is told to do, where its notices go, and the line of those that wait.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use crate::api::AccessNotifier;
use crate::cluster::Key;
use crate::plan::notifier::{SecretsSeen, tells};
use crate::plan::timeline::{Step, Subject};

use super::line::{Line, Offered};
use super::parcel::parcels;
use super::secrets::{Channels, Version};

/// One notifier.
pub struct Notifier {
    /// Its namespace and name.
    pub key: Key,
    pub(super) uid: String,
    line: Mutex<Line>,
    settings: Mutex<Settings>,
    /// Something was added.
    changed: Notify,
    reconfigured: watch::Sender<()>,
    task: OnceLock<AbortHandle>,
}

/// What a notifier is told to do, and with what.
pub(super) struct Settings {
    pub(super) spec: Arc<AccessNotifier>,
    /// Absent while the Secret cannot be used.
    pub(super) channels: Option<Arc<Channels>>,
    /// The spec's generation and the Secret of which the channels were made.
    pub(super) made_of: Option<(Option<i64>, Version)>,
    /// What was seen of the Secret last.
    pub(super) seen: Option<SecretsSeen>,
    /// When the status was written last.
    pub(super) written_at: Option<Timestamp>,
}

impl Notifier {
    pub(super) fn new(key: Key, uid: String, object: &Arc<AccessNotifier>, line: Line) -> Self {
        Self {
            key,
            uid,
            line: Mutex::new(line),
            settings: Mutex::new(Settings {
                spec: object.clone(),
                channels: None,
                made_of: None,
                seen: None,
                written_at: None,
            }),
            changed: Notify::new(),
            reconfigured: watch::Sender::new(()),
            task: OnceLock::new(),
        }
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// Says that the channels are others.
    pub(super) fn tell_reconfigured(&self) {
        self.reconfigured.send_replace(());
    }

    /// The task that delivers.
    pub(super) fn has_task(&self, task: AbortHandle) {
        self.task.set(task).ok();
    }

    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        lock(&self.line)
    }

    pub(super) fn channels(&self) -> Option<Arc<Channels>> {
        lock(&self.settings).channels.clone()
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sees from now on when the channels become others.
    pub(super) fn reconfigured(&self) -> watch::Receiver<()> {
        self.reconfigured.subscribe()
    }

    pub(super) fn object(&self) -> Arc<AccessNotifier> {
        lock(&self.settings).spec.clone()
    }

    /// Adds a step if this notifier tells it.
    pub(super) fn offer(
        &self,
        install: &str,
        subject: &Subject<'_>,
        step: &Step<'_>,
        now: Timestamp,
    ) {
        let object = self.object();
        if !tells(&object.spec, &self.key.namespace, subject, step.event) {
            return;
        }
        let (parcels, bytes) = parcels(&object.spec, install, subject, step);
        let requester = subject.requester().map(|by| by.username.as_str());
        let offered = Offered {
            id: &step.id,
            at: step.at,
            told_by: step.told_by,
            requester: requester.unwrap_or_default(),
            bytes,
        };
        self.line().offer(offered, now, parcels);
        self.changed.notify_one();
    }

    /// Sends nothing any longer.
    pub(super) fn retire(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }

    pub(super) fn remind_after(&self) -> Option<SignedDuration> {
        self.object().spec.remind_after.as_ref()?.parse()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
