//! The Secret of a link that nobody may read any longer. It is deleted at once. A Secret that
//! cannot be deleted holds up nothing, but the status reports it.

use jiff::Timestamp;

use crate::api::SecretReference;

use crate::plan::observed::{LinkSeen, Observed};

/// What to do about the Secret of an ended link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrphanedSecret {
    /// The Secret is gone.
    Nothing,
    /// The Secret exists and is deleted now.
    Delete,
    /// It is unknown whether the Secret exists; the text reports it.
    MayStay(String),
    /// The Secret exists and cannot be deleted.
    Stays {
        /// The cause, and what to do.
        message: String,
        /// Whether a person has to act.
        stalled: bool,
        /// The time of the next attempt, unless only a person can help.
        retry_at: Option<Timestamp>,
    },
}

impl OrphanedSecret {
    /// The leftover of the links of this grant's loan, by the grant's uid.
    pub fn of(seen: &Observed, grant_uid: &str, now: Timestamp) -> Self {
        let secret = seen.secret_of(grant_uid);
        match (&seen.link, &seen.undeleted) {
            (LinkSeen::Present { .. }, Some(failed)) if failed.retry_at() > now => Self::Stays {
                message: format!(
                    "Secret {secret} could not be deleted ({}) and is still readable: delete it, \
                     or wait while the operator keeps retrying",
                    failed.why
                ),
                stalled: !failed.is_passing,
                retry_at: Some(failed.retry_at()),
            },
            (LinkSeen::Present { .. }, _) => Self::Delete,
            (LinkSeen::Kept, _) => Self::Stays {
                message: kept(&secret),
                stalled: true,
                retry_at: None,
            },
            (LinkSeen::OutOfReach, _) => Self::MayStay(format!(
                "the operator cannot read Secrets in namespace {}, where it keeps links: if Secret \
                 {secret} exists, delete it",
                secret.namespace
            )),
            (LinkSeen::Absent | LinkSeen::Foreign, _) => Self::Nothing,
        }
    }

    /// The time of the next attempt to delete it, unless only a person can help.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Stays { retry_at, .. } => *retry_at,
            Self::Nothing | Self::Delete | Self::MayStay(_) => None,
        }
    }

    /// The text for the status.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Nothing | Self::Delete => None,
            Self::MayStay(message) | Self::Stays { message, .. } => Some(message),
        }
    }
}

/// The text about a Secret that was deleted but still exists.
pub fn kept(secret: &SecretReference) -> String {
    format!(
        "Secret {secret} is being deleted but is blocked by a finalizer and still readable: remove \
         the finalizer"
    )
}
