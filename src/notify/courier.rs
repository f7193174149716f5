//! Makes one attempt to deliver one parcel to one channel.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::Email;
use crate::desk::cloud_event::CloudEvent;
use crate::desk::notice::Notice;
use crate::network::{AllowedHosts, Clients, GuardedClient, NetworkError, NetworkSettings};

use super::channel::Channel;
use super::post::{self, Post};
use super::secrets::SecretUrl;
use super::undelivered::Undelivered;
use super::{signature, slack, smtp, teams};

/// The time for a connection: to find the host's addresses, and to connect to one of them.
const CONNECT: Duration = Duration::from_secs(5);

/// The time for an attempt by HTTP, from finding the host to its answer.
const ATTEMPT: Duration = Duration::from_secs(10);

/// What is delivered.
#[derive(Clone, Copy, Debug)]
pub enum Parcel<'a> {
    /// For people: by Slack, Teams or mail.
    Notice(&'a Notice),
    /// For a program: by a webhook.
    Event(&'a CloudEvent),
}

/// Delivers parcels.
pub struct Courier {
    clients: Clients<GuardedClient>,
    attempt: Duration,
}

impl Courier {
    /// Checks the settings of the network, and reads the files that they name.
    pub fn new(network: &NetworkSettings, allowed: AllowedHosts) -> Result<Self, NetworkError> {
        Ok(Self {
            clients: Clients::guarded(network, allowed, CONNECT)?,
            attempt: ATTEMPT,
        })
    }

    /// The same with another time for each attempt, and for each step of an attempt by mail.
    #[must_use]
    pub fn with_attempt(mut self, attempt: Duration) -> Self {
        self.attempt = attempt;
        self
    }

    /// Makes one attempt. `to` is who gets a mail; other channels ignore it. `now` is the time of the
    /// attempt, which a webhook's signature covers.
    pub async fn deliver(
        &self,
        channel: &Channel,
        parcel: Parcel<'_>,
        to: Option<&Email>,
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        let client = self.clients.renewed();
        let outcome = match (channel, parcel) {
            (Channel::Slack { url }, Parcel::Notice(notice)) => {
                let post = json(url, slack::message(notice).to_string());
                self.in_time(channel, post::send(&client, post, now)).await
            }
            (Channel::Teams { url }, Parcel::Notice(notice)) => {
                let post = json(url, teams::message(notice).to_string());
                self.in_time(channel, post::send(&client, post, now)).await
            }
            (Channel::Webhook { url, keys }, Parcel::Event(event)) => {
                let body = serde_json::to_string(event).map_err(|error| {
                    Undelivered::never(format!("the event cannot be written: {error}"))
                })?;
                let signature = signature::signatures(keys, &event.id, now, body.as_bytes());
                let post = Post {
                    url,
                    content_type: "application/cloudevents+json; charset=utf-8",
                    headers: vec![
                        ("webhook-id", event.id.clone()),
                        ("webhook-timestamp", now.as_second().to_string()),
                        ("webhook-signature", signature),
                    ],
                    body,
                };
                self.in_time(channel, post::send(&client, post, now)).await
            }
            (Channel::Mail(mailer), Parcel::Notice(notice)) => match to {
                Some(to) => smtp::send(&client.connector, mailer, notice, to, self.attempt).await,
                None => Err(Undelivered::never("a mail needs somebody to whom it goes")),
            },
            (Channel::Webhook { .. }, Parcel::Notice(_)) => {
                Err(Undelivered::never("a webhook takes events, not notices"))
            }
            (_, Parcel::Event(_)) => Err(Undelivered::never("people are told notices, not events")),
        };
        match &outcome {
            Ok(()) => tracing::debug!(host = channel.host(), "delivered"),
            Err(error) => tracing::debug!(host = channel.host(), %error, "not delivered"),
        }
        outcome
    }

    async fn in_time(
        &self,
        channel: &Channel,
        attempt: impl Future<Output = Result<(), Undelivered>>,
    ) -> Result<(), Undelivered> {
        let done = tokio::time::timeout(self.attempt, attempt).await;
        done.unwrap_or_else(|_| Err(Undelivered::too_late(channel.host(), self.attempt)))
    }
}

fn json(url: &SecretUrl, body: String) -> Post<'_> {
    Post {
        url,
        content_type: "application/json; charset=utf-8",
        headers: Vec::new(),
        body,
    }
}
