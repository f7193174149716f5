//! How attempts to issue a link, or to delete its Secret, fail, and when to try again.

use jiff::{SignedDuration, Timestamp};

use super::reasons::grant as reasons;

/// The last attempt to issue a link of one loan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it failed.
    pub at: Timestamp,
    /// How.
    pub failure: Failure,
    /// How many have failed in a row, this one included.
    pub count: u32,
}

/// The last attempt to delete a link's Secret, which failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// When it failed.
    pub at: Timestamp,
    /// What came of it, in words that hold nothing secret.
    pub why: String,
    /// Whether it may pass by itself: the API server did not answer.
    pub is_passing: bool,
    /// How many have failed in a row, this one included.
    pub count: u32,
}

impl Undeleted {
    /// When to try again.
    pub fn retry_at(&self) -> Timestamp {
        let wait = SignedDuration::from_secs(doubling(self.count, 5, 600));
        self.at.saturating_add(wait).unwrap_or(Timestamp::MAX)
    }
}

/// How an attempt failed, as far as it matters for what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 1Password refused the token.
    Unauthorized,
    /// The service account may not read or share this item.
    Forbidden,
    /// 1Password has no such item any more.
    NotFound,
    /// The item is archived.
    Archived,
    /// 1Password asks us to wait until then.
    RateLimited {
        /// When to try again.
        until: Timestamp,
    },
    /// The account's sharing policy, or the service, does not take this request as it is.
    Refused,
    /// The account's policy has each link open just once, and the loan was to go on after that.
    OpensOnce,
    /// 1Password refuses to share this item as it is; in words.
    NotShareable(String),
    /// No usable answer.
    Unavailable,
    /// The same, and it is known why; in words.
    Unanswered(String),
    /// There was a link, but the API server did not take the Secret with it: what it said, without the words of whoever refused, who may quote
    /// the link.
    NotKept(String),
    /// The API server does not take the objects that would carry the link, so none was made.
    NoPlace {
        /// What it said to what.
        why: String,
        /// Whether somebody refuses; else there was no answer.
        refused: bool,
    },
    /// The API server does not take the record, or what was to be noted in it, so no link was made.
    NoRecord {
        /// What it said to what.
        why: String,
        /// Whether somebody refuses; else there was no answer.
        refused: bool,
    },
    /// The item that was fetched is not as it was when the terms were made.
    ItemDiffers,
    /// The item is not the version that was lent first.
    ItemChanged,
    /// The requester has got as much as the flow allows in the meantime.
    LimitReached,
    /// A Secret of the link's name is there which is not ours.
    SecretTaken,
}

impl Attempt {
    /// When to try again.
    pub fn retry_at(&self) -> Timestamp {
        let wait = match self.failure {
            Failure::RateLimited { until } => return until.max(self.at),
            Failure::ItemDiffers => self.wait(2, 600),
            Failure::Unavailable
            | Failure::Unanswered(_)
            | Failure::NotKept(_)
            | Failure::LimitReached => self.wait(5, 600),
            Failure::NoPlace { .. } | Failure::NoRecord { .. } => self.wait(5, 600),
            Failure::SecretTaken => SignedDuration::from_mins(10),
            // A token that is refused is not sent again: the next try waits only for another one.
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

    /// Whether nothing will come of waiting: a person has to mend something.
    pub fn needs_a_person(&self) -> bool {
        !matches!(
            self.failure,
            Failure::RateLimited { .. }
                | Failure::Unavailable
                | Failure::Unanswered(_)
                | Failure::NotKept(_)
                | Failure::NoPlace { refused: false, .. }
                | Failure::NoRecord { refused: false, .. }
                | Failure::ItemDiffers
                | Failure::LimitReached
        )
    }

    /// The reason and the message to show for it.
    pub fn explain(&self) -> (&'static str, String) {
        let at = self.retry_at();
        match &self.failure {
            Failure::Unauthorized => (
                reasons::UNAUTHORIZED,
                "1Password refused the integration's token; put a valid one into its Secret".into(),
            ),
            Failure::Forbidden => (
                reasons::FORBIDDEN,
                format!(
                    "1Password does not let this service account share the item; give it \
                     permission to read and share in the vault. Next try at {at:.0}"
                ),
            ),
            Failure::NotFound => (
                reasons::GONE,
                format!(
                    "1Password no longer has this item, or the service account cannot see it. Next \
                     try at {at:.0}"
                ),
            ),
            Failure::Archived => (
                reasons::ITEM_ARCHIVED,
                format!("the item is archived in 1Password; restore it there. Next try at {at:.0}"),
            ),
            Failure::RateLimited { .. } => (
                reasons::THROTTLED,
                format!("1Password's request limit is reached; next try at {at:.0}"),
            ),
            Failure::Refused => (
                reasons::REFUSED,
                "1Password refused this link: its sharing policy does not allow these recipients, \
                 this lifetime or this kind of item. Change the policy in 1Password, or request \
                 something else"
                    .into(),
            ),
            Failure::OpensOnce => (
                reasons::VIEW_ONCE_REQUIRED,
                "1Password's sharing policy allows single-view links only: request again with \
                 viewOnce: true through a flow that allows it, or have the policy changed"
                    .into(),
            ),
            Failure::Unavailable => (
                reasons::UNAVAILABLE,
                format!(
                    "1Password cannot be reached or did not answer as expected; next try at {at:.0}"
                ),
            ),
            Failure::NotShareable(why) => (reasons::REFUSED, format!("{why}. Next try at {at:.0}")),
            Failure::Unanswered(why) => {
                (reasons::UNAVAILABLE, format!("{why}. Next try at {at:.0}"))
            }
            Failure::NotKept(why) => (
                reasons::LINK_NOT_KEPT,
                format!(
                    "1Password issued a link, but the API server did not accept the Secret for it \
                     ({why}). Next try at {at:.0}"
                ),
            ),
            Failure::NoPlace { why, .. } => (
                reasons::NO_PLACE_FOR_LINK,
                format!(
                    "the operator could not store the link's objects in the cluster, so it issued \
                     no link: cannot {why}. Change the quota, policy, webhook or permission that \
                     this names. Next try at {at:.0}"
                ),
            ),
            Failure::NoRecord { why, .. } => (
                reasons::RECORD_REFUSED,
                format!(
                    "the operator could not write the loan's record, so it issued no link: cannot \
                     {why}. Change the quota, policy, webhook or permission that this names. Next \
                     try at {at:.0}"
                ),
            ),
            Failure::ItemDiffers => (
                reasons::ITEM_DIFFERS,
                "the item has changed since it was looked up; the operator looks it up again"
                    .into(),
            ),
            Failure::ItemChanged => (
                reasons::ITEM_DIFFERS,
                "the item has changed in 1Password since it was lent".into(),
            ),
            Failure::LimitReached => (
                reasons::LIMIT_REACHED,
                format!("you have reached this flow's limit of active loans; next try at {at:.0}"),
            ),
            Failure::SecretTaken => taken(),
        }
    }
}

/// How many seconds to wait after so many failures in a row: each time twice as long, and never longer than `most`.
pub(super) fn doubling(count: u32, first: i64, most: i64) -> i64 {
    let factor = 1_i64 << count.saturating_sub(1).min(16);
    first.saturating_mul(factor).min(most)
}

/// What to say where a Secret of the link's name is there which is not the loan's.
pub fn taken() -> (&'static str, String) {
    let message = "another Secret with the link's name exists and does not belong to this loan; \
                   delete it";
    (reasons::LINK_SECRET_TAKEN, message.into())
}

/// What to say where the operator cannot look into the namespace of the links.
pub fn out_of_reach(links_namespace: &str) -> (&'static str, String) {
    let message = format!(
        "the operator cannot read Secrets in namespace {links_namespace}, where it keeps links: \
         the namespace or the operator's permissions there are missing. Reinstall the keyloan chart"
    );
    (reasons::NO_PLACE_FOR_LINK, message)
}
