//! How attempts to issue a link fail, and when to try again.

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
    /// There was a link, but the API server did not take it.
    NotKept,
    /// The item that was fetched is not as it was when the terms were made.
    ItemDiffers,
    /// The item is not the version that was lent first.
    ItemChanged,
    /// The requester has got as much as the flow allows in the meantime.
    LimitReached,
    /// A Secret of the link's name is there which is not ours.
    SecretTaken,
    /// The operator may not touch Secrets in the request's namespace.
    OutOfReach,
}

impl Attempt {
    /// When to try again.
    pub fn retry_at(&self) -> Timestamp {
        let wait = match self.failure {
            Failure::RateLimited { until } => return until.max(self.at),
            Failure::ItemDiffers => self.wait(2, 600),
            Failure::Unavailable
            | Failure::Unanswered(_)
            | Failure::NotKept
            | Failure::LimitReached => self.wait(5, 600),
            Failure::SecretTaken | Failure::OutOfReach => SignedDuration::from_mins(10),
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
                | Failure::NotKept
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
                    "1Password does not let this service account share the item; give it the right to read and share the vault. Next try at {at:.0}"
                ),
            ),
            Failure::NotFound => (
                reasons::GONE,
                format!(
                    "1Password has no such item any more, or the service account cannot see it. Next try at {at:.0}"
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
                "1Password refused this link: its sharing policy does not allow these recipients, this lifetime or this kind of item. Change the policy in 1Password, or ask for something else".into(),
            ),
            Failure::OpensOnce => (
                reasons::VIEW_ONCE_REQUIRED,
                "1Password's sharing policy has each link open just once, and this was not asked for so: ask again with viewOnce: true, by a flow that allows it, or have the policy changed".into(),
            ),
            Failure::Unavailable => (
                reasons::UNAVAILABLE,
                format!(
                    "1Password cannot be reached, or did not answer as expected; next try at {at:.0}"
                ),
            ),
            Failure::NotShareable(why) => (
                reasons::REFUSED,
                format!("{why}. Next try at {at:.0}"),
            ),
            Failure::Unanswered(why) => (
                reasons::UNAVAILABLE,
                format!("{why}. Next try at {at:.0}"),
            ),
            Failure::NotKept => (
                reasons::LINK_NOT_KEPT,
                format!(
                    "a link was made, but the API server did not take the objects that carry it; the operator's log says why. Next try at {at:.0}"
                ),
            ),
            Failure::ItemDiffers => (
                reasons::ITEM_DIFFERS,
                "the item has changed since it was looked up; it is looked up again".into(),
            ),
            Failure::ItemChanged => (
                reasons::ITEM_DIFFERS,
                "the item has changed in 1Password since it was lent".into(),
            ),
            Failure::LimitReached => (
                reasons::LIMIT_REACHED,
                format!(
                    "you have as many loans by this flow as it allows at a time; next try at {at:.0}"
                ),
            ),
            Failure::SecretTaken => taken(),
            Failure::OutOfReach => out_of_reach(),
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
    let message = "a Secret of the link's name is there and is not this loan's; delete it";
    (reasons::LINK_SECRET_TAKEN, message.into())
}

/// What to say where the operator may not touch Secrets in the namespace of the request.
pub fn out_of_reach() -> (&'static str, String) {
    let message = "the operator may not read and write Secrets in this namespace: it is not among its --namespaces, or its rights there are missing. Ask in another namespace, or have this one enrolled";
    (reasons::NAMESPACE_NOT_ENROLLED, message.into())
}
