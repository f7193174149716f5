//! The messages by which a notifier tells a step: what each says, and where it goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::AccessNotifierSpec;
use crate::desk::cloud_event::CloudEvent;
use crate::desk::notice::Notice;
use crate::plan::notifier::{Audience, Destination, routes};
use crate::plan::timeline::{Step, Subject};

/// One message, and where it goes.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Where it goes.
    pub to: Destination,
    /// What it says.
    pub content: Content,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Content {
    /// Words for people.
    Words(Arc<Notice>),
    /// An event for a program.
    Event(Arc<CloudEvent>),
}

impl Content {
    /// The size of what it says, in bytes; about that of its memory.
    fn size(&self) -> usize {
        match self {
            Self::Words(notice) => {
                let facts = notice.facts.iter().map(|fact| fact.value.len());
                let next = notice
                    .next
                    .iter()
                    .map(|next| next.sentence.len() + next.command.as_ref().map_or(0, String::len));
                notice.subject.len() + facts.chain(next).sum::<usize>()
            }
            Self::Event(event) => serde_json::to_vec(&**event).map_or(0, |json| json.len()),
        }
    }
}

/// The messages by which a notifier tells a step, and the size of what they say. Those that are
/// worded for the same readers share their words.
pub fn parcels(
    spec: &AccessNotifierSpec,
    install: &str,
    subject: &Subject<'_>,
    step: &Step<'_>,
) -> (Vec<Parcel>, usize) {
    let page = spec.links.as_ref().map(|links| links.portal.as_str());
    let mut contents: BTreeMap<Audience, Content> = BTreeMap::new();
    let mut bytes = 0;
    let mut parcels = Vec::new();
    for route in routes(spec, subject, step) {
        let content = contents.entry(route.audience).or_insert_with(|| {
            let content = match &spec.webhook {
                Some(_) => Content::Event(Arc::new(CloudEvent::of_step(install, subject, step))),
                None => {
                    let notice = Notice::of(subject, step, route.audience, page);
                    Content::Words(Arc::new(notice))
                }
            };
            bytes += content.size();
            content
        });
        parcels.push(Parcel {
            to: route.to,
            content: content.clone(),
        });
    }
    (parcels, bytes)
}
