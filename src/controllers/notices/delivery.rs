//! The task that sends the notices of one notifier, one after the other. A receiver that is slow or
//! dead holds up nobody else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use backon::BackoffBuilder as _;
use backon::ExponentialBuilder;

use crate::api::Email;
use crate::notify::{Again, Courier, Parcel as Sent, Undelivered};
use crate::plan::notifier::Destination;
use crate::runtime::Clock;
use crate::telemetry::{Metrics, NoticeLabel};

use super::line::{Content, Parcel};
use super::notifier::Notifier;
use super::secrets::Slot;

/// The longest time between two attempts, unless the receiver asks for more.
const AT_MOST: Duration = Duration::from_secs(300);

/// What sending takes.
pub struct Delivering {
    /// Sends.
    pub courier: Arc<Courier>,
    /// The time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Delivering {
    /// Sends whatever waits, forever. `changed` is called after each attempt.
    pub async fn run(&self, notifier: &Notifier, changed: impl Fn()) -> Infallible {
        let mut backoff = patience();
        loop {
            let next = notifier.line().next(self.clock.now());
            let (Some(parcel), Some(channels)) = (next, notifier.channels()) else {
                notifier.changed().await;
                continue;
            };
            let Some(channel) = channels.get(&Slot::of(&parcel.to)) else {
                // The notifier was changed since, and sends nothing there any longer.
                notifier.line().refused(
                    "the notifier no longer names this channel",
                    self.clock.now(),
                );
                changed();
                continue;
            };
            let sent = self
                .courier
                .deliver(channel, sent(&parcel), &to(&parcel), self.clock.now())
                .await;
            let wait = self.take_in(notifier, sent, &mut backoff);
            changed();
            if let Some(wait) = wait {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    // Somebody has mended something.
                    () = notifier.reconfigured() => backoff = patience(),
                }
            }
        }
    }

    /// Notes how an attempt went; returns how long to wait before the next one.
    fn take_in(
        &self,
        notifier: &Notifier,
        sent: Result<(), Undelivered>,
        backoff: &mut backon::ExponentialBackoff,
    ) -> Option<Duration> {
        let now = self.clock.now();
        let Err(error) = sent else {
            notifier.line().delivered();
            self.metrics.notices.sent(NoticeLabel::Delivered);
            *backoff = patience();
            return None;
        };
        let why = error.to_string();
        match error.again {
            Again::Never => {
                tracing::warn!(notifier = %notifier.key, %why, "a notice was given up");
                self.metrics.notices.sent(NoticeLabel::Refused);
                notifier.line().refused(&why, now);
                None
            }
            Again::Later { after } => {
                tracing::debug!(notifier = %notifier.key, %why, "a notice could not be delivered; trying again");
                self.metrics.notices.sent(NoticeLabel::Failed);
                notifier.line().failed(&why, now);
                let own = backoff.next().unwrap_or(AT_MOST);
                Some(after.map_or(own, |after| after.max(own)))
            }
        }
    }
}

fn patience() -> backon::ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(AT_MOST)
        .with_jitter()
        .without_max_times()
        .build()
}

fn sent(parcel: &Parcel) -> Sent<'_> {
    match &parcel.content {
        Content::Words(notice) => Sent::Notice(notice),
        Content::Event(event) => Sent::Event(event),
    }
}

fn to(parcel: &Parcel) -> Vec<Email> {
    match &parcel.to {
        Destination::Url(_) => Vec::new(),
        Destination::Address(address) => vec![address.clone()],
    }
}
