//! What can go wrong in a call of the Kubernetes API, sorted by what it means to a controller.

use std::fmt;

/// A call of the Kubernetes API that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {object}: {trouble}")]
pub struct ApiError {
    /// What was tried.
    pub verb: &'static str,
    /// The kind, namespace and name.
    pub object: String,
    /// What came of it.
    pub trouble: Trouble,
}

/// What came of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object (or namespace).
    NotFound,
    /// There is one of this name already.
    AlreadyExists,
    /// One of this name that is not ours was deleted, and somebody's finalizer keeps it.
    InTheWay,
    /// The object is another version, or another object, than was thought.
    Conflict,
    /// The operator lacks the right, or an admission policy refuses.
    Forbidden(String),
    /// The API server refuses the object as it is.
    Invalid(String),
    /// No answer in time.
    Timeout,
    /// No answer, or one that says to try later.
    Unavailable(String),
}

impl Trouble {
    /// Sorts an error of the client.
    pub(super) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => match (status.code, status.reason.as_str()) {
                (404, _) => Self::NotFound,
                (409, "AlreadyExists") => Self::AlreadyExists,
                (409, _) => Self::Conflict,
                (401 | 403, _) => Self::Forbidden(status.message.clone()),
                (400 | 413 | 422, _) => Self::Invalid(status.message.clone()),
                _ => Self::Unavailable(status.message.clone()),
            },
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// The word for it in metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InTheWay => "in_the_way",
            Self::Conflict => "conflict",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("it does not exist"),
            Self::AlreadyExists => f.write_str("it exists already"),
            Self::InTheWay => f.write_str(
                "one of its name is there that is not Keyloan's and that a finalizer keeps; take the finalizer off",
            ),
            Self::Conflict => f.write_str("it has changed in the meantime"),
            Self::Forbidden(why) => {
                write!(
                    f,
                    "the API server forbids it: {why}; are the operator's roles installed?"
                )
            }
            Self::Invalid(why) => write!(f, "the API server refuses it: {why}"),
            Self::Timeout => f.write_str("the API server did not answer in time"),
            Self::Unavailable(why) => write!(f, "the API server is not available: {why}"),
        }
    }
}
