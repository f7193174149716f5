//! Whether the API server verifies requesters and approvers. Without that, no requests are approved
//! and no first links issued.
//!
//! Three things are checked: the kinds are those of this operator, the policies are stored as they
//! were shipped, and they act, so that they refuse a dry run by the operator. The observed state of
//! the policies is kept, so that a change is noticed even if no operator was running when it was
//! made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

mod kinds;
mod memory;
mod shipped;

pub use kinds::{Fields, fields_of, fields_served, misfit};
pub use memory::Memory;
pub use shipped::{OwnEntry, Shipped};

/// The observed state of the admission policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundarySeen {
    /// The reason why they do not verify identities now, and what to do; `None` if they do.
    pub broken: Option<String>,
    /// The time at which they were last noticed to have changed. Nothing verifies objects that were
    /// made before or at this time. `None` if it is unknown.
    pub changed_at: Option<Timestamp>,
}

/// The kinds of objects that make up the boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// ValidatingAdmissionPolicy.
    Validating,
    /// ValidatingAdmissionPolicyBinding.
    ValidatingBinding,
    /// MutatingAdmissionPolicy, from Kubernetes 1.36.
    Mutating,
    /// MutatingAdmissionPolicyBinding, from Kubernetes 1.36.
    MutatingBinding,
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Validating,
        Self::ValidatingBinding,
        Self::Mutating,
        Self::MutatingBinding,
    ];

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingAdmissionPolicy",
            Self::ValidatingBinding => "ValidatingAdmissionPolicyBinding",
            Self::Mutating => "MutatingAdmissionPolicy",
            Self::MutatingBinding => "MutatingAdmissionPolicyBinding",
        }
    }

    /// Without the mutating policies, people write their identity themselves, and the validating
    /// policies refuse false ones.
    fn is_optional(self) -> bool {
        matches!(self, Self::Mutating | Self::MutatingBinding)
    }
}

/// A policy or a binding, by kind and name.
pub type PolicyKey = (PolicyKind, String);

/// The shipped policies and bindings that exist in the cluster.
pub type PoliciesSeen = BTreeMap<PolicyKey, PolicySeen>;

/// One policy or binding.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySeen {
    /// The uid, which distinguishes objects of the same name.
    pub uid: String,
    /// Increases by one with each change of the spec, and with nothing else.
    pub generation: i64,
    /// The spec as the API server stores it.
    pub spec: Value,
}

/// The result of a dry run in which the operator, who never borrows, creates a grant under a false
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// The dry run passed.
    Passed,
    /// The dry run was refused with this message.
    Refused(String),
    /// There was no answer, for this reason.
    None(String),
}

/// The conclusion from a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policies act.
    Guarded,
    /// They do not act; the text says why, and what to do.
    Open(String),
    /// No conclusion, because something else refused the dry run first, for example a missing
    /// permission while RBAC is being changed. The text says what a person may have to correct.
    Obstructed(String),
    /// No conclusion, for this reason.
    Unknown(String),
}

/// The conclusion from a dry run. A policy that acts refuses the false name or, where a mutating
/// policy has replaced it with the true one, the operator.
pub fn verdict(answer: &ProbeAnswer) -> Verdict {
    match answer {
        ProbeAnswer::Refused(message) if message.contains("denied request: keyloan-identity: ") => {
            Verdict::Guarded
        }
        ProbeAnswer::Passed => Verdict::Open(
            "the API server accepts a request that the ValidatingAdmissionPolicy \
             keyloan-grant-identity refuses: check that its admission plugin \
             ValidatingAdmissionPolicy is enabled"
                .into(),
        ),
        // Of the policies' expressions, only this one comes from the installation.
        ProbeAnswer::Refused(message)
            if message.contains("composited variable \"email\" fails to evaluate") =>
        {
            Verdict::Open(format!(
                "the policies' expression for e-mail addresses fails for the operator, and \
                 therefore for others: correct the value email so that it yields \"\" where there \
                 is no address (helm upgrade keyloan-crds) ({message})"
            ))
        }
        ProbeAnswer::Refused(message) => Verdict::Obstructed(format!(
            "the dry run that checks the admission policies was refused for another reason: let \
             the operator create AccessGrants in its own namespace ({message})"
        )),
        ProbeAnswer::None(why) => Verdict::Unknown(format!(
            "the operator could not check whether the admission policies are in force, and will \
             try again ({why})"
        )),
    }
}

#[cfg(test)]
mod tests;
