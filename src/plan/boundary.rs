//! Whether the API server guards who asks and who decides: without that, nothing new is approved or first issued.
//!
//! The kinds have to be those of this operator, the policies have to be stored as they were shipped, and they have to act: a dry run
//! by the operator must not pass. What was seen of the policies is kept, so that a change is noticed also if no operator ran then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

mod kinds;
mod memory;
mod shipped;

pub use kinds::{Fields, fields_of, fields_served, misfit};
pub use memory::Memory;
pub use shipped::{OwnEntry, Shipped};

/// What was seen of the admission policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundarySeen {
    /// Why they do not guard identities now, and what to do; `None` where they do.
    pub broken: Option<String>,
    /// When they were last noticed to have changed: what was made before or then is not vouched for. `None` where that is not known.
    pub changed_at: Option<Timestamp>,
}

/// The kinds of which the boundary is made.
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
    /// All of them.
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

    /// Without them people write who they are, and the validating policies refuse what is false.
    fn is_optional(self) -> bool {
        matches!(self, Self::Mutating | Self::MutatingBinding)
    }
}

/// A policy or a binding, by kind and name.
pub type PolicyKey = (PolicyKind, String);

/// Our policies and bindings that are there.
pub type PoliciesSeen = BTreeMap<PolicyKey, PolicySeen>;

/// One policy or binding.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySeen {
    /// Which object of its name it is.
    pub uid: String,
    /// Grows by one with each change of the spec, and with nothing else.
    pub generation: i64,
    /// The spec, as the API server has it.
    pub spec: Value,
}

/// What came of a dry run of a grant by the operator, who borrows nothing, under a false name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAnswer {
    /// It passed.
    Passed,
    /// It was refused with this message.
    Refused(String),
    /// There was no answer; the text says why.
    None(String),
}

/// What a dry run has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policies act.
    Guarded,
    /// They do not; the text says so, and what to do.
    Open(String),
    /// Nothing, because something else refused it first, such as for want of a right while rights are being changed; the text says
    /// what a person may have to mend.
    Obstructed(String),
    /// Nothing; the text says why.
    Unknown(String),
}

/// What a dry run shows. A policy that acts refuses the false name, and where the true one has been written over it, the operator.
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
        // Of the policies' expressions, this is the one that an installation writes.
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
