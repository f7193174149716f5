//! The admission policies that count as in force: those of this release, and those that it may meet while it is upgraded.

use serde_json::Value;

use super::{Boundary, ManifestError, mutating_policies, validating_policies};

/// Policies and bindings by release.
#[derive(Clone, Debug, PartialEq)]
pub struct Releases {
    /// This release's.
    pub current: Vec<Value>,
    /// Those of the release before, if there is one: the charts may be upgraded in any order, and nothing is lost in between.
    pub earlier: Vec<Vec<Value>>,
}

impl Releases {
    /// Those that this binary knows. Nothing was released before; with the next release, put the policies of this one here.
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
