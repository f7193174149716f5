//! Whether the API server guards who asks and who decides: without that, nothing new is approved or first issued.
//!
//! The policies have to be stored as they were shipped, and they have to act: a dry run by the operator must not pass.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

mod shipped;

pub use shipped::{OwnEntry, Shipped};

/// What was seen of the admission policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BoundarySeen {
    /// Why they do not guard identities now, and what to do; `None` where they do.
    pub broken: Option<String>,
    /// When one of them, or a binding, last changed, as far as the objects tell: what was made before or then is not vouched for.
    /// `None` where nothing is known to have changed.
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

/// All that was seen of our policies and bindings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoliciesSeen {
    /// How far each kind has been read.
    pub readings: BTreeMap<PolicyKind, Reading>,
    /// Those that are there.
    pub objects: BTreeMap<PolicyKey, PolicySeen>,
}

impl PoliciesSeen {
    /// Whether all kinds have been read, or cannot be.
    pub fn is_read(&self) -> bool {
        let reading = |kind| self.readings.get(kind).unwrap_or(&Reading::Begun);
        PolicyKind::ALL
            .iter()
            .all(|kind| *reading(kind) != Reading::Begun)
    }

    /// Whether all that is there of each kind is known.
    pub fn is_known(&self) -> bool {
        let known = [Some(&Reading::Done), Some(&Reading::Absent)];
        PolicyKind::ALL
            .iter()
            .all(|kind| known.contains(&self.readings.get(kind)))
    }
}

/// How far a kind has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// Not all of it yet.
    #[default]
    Begun,
    /// All that is there is known.
    Done,
    /// The API server has no such kind.
    Absent,
    /// It cannot be read; the text says why.
    Failed(String),
}

/// One policy or binding.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicySeen {
    /// Which object of its name it is.
    pub uid: String,
    /// Grows with each change of the spec.
    pub generation: i64,
    /// The spec, as the API server has it.
    pub spec: Value,
    /// When it was made or last changed, as far as it tells.
    pub changed_at: Option<Timestamp>,
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
            "the API server lets a request pass that the ValidatingAdmissionPolicy keyloan-grant-identity refuses: check that \
             its admission plugin ValidatingAdmissionPolicy is on"
                .into(),
        ),
        // Of the policies' expressions, this is the one that an installation writes.
        ProbeAnswer::Refused(message)
            if message.contains("composited variable \"email\" fails to evaluate") =>
        {
            Verdict::Open(format!(
                "the policies' expression for e-mail addresses fails for the operator, and so for others: correct the value email, which \
                 has to yield \"\" where there is no address (helm upgrade keyloan-crds) ({message})"
            ))
        }
        ProbeAnswer::Refused(message) => Verdict::Obstructed(format!(
            "the dry run that shows whether the admission policies act was refused for another reason: let \
             the operator create AccessGrants in its own namespace ({message})"
        )),
        ProbeAnswer::None(why) => Verdict::Unknown(format!(
            "whether the admission policies act could not be checked, and is tried again ({why})"
        )),
    }
}

/// What is known of when the policies changed.
#[derive(Clone, Debug, Default)]
pub struct History {
    seen: BTreeMap<PolicyKey, (String, i64, Option<Timestamp>)>,
    changed_at: Option<Timestamp>,
}

impl History {
    /// Takes in what is there now. Says whether something has changed of which the objects do not tell when: then
    /// [`changed`](Self::changed) has to be told.
    pub fn take(&mut self, seen: &PoliciesSeen) -> bool {
        let mut untold = false;
        for (key, policy) in &seen.objects {
            let version = (policy.uid.clone(), policy.generation, policy.changed_at);
            let before = self.seen.insert(key.clone(), version);
            // Whoever writes an object may also write when it was changed, but not its generation. Of one that was made anew it tells
            // when, but not when it began to act.
            untold |= before.is_some_and(|(uid, generation, changed_at)| {
                uid != policy.uid
                    || (generation != policy.generation && policy.changed_at <= changed_at)
            });
            self.changed_at = self.changed_at.max(policy.changed_at);
        }
        untold
    }

    /// Something has changed at this time, or before.
    pub fn changed(&mut self, at: Timestamp) {
        self.changed_at = self.changed_at.max(Some(at));
    }

    /// When something last changed.
    pub fn changed_at(&self) -> Option<Timestamp> {
        self.changed_at
    }
}

#[cfg(test)]
mod tests;
