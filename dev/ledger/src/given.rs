//! The input of a check, and its limits.

use jiff::{SignedDuration, Timestamp};

use crate::audit::AuditLog;
use crate::objects::{Grant, Record, Secret, Share};

/// All that is known. Without a part, the rules about it are not checked.
#[derive(Debug, Default)]
pub struct Given {
    /// The records.
    pub records: Vec<Record>,
    /// The requests.
    pub grants: Option<Vec<Grant>>,
    /// The Secrets with links.
    pub secrets: Option<Vec<Secret>>,
    /// The shares that 1Password has.
    pub shares: Option<Vec<Share>>,
    /// Earlier copies of the records.
    pub before: Option<Vec<Record>>,
    /// The API server's audit log.
    pub audit: Option<AuditLog>,
}

/// The times and names that the rules need.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The time when the records were read.
    pub now: Timestamp,
    /// How far 1Password's clock may be ahead of the operator's: docs/reasons.md, `ClockSkew`.
    pub clock_ahead: SignedDuration,
    /// How far the API server's clock, which dates decisions, may be behind the operator's.
    pub api_behind: SignedDuration,
    /// The username of the operator, the only one who writes records and links: docs/security.md.
    pub operator: String,
}

impl Limits {
    /// The chart's operator, and clocks that agree.
    pub fn at(now: Timestamp) -> Self {
        Self {
            now,
            clock_ahead: SignedDuration::ZERO,
            api_behind: SignedDuration::ZERO,
            operator: "system:serviceaccount:keyloan-system:keyloan".to_owned(),
        }
    }
}
