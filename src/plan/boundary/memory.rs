//! The state of the policies when they were last in force. It is kept in the cluster, so that a
//! change is noticed even if no operator was running when it was made. Only specs count, because
//! others may write metadata and statuses, which verify nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shipped::{Shipped, variable};
use super::{PoliciesSeen, PolicyKey, PolicySeen};
use crate::plan::canonical::Canonical;

/// The installation's variables that have nothing to do with who made a request or a decision: a
/// change of them voids none. A restored record lends nothing, so it does not matter who may restore it.
const UNCOUNTED: [&str; 1] = ["restorers"];

/// The kept state. A later release reads it; if it could not, it would take every policy for
/// changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// The time at which the policies were last noticed to have changed.
    pub changed_at: Timestamp,
    /// The policies and bindings, as `KIND/NAME`.
    policies: BTreeMap<String, Version>,
}

/// The spec of a policy or binding at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    uid: String,
    generation: i64,
    /// The hash of the spec without the parts that belong to the installation.
    spec: String,
    /// The parts that belong to the installation: the expressions of its variables, by name.
    values: BTreeMap<String, String>,
}

impl Shipped {
    /// Whether nothing has changed since then.
    pub fn is_as_kept(&self, kept: &Memory, seen: &PoliciesSeen) -> bool {
        kept.policies == self.versions(seen)
    }

    /// The state to keep for policies that are in force: the kept one if only an upgrade has
    /// happened since, otherwise one that counts them as changed now.
    pub fn remember(&self, kept: Option<&Memory>, seen: &PoliciesSeen, now: Timestamp) -> Memory {
        let policies = self.versions(seen);
        let goes_on = |kept: &&Memory| {
            seen.keys().all(|key| {
                let version = policies.get(&key_of(key));
                version.is_none_or(|version| self.goes_on(key, kept, version))
            })
        };
        let changed_at = kept.filter(goes_on).map_or(now, |kept| kept.changed_at);
        Memory {
            changed_at,
            policies,
        }
    }

    /// Whether a policy is unchanged, or has changed by one step of an upgrade. Loosening it and
    /// restoring it takes two steps.
    fn goes_on(&self, key: &PolicyKey, kept: &Memory, now: &Version) -> bool {
        let before = kept.policies.get(&key_of(key));
        if before == Some(now) {
            return true;
        }
        let is_next = match before {
            Some(before) => {
                before.uid == now.uid
                    && before.generation.checked_add(1) == Some(now.generation)
                    && self.ships(key, |spec| hash(spec) == before.spec)
            }
            // A release may add a policy.
            None => now.generation == 1,
        };
        let is_same = |(name, value): (&String, &String)| {
            let others = kept.policies.values();
            let mut known = before.into_iter().chain(others);
            known
                .find_map(|version| version.values.get(name))
                .is_none_or(|known| known == value)
        };
        is_next && self.ships(key, |spec| hash(spec) == now.spec) && now.values.iter().all(is_same)
    }

    fn versions(&self, seen: &PoliciesSeen) -> BTreeMap<String, Version> {
        let version = |(key, policy): (&PolicyKey, &PolicySeen)| {
            let counted = |name: &&String| !UNCOUNTED.contains(&name.as_str());
            let values = self.installation.iter().filter(counted).filter_map(|name| {
                let expression = variable(&policy.spec, name)?;
                Some((name.clone(), expression.to_owned()))
            });
            let version = Version {
                uid: policy.uid.clone(),
                generation: policy.generation,
                spec: hash(&self.comparable(&policy.spec)),
                values: values.collect(),
            };
            (key_of(key), version)
        };
        seen.iter().map(version).collect()
    }
}

fn key_of((kind, name): &PolicyKey) -> String {
    format!("{}/{name}", kind.name())
}

fn hash(spec: &Value) -> String {
    let mut hash = Canonical::default();
    hash.json(spec);
    hash.finish()
}
