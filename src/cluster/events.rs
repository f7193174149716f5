//! Events: what people see in `kubectl describe`. They are published in the background, so a slow
//! or failed event never delays a pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_controller::events::{Event, EventRecorder, EventType, PublishError, Reporter};
use kube::core::PartialObjectMeta;
use kube::core::metadata::PartialObjectMetaExt as _;
use kube::{Client, Resource};
use tokio::sync::mpsc;

use crate::plan::effect::Note;
use crate::runtime::Tasks;
use crate::telemetry::Metrics;

/// How many events may wait to be published; the operator drops and counts more.
const MOST_WAITING: usize = 1000;
/// How many published events are kept in memory: a repeated event increases the count of the first
/// one. Each new event is compared with all of them.
const MOST_IN_MIND: usize = 256;

type Waiting =
    Box<dyn FnOnce(Arc<EventRecorder>) -> BoxFuture<'static, Result<(), PublishError>> + Send>;

/// Publishes events on behalf of one controller.
#[derive(Clone)]
pub struct Events {
    waiting: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
    /// A warning about dropped events has been logged.
    is_said: Arc<AtomicBool>,
}

impl Events {
    pub(super) fn start(
        client: Client,
        controller: &str,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
    ) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Waiting>(MOST_WAITING);
        let reporter = Reporter {
            controller: format!("keyloan.dev/{controller}"),
            instance: None,
        };
        let recorder = move || Arc::new(EventRecorder::new(client.clone(), reporter.clone()));
        let events = Self {
            waiting: sender,
            metrics,
            is_said: Arc::default(),
        };
        let own = events.clone();
        tasks.keep(format!("events of the {controller} controller"), async move {
            let (mut current, mut in_mind) = (recorder(), 0);
            // `own` holds a sender, so the channel never closes.
            while let Some(publish_by) = waiting.recv().await {
                if waiting.is_empty() {
                    own.is_said.store(false, Ordering::Relaxed);
                }
                if in_mind == MOST_IN_MIND {
                    (current, in_mind) = (recorder(), 0);
                }
                in_mind += 1;
                if let Err(error) = publish_by(current.clone()).await {
                    own.metrics.event_failed();
                    tracing::warn!(%error, "could not publish an event; nothing else depends on it");
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        events
    }

    /// Publishes what people are told about an object, and what was being done, in one word. A text
    /// is cut after 1,024 bytes.
    pub fn tell<K>(&self, about: &K, action: &str, notes: impl IntoIterator<Item = Note>)
    where
        K: Resource<DynamicType = ()> + Send + Sync + 'static,
    {
        for note in notes {
            self.publish(about, action, note);
        }
    }

    fn publish<K>(&self, about: &K, action: &str, note: Note)
    where
        K: Resource<DynamicType = ()> + Send + Sync + 'static,
    {
        let about: PartialObjectMeta<K> = about.meta().clone().into_response_partial();
        let event = Event {
            type_: match note.warning {
                true => EventType::Warning,
                false => EventType::Normal,
            },
            reason: note.reason,
            action: action.to_owned(),
            note: Some(note.message),
            related: None,
        };
        let publish_by = move |recorder: Arc<EventRecorder>| {
            async move { recorder.publish(&about, &event).await }.boxed()
        };
        if self.waiting.try_send(Box::new(publish_by)).is_err() {
            self.metrics.event_failed();
            if !self.is_said.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    waiting = MOST_WAITING,
                    "too many events are waiting to be published; dropping new ones while the queue is full"
                );
            }
        }
    }
}
