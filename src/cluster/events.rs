//! Events: what people see in `kubectl describe`. They are published in the background, so a slow
//! or failed event never delays a pass.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use k8s_controller::events::{Event, EventRecorder, EventType, PublishError, Reporter};
use kube::core::PartialObjectMeta;
use kube::core::metadata::PartialObjectMetaExt as _;
use kube::{Client, Resource};

use crate::plan::conditions::Note;
use crate::runtime::{Outbox, Tasks};
use crate::telemetry::Metrics;

/// How many published events are kept in memory: a repeated event increases the count of the first
/// one. Each new event is compared with all of them.
const MOST_IN_MIND: usize = 256;

type Waiting =
    Box<dyn FnOnce(Arc<EventRecorder>) -> BoxFuture<'static, Result<(), PublishError>> + Send>;

/// Publishes events on behalf of one controller.
#[derive(Clone)]
pub struct Events {
    waiting: Outbox<Waiting>,
}

impl Events {
    pub(super) fn start(
        client: Client,
        controller: &str,
        metrics: Arc<Metrics>,
        tasks: &Tasks,
    ) -> Self {
        let reporter = Reporter {
            controller: format!("keyloan.dev/{controller}"),
            instance: None,
        };
        let recorder = move || Arc::new(EventRecorder::new(client.clone(), reporter.clone()));
        let (mut current, mut in_mind) = (recorder(), 0);
        let publish = move |publish_by: Waiting| {
            if in_mind == MOST_IN_MIND {
                (current, in_mind) = (recorder(), 0);
            }
            in_mind += 1;
            publish_by(current.clone())
        };
        let what = format!("events of the {controller} controller");
        Self {
            waiting: Outbox::start(what, metrics, tasks, publish),
        }
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
        self.waiting.put(Box::new(move |recorder| {
            async move { recorder.publish(&about, &event).await }.boxed()
        }));
    }
}
