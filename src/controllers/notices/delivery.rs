//! The task that sends the notices of one notifier, one after the other. A receiver that is dead
//! holds up other receivers of the notifier for one attempt at most, and no other notifier.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::Email;
use crate::notify::{About, Again, Courier, Parcel as Sent, Undelivered};
use crate::plan::notifier::Destination;
use crate::runtime::Clock;
use crate::telemetry::{Metrics, NoticeLabel};

use super::holds::Holds;
use super::line::Number;
use super::notifier::Notifier;
use super::parcel::{Content, Parcel};
use super::secrets::Slot;

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
        let mut settings = notifier.reconfigured();
        let (mut holds, mut jumps) = (Holds::default(), self.clock.jumps());
        loop {
            if settings.has_changed().unwrap_or(false) {
                // Somebody may have mended what was wrong.
                settings.mark_unchanged();
                holds = Holds::default();
            }
            let now = self.clock.now();
            let next = notifier.line().next(now, |to| holds.is_free(to, now));
            let (Some((number, parcel)), Some(channels)) = (next, notifier.channels()) else {
                tokio::select! {
                    () = notifier.changed() => {}
                    _ = settings.changed() => holds = Holds::default(),
                    _ = jumps.changed() => {}
                    () = wait(holds.next(now), now) => {}
                }
                continue;
            };
            match channels.get(&Slot::of(&parcel.to)) {
                Some(channel) => {
                    let (sent, to) = (sent(&parcel), to(&parcel));
                    let sent = self.courier.deliver(channel, sent, to, now).await;
                    self.take_in(notifier, number, &parcel, sent, &mut holds);
                }
                // The notifier was changed since, and sends nothing there any longer.
                None => {
                    notifier.line().withdrawn(number, now);
                    self.metrics.notices.sent(NoticeLabel::Refused);
                }
            }
            changed();
        }
    }

    /// Notes how an attempt went, and who has to wait for the next one.
    fn take_in(
        &self,
        notifier: &Notifier,
        number: Number,
        parcel: &Parcel,
        sent: Result<(), Undelivered>,
        holds: &mut Holds,
    ) {
        let (now, to) = (self.clock.now(), &parcel.to);
        let Err(error) = sent else {
            notifier.line().delivered(number, now);
            self.metrics.notices.sent(NoticeLabel::Delivered);
            holds.release(to);
            return;
        };
        let why = error.to_string();
        match error.again {
            Again::Never => {
                tracing::warn!(notifier = %notifier.key, ?to, %why, "a notice was given up");
                self.metrics.notices.sent(NoticeLabel::Refused);
                notifier.line().refused(number, &why, now);
            }
            Again::Later { after } => {
                tracing::debug!(
                    notifier = %notifier.key, ?to, %why,
                    "a notice could not be delivered; trying again"
                );
                self.metrics.notices.sent(NoticeLabel::Failed);
                notifier.line().failed(number, &why, now);
                let one = (error.about == About::Receiver).then_some(to);
                holds.hold(one, after, now);
            }
        }
    }
}

async fn wait(until: Option<Timestamp>, now: Timestamp) {
    match until {
        Some(time) => {
            let wait = Duration::try_from(time.duration_since(now));
            tokio::time::sleep(wait.unwrap_or_default()).await;
        }
        None => std::future::pending().await,
    }
}

fn sent(parcel: &Parcel) -> Sent<'_> {
    match &parcel.content {
        Content::Words(notice) => Sent::Notice(notice),
        Content::Event(event) => Sent::Event(event),
    }
}

fn to(parcel: &Parcel) -> Option<&Email> {
    match &parcel.to {
        Destination::Url(_) => None,
        Destination::Address(address) => Some(address),
    }
}
