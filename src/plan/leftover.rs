//! The Secret of a link that nobody is to read any more: it is deleted at once; where it stays, that holds up nothing, and people are told.

use jiff::Timestamp;

use crate::api::SecretReference;

use super::observed::{LinkSeen, Observed};

/// What there is to do about the Secret of a link that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// It is gone.
    Nothing,
    /// It is there, and is deleted now.
    Delete,
    /// Nobody knows whether it is there: the sentence says so.
    MayStay(String),
    /// It is there, and cannot be deleted.
    Stays {
        /// Why, and what to do.
        message: String,
        /// Whether a person has to mend something.
        stalled: bool,
        /// When to try again, if that is not for somebody else to do.
        retry_at: Option<Timestamp>,
    },
}

impl Leftover {
    /// What is left of a link of the loan of this grant, by its uid.
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

    /// What is to be said of it.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Nothing | Self::Delete => None,
            Self::MayStay(message) | Self::Stays { message, .. } => Some(message),
        }
    }
}

/// What to say of a Secret that was deleted and does not go.
pub fn kept(secret: &SecretReference) -> String {
    format!(
        "Secret {secret} is being deleted but is blocked by a finalizer and still readable: remove \
         the finalizer"
    )
}
