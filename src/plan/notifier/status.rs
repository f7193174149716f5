//! The status of a notifier: whether its Secrets can be used, whether its receiver takes notices,
//! and how many wait.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessNotifier, AccessNotifierStatus, DELIVERING, NoticeError, READY, STALLED, Time,
};
use crate::plan::conditions::Conditions;
use crate::plan::reasons::NotifierReason;

/// How long a receiver may fail before a person has to act.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// What was seen of a notifier's Secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsSeen {
    /// All of them can be used.
    Usable,
    /// The Secret does not exist.
    Missing {
        /// The Secret's name.
        secret: String,
    },
    /// The Secret's labels do not give it to notifiers.
    NotLabelled {
        /// The Secret's name.
        secret: String,
    },
    /// The Secret's labels give it to another notifier.
    OfAnother {
        /// The Secret's name.
        secret: String,
        /// The notifier that it names.
        names: Option<String>,
    },
    /// The Secret has no such key.
    KeyMissing {
        /// The Secret's name.
        secret: String,
        /// The key.
        key: String,
    },
    /// A value cannot be used: the text says why, without quoting it.
    Unusable {
        /// The Secret's name.
        secret: String,
        /// The key.
        key: String,
        /// Why.
        why: String,
    },
    /// The admission policies are not in force, so nobody has checked that the person who changed
    /// the notifier may read the Secret.
    Unguarded {
        /// What is wrong with them.
        why: String,
    },
    /// The API server did not return the Secret.
    Unreadable {
        /// The Secret's name.
        secret: String,
        /// Why.
        error: String,
    },
}

/// How the delivery goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The time of the first failure of those receivers that have taken no notice since.
    pub failing_since: Option<Timestamp>,
    /// The last failure of them.
    pub last_error: Option<NoticeError>,
}

/// How far a notifier has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The number of messages that wait.
    pub backlog: u32,
    /// The time of the oldest step whose notice waits.
    pub oldest_waiting: Option<Timestamp>,
    /// The number of messages that were given up.
    pub dropped: u32,
    /// Everything until this time was told or given up.
    pub told_until: Timestamp,
    /// The later steps that were told.
    pub told: Vec<String>,
}

/// The status of a notifier.
pub fn status(
    notifier: &AccessNotifier,
    secrets: &SecretsSeen,
    delivery: &Delivery,
    progress: Progress,
    now: Timestamp,
) -> AccessNotifierStatus {
    let before = notifier.status.clone().unwrap_or_default();
    let generation = notifier.metadata.generation.unwrap_or(0);
    let mut conditions = Conditions::new(&before.conditions, generation, now);
    let (is_ready, reason, message) = ready(secrets, notifier);
    conditions.say(READY, is_ready, reason, message.clone());
    let fails_for = delivery
        .failing_since
        .map(|since| now.duration_since(since));
    match (&delivery.last_error, fails_for) {
        _ if !is_ready => {
            conditions.say_unknown(
                DELIVERING,
                reason,
                "it is not known whether the receiver takes notices",
            );
        }
        (Some(error), Some(_)) => {
            conditions.say(
                DELIVERING,
                false,
                NotifierReason::DeliveryFails,
                &error.message,
            );
        }
        _ => conditions.say(
            DELIVERING,
            true,
            NotifierReason::Delivering,
            "the receiver takes notices",
        ),
    }
    let needs_a_person = !is_ready && !matches!(secrets, SecretsSeen::Unreadable { .. });
    if needs_a_person {
        conditions.say(STALLED, true, reason, message);
    } else if let (Some(error), true) = (&delivery.last_error, fails_for >= Some(PATIENCE)) {
        conditions.say(STALLED, true, NotifierReason::DeliveryFails, &error.message);
    }
    AccessNotifierStatus {
        observed_generation: Some(generation),
        conditions: conditions.done(),
        backlog: Some(progress.backlog),
        oldest_waiting: progress.oldest_waiting.map(Time),
        dropped: Some(progress.dropped),
        last_error: delivery.last_error.clone(),
        told_until: Some(Time(progress.told_until)),
        told: progress.told,
    }
}

fn ready(secrets: &SecretsSeen, notifier: &AccessNotifier) -> (bool, NotifierReason, String) {
    let name = notifier.metadata.name.as_deref().unwrap_or_default();
    let no = |reason, message: String| (false, reason, message);
    match secrets {
        SecretsSeen::Usable => (
            true,
            NotifierReason::Ready,
            "the notifier can be used".to_owned(),
        ),
        SecretsSeen::Missing { secret } => no(
            NotifierReason::SecretMissing,
            format!("the Secret {secret} does not exist in this namespace; create it"),
        ),
        SecretsSeen::NotLabelled { secret } => no(
            NotifierReason::SecretNotLabelled,
            format!(
                "the Secret {secret} is not for notifiers: label it keyloan.dev/secret=notifier and \
                 keyloan.dev/notifier={name}"
            ),
        ),
        SecretsSeen::OfAnother { secret, names } => no(
            NotifierReason::SecretOfAnotherNotifier,
            match names {
                Some(other) => format!(
                    "the Secret {secret} is for the notifier {other}; use another Secret, or label \
                     it keyloan.dev/notifier={name}"
                ),
                None => format!(
                    "the Secret {secret} names no notifier: label it keyloan.dev/notifier={name}"
                ),
            },
        ),
        SecretsSeen::KeyMissing { secret, key } => no(
            NotifierReason::KeyMissing,
            format!("the Secret {secret} has no key {key}"),
        ),
        SecretsSeen::Unusable { secret, key, why } => no(
            NotifierReason::SecretUnusable,
            format!("the key {key} of the Secret {secret} cannot be used: {why}"),
        ),
        SecretsSeen::Unguarded { why } => no(
            NotifierReason::BoundaryNotInForce,
            format!(
                "the notifier is not used as it is until the admission policies are in force: {why}"
            ),
        ),
        SecretsSeen::Unreadable { secret, error } => no(
            NotifierReason::SecretUnreadable,
            format!("the Secret {secret} could not be read: {error}; trying again"),
        ),
    }
}
