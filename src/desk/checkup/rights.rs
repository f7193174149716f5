//! The operator's rights: all that the chart gives it.

use super::{Finding, Read};

/// Where a right is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// In the whole cluster.
    Cluster,
    /// In the operator's own namespace.
    Own,
    /// In the links namespace.
    Links,
    /// In each namespace of integrations.
    Integrations,
}

/// A right to use verbs on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Right {
    /// Where.
    pub place: Where,
    /// The API group.
    pub group: &'static str,
    /// The resource, and after a slash its subresource.
    pub resource: &'static str,
    /// The one object, if the right is limited to it.
    pub name: Option<&'static str>,
    /// The verbs.
    pub verbs: &'static [&'static str],
}

const OURS: &str = "keyloan.dev";
const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const LEASES: &str = "coordination.k8s.io";
const SEE: &[&str] = &["list", "watch"];
const READ: &[&str] = &["get", "list", "watch"];
const TEND: &[&str] = &["get", "list", "watch", "delete"];
const KEEP: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];
const GRANT: &[&str] = &["get", "list", "create", "delete"];

const fn right(
    place: Where,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
) -> Right {
    Right {
        place,
        group,
        resource,
        name: None,
        verbs,
    }
}

/// All rights of the operator.
pub const RIGHTS: &[Right] = &[
    right(Where::Cluster, OURS, "onepasswordintegrations", SEE),
    right(Where::Cluster, OURS, "accessflows", SEE),
    right(Where::Cluster, OURS, "accessgrants", TEND),
    right(Where::Cluster, OURS, "accessdecisions", TEND),
    right(Where::Cluster, OURS, "accessrecords", KEEP),
    right(Where::Cluster, OURS, "accessnotifiers", SEE),
    right(
        Where::Cluster,
        OURS,
        "onepasswordintegrations/status",
        &["patch"],
    ),
    right(Where::Cluster, OURS, "accessflows/status", &["patch"]),
    right(Where::Cluster, OURS, "accessgrants/status", &["patch"]),
    right(Where::Cluster, OURS, "accessnotifiers/status", &["patch"]),
    right(Where::Cluster, "", "namespaces", SEE),
    right(Where::Cluster, ADMISSION, "mutatingadmissionpolicies", READ),
    right(
        Where::Cluster,
        ADMISSION,
        "mutatingadmissionpolicybindings",
        READ,
    ),
    right(
        Where::Cluster,
        ADMISSION,
        "validatingadmissionpolicies",
        READ,
    ),
    right(
        Where::Cluster,
        ADMISSION,
        "validatingadmissionpolicybindings",
        READ,
    ),
    right(
        Where::Cluster,
        "events.k8s.io",
        "events",
        &["create", "patch"],
    ),
    right(Where::Own, OURS, "accessgrants", &["create"]),
    Right {
        name: Some("keyloan-boundary"),
        ..right(Where::Own, "", "configmaps", &["get", "create", "patch"])
    },
    Right {
        name: Some("keyloan-usage"),
        ..right(Where::Own, "", "configmaps", &["get", "create", "patch"])
    },
    right(Where::Own, LEASES, "leases", &["get", "create", "update"]),
    right(Where::Links, "", "secrets", KEEP),
    right(Where::Links, RBAC, "roles", GRANT),
    right(Where::Links, RBAC, "rolebindings", GRANT),
    right(Where::Links, LEASES, "leases", &["get", "create"]),
    right(Where::Integrations, "", "secrets", READ),
];

/// The rights that the operator lacks: each a verb, a resource and a place.
pub fn rights(account: &str, missing: Read<&[String]>) -> Finding {
    let check = "rights";
    match missing {
        Err(why) => Finding::unknown(check, why),
        Ok([]) => Finding::ok(check, format!("{account} has all that the chart gives")),
        Ok(missing) => Finding::problem(
            check,
            format!(
                "{account} may not {}: restore the chart's Roles and bindings (helm upgrade keyloan)",
                missing.join("; ")
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    type Held = (Where, String, String, Option<String>, String);

    fn texts(value: &Value) -> Vec<String> {
        let texts = value.as_array().into_iter().flatten();
        texts
            .filter_map(|text| Some(text.as_str()?.to_owned()))
            .collect()
    }

    /// The rights that the chart gives, as it is rendered for the tests' clusters.
    fn given() -> BTreeSet<Held> {
        let rendered = include_str!("../../../dev/cluster/operator-rbac.yaml");
        let documents = rendered.split("\n---\n");
        let objects: Vec<Value> = documents
            .map(|document| serde_saphyr::from_str(document).unwrap())
            .collect();
        let bindings = objects
            .iter()
            .filter(|object| object["kind"] == "ClusterRoleBinding");
        let bound: Vec<_> = bindings
            .map(|binding| &binding["roleRef"]["name"])
            .collect();
        let mut given = BTreeSet::new();
        for object in &objects {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            let place = match (object["kind"].as_str().unwrap_or_default(), namespace) {
                // The others are for people.
                ("ClusterRole", _) if bound.contains(&&object["metadata"]["name"]) => {
                    Where::Cluster
                }
                ("Role", "keyloan-system") => Where::Own,
                ("Role", "keyloan-system-links") => Where::Links,
                ("Role", "keyloan") => Where::Integrations,
                _ => continue,
            };
            for rule in object["rules"].as_array().into_iter().flatten() {
                let names: Vec<_> = match texts(&rule["resourceNames"]) {
                    names if names.is_empty() => vec![None],
                    names => names.into_iter().map(Some).collect(),
                };
                for group in texts(&rule["apiGroups"]) {
                    for resource in texts(&rule["resources"]) {
                        for name in &names {
                            for verb in texts(&rule["verbs"]) {
                                let held = (group.clone(), resource.clone(), name.clone(), verb);
                                given.insert((place, held.0, held.1, held.2, held.3));
                            }
                        }
                    }
                }
            }
        }
        given
    }

    #[test]
    fn they_are_those_that_the_chart_gives() {
        let checked = RIGHTS.iter().flat_map(|right| {
            right.verbs.iter().map(|verb| {
                (
                    right.place,
                    right.group.to_owned(),
                    right.resource.to_owned(),
                    right.name.map(str::to_owned),
                    (*verb).to_owned(),
                )
            })
        });
        assert_eq!(BTreeSet::from_iter(checked), given());
    }
}
