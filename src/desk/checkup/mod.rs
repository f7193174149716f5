//! A checkup of an installation: what an administrator's tools can see of it, whether it is as
//! Keyloan needs it, and what to do if not.
//!
//! Each check is a function of what was seen. A check whose facts could not be read says so.

mod cluster;
mod objects;
mod operator;
mod place;
mod rights;
mod webhooks;

use serde::Serialize;

use super::text::{Text, table};

pub use cluster::{clock, kinds, kubernetes, policies, probe, releases};
pub use objects::{flows, integrations, notifiers};
pub use operator::{Deployed, Leader, deployment, leader};
pub use place::{links_namespace, quotas};
pub use rights::{RIGHTS, Right, Where, rights};
pub use webhooks::{Webhook, webhooks};

// How the cluster's policies and kinds are compared with a release's.
pub use crate::plan::boundary::{PoliciesSeen, Shipped, fields_of};

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and there is something to know.
    Note,
    /// Something does not work.
    Problem,
    /// It could not be seen.
    Unknown,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The subject of the check.
    pub check: String,
    /// How it stands.
    pub state: State,
    /// The finding, and the next step.
    pub message: String,
}

/// The facts for a check, or the reason why they could not be read.
pub type Read<T> = Result<T, String>;

impl Finding {
    fn new(check: &str, state: State, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            state,
            message: message.into(),
        }
    }

    fn ok(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, State::Ok, message)
    }

    fn note(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, State::Note, message)
    }

    fn problem(check: &str, message: impl Into<String>) -> Self {
        Self::new(check, State::Problem, message)
    }

    fn unknown(check: &str, why: impl Into<String>) -> Self {
        Self::new(check, State::Unknown, why)
    }
}

/// The findings as a table.
pub fn shown(findings: &[Finding]) -> Text {
    let row = |finding: &Finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Problem => "problem",
            State::Unknown => "unknown",
        };
        vec![
            finding.check.clone(),
            state.to_owned(),
            finding.message.clone(),
        ]
    };
    table(
        &["CHECK", "STATE", "FOUND"],
        findings.iter().map(row).collect(),
    )
}
