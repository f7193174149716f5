//! One notifier: what it is told to do, where its notices go, and the line of those that wait.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::api::{AccessNotifier, AccessNotifierSpec};
use crate::cluster::Key;
use crate::desk::cloud_event::CloudEvent;
use crate::desk::notice::Notice;
use crate::plan::notifier::{routes, tells};
use crate::plan::timeline::{Step, Subject};

use super::line::{Content, Line, Parcel};
use super::secrets::{Channels, Versions};

/// One notifier.
pub struct Notifier {
    /// Its namespace and name.
    pub key: Key,
    pub(super) uid: String,
    line: Mutex<Line>,
    settings: Mutex<Settings>,
    /// Something was added, or the settings have changed.
    changed: Notify,
    reconfigured: Notify,
    task: OnceLock<AbortHandle>,
}

/// What a notifier is told to do, and with what.
pub(super) struct Settings {
    pub(super) spec: Arc<AccessNotifier>,
    /// Absent while the Secrets cannot be used.
    pub(super) channels: Option<Arc<Channels>>,
    /// The spec's generation and the Secrets of which the channels were made.
    pub(super) made_of: Option<(Option<i64>, Versions)>,
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
                written_at: None,
            }),
            changed: Notify::new(),
            reconfigured: Notify::new(),
            task: OnceLock::new(),
        }
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// Says that the channels are others.
    pub(super) fn tell_reconfigured(&self) {
        self.changed.notify_one();
        self.reconfigured.notify_waiters();
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

    pub(super) async fn reconfigured(&self) {
        self.reconfigured.notified().await;
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
        let parcels = parcels(&object.spec, install, subject, step);
        self.line().offer(&step.id, step.at, now, parcels);
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

/// The messages by which a notifier tells a step.
fn parcels(
    spec: &AccessNotifierSpec,
    install: &str,
    subject: &Subject<'_>,
    step: &Step<'_>,
) -> Vec<Parcel> {
    let page = spec.links.as_ref().map(|links| links.portal.as_str());
    let routes = routes(spec, subject, step).into_iter();
    let parcels = routes.map(|route| Parcel {
        content: match &spec.webhook {
            Some(_) => Content::Event(Arc::new(CloudEvent::of_step(install, subject, step))),
            None => {
                let notice = Notice::of(subject, step, route.audience, page);
                Content::Words(Arc::new(notice))
            }
        },
        to: route.to,
    });
    parcels.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
