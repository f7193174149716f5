//! Reads where a notifier's notices go from its Secrets. A Secret is read only if its labels give it
//! to this very notifier.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use zeroize::Zeroizing;

use crate::api::{AccessNotifier, AccessNotifierSpec, ChatChannel, NotifierSecretRef};
use crate::cluster::{Cluster, Key};
use crate::notify::{Channel, Credentials, Mailer, SecretUrl, SigningKey};
use crate::plan::notifier::{Destination, SecretClaim, SecretsSeen, secret_claim};

/// The channels of a notifier.
pub type Channels = HashMap<Slot, Channel>;

/// Which channel a message takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The one whose URL is in this Secret.
    Url(NotifierSecretRef),
    /// The mail server.
    Mail,
}

impl Slot {
    /// The channel of a destination.
    pub fn of(to: &Destination) -> Self {
        match to {
            Destination::Url(url) => Self::Url(url.clone()),
            Destination::Address(_) => Self::Mail,
        }
    }
}

/// The versions of the Secrets from which channels were made.
pub type Versions = BTreeMap<String, (Option<String>, Option<String>)>;

/// The Secrets that a notifier names, each key once.
pub fn named(spec: &AccessNotifierSpec) -> Vec<NotifierSecretRef> {
    let of_chat = |chat: &ChatChannel| {
        let groups = chat.groups.iter().map(|group| group.url_secret_ref.clone());
        groups
            .chain([chat.url_secret_ref.clone()])
            .collect::<Vec<_>>()
    };
    let mut named: Vec<_> = spec
        .slack
        .iter()
        .chain(&spec.teams)
        .flat_map(of_chat)
        .collect();
    if let Some(webhook) = &spec.webhook {
        named.push(webhook.url_secret_ref.clone());
        named.extend(webhook.signing_keys.iter().cloned());
    }
    let credentials = spec
        .email
        .as_ref()
        .and_then(|mail| mail.server.credentials.as_ref());
    if let Some(credentials) = credentials {
        named.push(credentials.username_secret_ref.clone());
        named.push(credentials.password_secret_ref.clone());
    }
    named.sort();
    named.dedup();
    named
}

/// The versions of a notifier's Secrets, from their metadata, or what is wrong with one.
pub async fn versions(
    cluster: &Cluster,
    notifier: &AccessNotifier,
) -> Result<Versions, SecretsSeen> {
    let mut versions = Versions::new();
    for at in named(&notifier.spec) {
        let key = secret_key(notifier, &at);
        let mark = match cluster.secrets.get(&key) {
            Some(mark) => Some(mark),
            None => {
                let live = cluster.verbs.get_metadata::<Secret>(&key).await;
                let live = live.map_err(|error| SecretsSeen::Unreadable {
                    secret: at.name.clone(),
                    error: error.to_string(),
                })?;
                live.map(Arc::new)
            }
        };
        let mark = mark.ok_or_else(|| SecretsSeen::Missing {
            secret: at.name.clone(),
        })?;
        claimed(mark.labels(), &at, notifier)?;
        versions.insert(at.name, (mark.uid(), mark.resource_version()));
    }
    Ok(versions)
}

/// Reads the Secrets and makes the channels.
pub async fn channels(
    cluster: &Cluster,
    notifier: &AccessNotifier,
) -> Result<Channels, SecretsSeen> {
    let mut values = BTreeMap::new();
    for at in named(&notifier.spec) {
        let read = cluster
            .verbs
            .get::<Secret, Secret>(&secret_key(notifier, &at))
            .await;
        let read = read.map_err(|error| SecretsSeen::Unreadable {
            secret: at.name.clone(),
            error: error.to_string(),
        })?;
        let mut secret = read.ok_or_else(|| SecretsSeen::Missing {
            secret: at.name.clone(),
        })?;
        // The Secret may have been replaced since the watch reported it.
        claimed(secret.labels(), &at, notifier)?;
        let data = secret.data.take().into_iter().flatten();
        let mut data: BTreeMap<_, _> = data
            .map(|(key, value)| (key, Zeroizing::new(value.0)))
            .collect();
        let value = data
            .remove(&at.key)
            .ok_or_else(|| SecretsSeen::KeyMissing(at.clone()))?;
        values.insert(at, value);
    }
    made(&notifier.spec, &values)
}

type Values = BTreeMap<NotifierSecretRef, Zeroizing<Vec<u8>>>;

fn made(spec: &AccessNotifierSpec, values: &Values) -> Result<Channels, SecretsSeen> {
    let mut channels = Channels::new();
    let mut chat = |chat: &ChatChannel, channel: fn(SecretUrl) -> Channel| {
        let groups = chat.groups.iter().map(|group| &group.url_secret_ref);
        for at in groups.chain([&chat.url_secret_ref]) {
            let url = read(values, at, SecretUrl::parse)?;
            channels.insert(Slot::Url(at.clone()), channel(url));
        }
        Ok(())
    };
    if let Some(slack) = &spec.slack {
        chat(slack, |url| Channel::Slack { url })?;
    }
    if let Some(teams) = &spec.teams {
        chat(teams, |url| Channel::Teams { url })?;
    }
    if let Some(webhook) = &spec.webhook {
        let keys = webhook.signing_keys.iter();
        let keys = keys.map(|at| read(values, at, SigningKey::parse));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let at = &webhook.url_secret_ref;
        let url = read(values, at, SecretUrl::parse)?;
        channels.insert(Slot::Url(at.clone()), Channel::Webhook { url, keys });
    }
    if let Some(mail) = &spec.email {
        let credentials = match &mail.server.credentials {
            Some(at) => {
                let user = value(values, &at.username_secret_ref)?;
                let password = &at.password_secret_ref;
                Some(read(values, password, |bytes| {
                    Credentials::parse(user, bytes)
                })?)
            }
            None => None,
        };
        let mailer = Mailer {
            server: mail.server.host.clone(),
            port: mail.server.port(),
            security: mail.server.security,
            credentials,
            from: mail.from.clone(),
        };
        channels.insert(Slot::Mail, Channel::Mail(mailer));
    }
    Ok(channels)
}

fn value<'a>(values: &'a Values, at: &NotifierSecretRef) -> Result<&'a [u8], SecretsSeen> {
    let value = values.get(at).map(|value| value.as_slice());
    value.ok_or_else(|| SecretsSeen::KeyMissing(at.clone()))
}

fn read<T, E: std::fmt::Display>(
    values: &Values,
    at: &NotifierSecretRef,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, SecretsSeen> {
    parse(value(values, at)?).map_err(|error| SecretsSeen::Unusable {
        at: at.clone(),
        why: error.to_string(),
    })
}

fn secret_key(notifier: &AccessNotifier, at: &NotifierSecretRef) -> Key {
    Key::new(notifier.namespace().unwrap_or_default(), &at.name)
}

fn claimed(
    labels: &BTreeMap<String, String>,
    at: &NotifierSecretRef,
    notifier: &AccessNotifier,
) -> Result<(), SecretsSeen> {
    let secret = at.name.clone();
    match secret_claim(labels, &notifier.name_any()) {
        SecretClaim::Ours => Ok(()),
        SecretClaim::NotLabelled => Err(SecretsSeen::NotLabelled { secret }),
        SecretClaim::OfAnother(names) => Err(SecretsSeen::OfAnother { secret, names }),
    }
}
