//! Reads where a notifier's notices go from its Secret. The Secret is read only if its labels give it
//! to this very notifier.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use kube::ResourceExt as _;

use crate::api::{AccessNotifier, AccessNotifierSpec, ChatChannel, SecretKey, UrlKey};
use crate::cluster::{ApiError, Cluster, Key, SecretValues};
use crate::notify::{Channel, Credentials, Mailer, SecretUrl, SigningKey};
use crate::plan::notifier::{Destination, SecretsSeen};
use crate::plan::secret_claim::{SecretClaim, SecretPurpose, secret_claim};

/// The channels of a notifier.
pub type Channels = HashMap<Slot, Channel>;

/// Which channel a message takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The one whose URL has this key.
    Url(UrlKey),
    /// The mail server.
    Mail,
}

impl Slot {
    /// The channel of a destination.
    pub fn of(to: &Destination) -> Self {
        match to {
            Destination::Url(key) => Self::Url(key.clone()),
            Destination::Address(_) => Self::Mail,
        }
    }
}

/// The Secret from which channels were made, by uid and version; none where none is needed.
pub type Version = Option<(Option<String>, Option<String>)>;

/// The version of a notifier's Secret, from its metadata.
pub async fn version(cluster: &Cluster, notifier: &AccessNotifier) -> Result<Version, SecretsSeen> {
    let Some(key) = secret_of(notifier) else {
        return Ok(None);
    };
    let mark = cluster.secret_metadata(&key).await;
    let mark = mark.map_err(|error| unreadable(&key, &error))?;
    let mark = mark.ok_or_else(|| missing(&key))?;
    claimed(mark.labels(), &key, notifier)?;
    Ok(Some((mark.uid(), mark.resource_version())))
}

/// Reads the Secret and makes the channels.
pub async fn channels(
    cluster: &Cluster,
    notifier: &AccessNotifier,
) -> Result<Channels, SecretsSeen> {
    let mut values = Values::default();
    if let Some(key) = secret_of(notifier) {
        let read = cluster.secret(&key).await;
        let read = read.map_err(|error| unreadable(&key, &error))?;
        let (secret, data) = read.ok_or_else(|| missing(&key))?;
        // The Secret may have been replaced since the watch reported it.
        claimed(secret.labels(), &key, notifier)?;
        (values.secret, values.data) = (key.name, data);
    }
    made(&notifier.spec, &values)
}

/// The content of a Secret, and its name for what is said about it.
#[derive(Default)]
struct Values {
    secret: String,
    data: SecretValues,
}

impl Values {
    fn get(&self, key: &SecretKey) -> Result<&[u8], SecretsSeen> {
        let value = self.data.get(&key.0).map(|value| value.as_slice());
        value.ok_or_else(|| SecretsSeen::KeyMissing {
            secret: self.secret.clone(),
            key: key.0.clone(),
        })
    }

    fn read<T, E: Display>(
        &self,
        key: &SecretKey,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, SecretsSeen> {
        parse(self.get(key)?).map_err(|error| SecretsSeen::Unusable {
            secret: self.secret.clone(),
            key: key.0.clone(),
            why: error.to_string(),
        })
    }
}

fn made(spec: &AccessNotifierSpec, values: &Values) -> Result<Channels, SecretsSeen> {
    let mut channels = Channels::new();
    let mut chat = |chat: &ChatChannel, channel: fn(SecretUrl) -> Channel| {
        let groups = chat.groups.iter().map(|group| &group.url_key);
        for key in groups.chain([&chat.url_key]) {
            let url = values.read(&key.0, SecretUrl::parse)?;
            channels.insert(Slot::Url(key.clone()), channel(url));
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
        let keys = keys.map(|key| values.read(key, SigningKey::parse));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let url = values.read(&webhook.url_key.0, SecretUrl::parse)?;
        let slot = Slot::Url(webhook.url_key.clone());
        channels.insert(slot, Channel::Webhook { url, keys });
    }
    if let Some(mail) = &spec.email {
        let credentials = match &mail.server.credentials {
            Some(of) => {
                let user = values.get(&of.username_key)?;
                let both = |password: &[u8]| Credentials::parse(user, password);
                Some(values.read(&of.password_key, both)?)
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

fn secret_of(notifier: &AccessNotifier) -> Option<Key> {
    let secret = notifier.spec.secret_ref.as_ref()?;
    Some(Key::new(
        notifier.namespace().unwrap_or_default(),
        &secret.name,
    ))
}

fn missing(key: &Key) -> SecretsSeen {
    SecretsSeen::Missing {
        secret: key.name.clone(),
    }
}

fn unreadable(key: &Key, error: &ApiError) -> SecretsSeen {
    SecretsSeen::Unreadable {
        secret: key.name.clone(),
        error: error.to_string(),
    }
}

fn claimed(
    labels: &BTreeMap<String, String>,
    key: &Key,
    notifier: &AccessNotifier,
) -> Result<(), SecretsSeen> {
    let secret = key.name.clone();
    match secret_claim(labels, SecretPurpose::Notifier, &notifier.name_any()) {
        SecretClaim::Ours => Ok(()),
        SecretClaim::NotLabelled => Err(SecretsSeen::NotLabelled { secret }),
        SecretClaim::OfAnother(names) => Err(SecretsSeen::OfAnother {
            secret,
            names: names.map(ToOwned::to_owned),
        }),
    }
}
