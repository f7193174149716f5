//! The admission policies: requests and decisions name the user whom the API server saw, and only
//! the operator writes what it vouches for.
//!
//! Every refusal begins with a prefix that names the policy's concern and never changes, so that
//! people and the operator can tell it from other refusals.

mod boundary;
mod guards;
mod identity;
mod link;
mod ownership;
mod policy;

use serde_json::Value;

use super::error::ManifestError;
use policy::Policy;

pub use boundary::{
    Boundary, EMAIL_VARIABLES, LINKS_VARIABLE, Operator, USERNAME_VARIABLES, link_entry,
};
pub use identity::IDENTITY_POLICIES;

/// The validating policies with their bindings, grouped by the concern that names their file.
pub fn validating_policies(
    boundary: &Boundary,
) -> Result<Vec<(&'static str, Vec<Value>)>, ManifestError> {
    [
        ("identity", identity::validating(boundary)),
        ("status", vec![guards::status(boundary)]),
        ("records", guards::records(boundary)),
        ("token", vec![guards::token()]),
        ("notifier", vec![guards::notifier()]),
        ("metadata", guards::metadata()),
        ("ownership", ownership::policies(boundary)),
        ("link", link::policies(boundary)),
    ]
    .into_iter()
    .map(|(concern, policies)| {
        let objects = policies
            .iter()
            .map(Policy::with_binding)
            .collect::<Result<Vec<_>, _>>()?;
        Ok((concern, objects.concat()))
    })
    .collect()
}

/// The mutating policies with their bindings, for clusters that support them (Kubernetes 1.36 and
/// later).
///
/// A cluster without them is no less safe: people then write their own identity, and the validating
/// policies refuse a false one.
pub fn mutating_policies(boundary: &Boundary) -> Vec<(&'static str, Vec<Value>)> {
    vec![("identity", identity::mutating(boundary))]
}

/// The policies and bindings that count as in force: those of this release, and those that it may
/// find during an upgrade.
#[derive(Clone, Debug, PartialEq)]
pub struct Releases {
    /// This release's.
    pub current: Vec<Value>,
    /// Those of the previous release, if there is one: the charts may be upgraded in any order,
    /// without any loss in between.
    pub earlier: Vec<Vec<Value>>,
}

impl Releases {
    /// The releases that this binary knows. None was released before; with the next release, add
    /// the policies of this one here.
    pub fn known() -> Result<Self, ManifestError> {
        let boundary = Boundary::default();
        let validating = validating_policies(&boundary)?;
        let all = validating.into_iter().chain(mutating_policies(&boundary));
        Ok(Self {
            current: all.flat_map(|(_, objects)| objects).collect(),
            earlier: Vec::new(),
        })
    }
}
