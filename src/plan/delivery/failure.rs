//! Failures of attempts to issue a link or to delete its Secret, and the times of the retries.

use jiff::{SignedDuration, Timestamp};

use crate::api::SecretReference;
use crate::plan::reasons::GrantReason;

/// The last attempt to issue a link of one loan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The time of the failure.
    pub at: Timestamp,
    /// The failure.
    pub failure: Failure,
    /// The number of consecutive failures, this one included.
    pub count: u32,
}

/// The last attempt to delete a link's Secret, which failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// The time of the failure.
    pub at: Timestamp,
    /// The cause, in words without secrets.
    pub why: String,
    /// Whether the cause may pass by itself: the API server did not answer.
    pub is_passing: bool,
    /// The number of consecutive failures, this one included.
    pub count: u32,
}

impl Undeleted {
    /// The time of the next attempt.
    pub fn retry_at(&self) -> Timestamp {
        let wait = SignedDuration::from_secs(doubling(self.count, 5, 600));
        self.at.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }
}

/// The failure of an attempt, as far as it matters for the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 1Password refused the token.
    Unauthorized,
    /// The service account may not read or share this item.
    Forbidden,
    /// 1Password no longer has the item.
    NotFound,
    /// The item is archived.
    Archived,
    /// 1Password has asked the operator to wait until this time.
    RateLimited {
        /// The time of the next attempt.
        until: Timestamp,
    },
    /// The account's sharing policy, or the service, does not accept this request.
    Refused,
    /// The account's policy allows single-view links only, and the loan was to continue after one.
    OpensOnce,
    /// 1Password refuses to share this item, for this reason.
    NotShareable(String),
    /// The operator holds no usable token of the integration, for example right after its start.
    /// Nothing was sent.
    NotConnected,
    /// No usable answer.
    Unavailable,
    /// No usable answer, for this known reason.
    Unanswered(String),
    /// 1Password issued a link, but the API server did not accept the Secret with it. The text is
    /// the API server's code, without the words of a policy or webhook, which may quote the link.
    NotKept(String),
    /// The API server does not accept the objects for the link, so none was issued.
    NoPlace {
        /// The attempted write, and the API server's answer.
        why: String,
        /// Whether something refuses it; otherwise there was no answer.
        refused: bool,
    },
    /// The API server does not accept the record or the change to it, so no link was issued.
    NoRecord {
        /// The attempted write, and the API server's answer.
        why: String,
        /// Whether something refuses it; otherwise there was no answer.
        refused: bool,
    },
    /// The fetched item differs from the one in the terms.
    ItemDiffers,
    /// The item's version differs from the one that was lent first.
    ItemChanged,
    /// The requester has reached the flow's limit in the meantime.
    LimitReached,
    /// This Secret, with the link's name, exists and is not Keyloan's.
    SecretTaken(SecretReference),
}

impl Attempt {
    /// The time of the next attempt.
    pub fn retry_at(&self) -> Timestamp {
        let wait = match self.failure {
            Failure::RateLimited { until } => return until.max(self.at),
            Failure::NotConnected => self.wait(1, 60),
            Failure::ItemDiffers => self.wait(2, 600),
            Failure::Unavailable
            | Failure::Unanswered(_)
            | Failure::NotKept(_)
            | Failure::LimitReached => self.wait(5, 600),
            Failure::NoPlace { .. } | Failure::NoRecord { .. } => self.wait(5, 600),
            Failure::SecretTaken(_) => SignedDuration::from_mins(10),
            // A refused token is not sent again: the next attempt only waits for another token.
            Failure::Unauthorized => self.wait(5, 60),
            Failure::Forbidden | Failure::NotFound | Failure::Archived => self.wait(60, 3600),
            Failure::Refused
            | Failure::NotShareable(_)
            | Failure::OpensOnce
            | Failure::ItemChanged => SignedDuration::from_hours(1),
        };
        self.at.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn wait(&self, first: i64, most: i64) -> SignedDuration {
        SignedDuration::from_secs(doubling(self.count, first, most))
    }

    /// Whether waiting is useless because a person has to correct something.
    pub fn needs_a_person(&self) -> bool {
        !matches!(
            self.failure,
            Failure::RateLimited { .. }
                | Failure::NotConnected
                | Failure::Unavailable
                | Failure::Unanswered(_)
                | Failure::NotKept(_)
                | Failure::NoPlace { refused: false, .. }
                | Failure::NoRecord { refused: false, .. }
                | Failure::ItemDiffers
                | Failure::LimitReached
        )
    }

    /// What there is to mend, if this failure has ended the loan: nothing is tried again.
    pub fn last_words(&self) -> Option<String> {
        match &self.failure {
            Failure::Refused | Failure::OpensOnce => Some(self.explain().1),
            Failure::NotShareable(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// The reason and message for the status.
    pub fn explain(&self) -> (GrantReason, String) {
        let at = self.retry_at();
        match &self.failure {
            Failure::Unauthorized => (
                GrantReason::OnePasswordUnauthorized,
                "1Password refused the integration's token; put a valid one into its Secret".into(),
            ),
            Failure::Forbidden => (
                GrantReason::OnePasswordForbidden,
                format!(
                    "1Password does not let this service account share the item; give it \
                     permission to read and share in the vault. Next try at {at:.0}"
                ),
            ),
            Failure::NotFound => (
                GrantReason::OnePasswordItemGone,
                format!(
                    "1Password no longer has this item, or the service account cannot see it. Next \
                     try at {at:.0}"
                ),
            ),
            Failure::Archived => (
                GrantReason::ItemArchived,
                format!("the item is archived in 1Password; restore it there. Next try at {at:.0}"),
            ),
            Failure::RateLimited { .. } => (
                GrantReason::OnePasswordThrottled,
                format!("1Password's request limit is reached; next try at {at:.0}"),
            ),
            Failure::Refused => (
                GrantReason::RefusedByPolicy,
                "1Password refused this link: the account's sharing policy does not allow these \
                 recipients, this link lifetime, or more than one view. Have the policy changed in \
                 1Password, or request again with other recipients, a shorter duration or viewOnce"
                    .into(),
            ),
            Failure::OpensOnce => (
                GrantReason::ViewOnceRequired,
                "the account's sharing policy allows single-view links only: request again with \
                 viewOnce: true through a flow that allows it, or have the policy changed in \
                 1Password"
                    .into(),
            ),
            Failure::NotConnected => (
                GrantReason::IntegrationNotReady,
                format!(
                    "the operator does not use the integration's token at present, so it asked \
                     1Password for no link; if this lasts, check the integration's conditions. \
                     Next try at {at:.0}"
                ),
            ),
            Failure::Unavailable => (
                GrantReason::OnePasswordUnavailable,
                format!(
                    "1Password cannot be reached or did not answer as expected; next try at {at:.0}"
                ),
            ),
            Failure::NotShareable(why) => (
                GrantReason::RefusedByPolicy,
                format!("{why}. Next try at {at:.0}"),
            ),
            Failure::Unanswered(why) => (
                GrantReason::OnePasswordUnavailable,
                format!("{why}. Next try at {at:.0}"),
            ),
            Failure::NotKept(why) => (
                GrantReason::LinkNotKept,
                format!(
                    "1Password issued a link, but the API server did not accept the Secret for it \
                     ({why}). Check the quotas, policies and webhooks for Secrets in the links \
                     namespace. Next try at {at:.0}"
                ),
            ),
            Failure::NoPlace { why, .. } => (
                GrantReason::NoPlaceForLink,
                format!(
                    "the operator could not store the link's objects in the cluster, so it issued \
                     no link: cannot {why}. Change the quota, policy, webhook or permission that \
                     this names. Next try at {at:.0}"
                ),
            ),
            Failure::NoRecord { why, .. } => (
                GrantReason::RecordRefused,
                format!(
                    "the operator could not write the loan's record, so it issued no link: cannot \
                     {why}. Change the quota, policy, webhook or permission that this names. Next \
                     try at {at:.0}"
                ),
            ),
            Failure::ItemDiffers => (
                GrantReason::ItemDiffers,
                "the item has changed since it was looked up; the operator looks it up again"
                    .into(),
            ),
            Failure::ItemChanged => (
                GrantReason::ItemDiffers,
                "the item has changed in 1Password since it was lent".into(),
            ),
            Failure::LimitReached => (
                GrantReason::LimitReached,
                format!("you have reached this flow's limit of active loans; next try at {at:.0}"),
            ),
            Failure::SecretTaken(secret) => taken(secret),
        }
    }
}

/// The seconds to wait after a number of consecutive failures: doubled each time, up to `most`.
pub(in crate::plan) fn doubling(count: u32, first: i64, most: i64) -> i64 {
    let factor = 1_i64 << count.saturating_sub(1).min(16);
    first.saturating_mul(factor).min(most)
}

/// The text about a Secret with the link's name that is not the loan's.
pub fn taken(secret: &SecretReference) -> (GrantReason, String) {
    let message = format!("Secret {secret} exists and does not belong to this loan; delete it");
    (GrantReason::LinkSecretTaken, message)
}

/// The text if the operator cannot read the links namespace.
pub fn out_of_reach(links_namespace: &str) -> (GrantReason, String) {
    let message = format!(
        "the operator cannot read Secrets in namespace {links_namespace}, where it keeps links: \
         the namespace or the operator's permissions there are missing. Reinstall the keyloan chart"
    );
    (GrantReason::NoPlaceForLink, message)
}
