//! The chart gives the operator what it uses, where it uses it, and nothing else: what it did in a whole run, by the API
//! server's own log, compared with what its roles list and their bindings.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use keyloan_cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::chart::installed::Installed;
use crate::chart::whole_run;
use crate::world::{PLATFORM, World};

/// The one right that a run uses only by chance: a record is read again when another write to it
/// came first.
const BY_CHANCE: &str = "accessrecords get, everywhere";

/// What everybody who has signed in may do, by Kubernetes' own roles.
const EVERYBODYS: [&str; 2] = [
    "selfsubjectreviews.authentication.k8s.io create",
    "selfsubjectaccessreviews.authorization.k8s.io create",
];

/// A dry run for which it has to have the right, so that it is a policy that refuses it.
const A_POLICYS_TO_REFUSE: &str = "accessgrants create";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_has_the_rights_that_a_loan_takes_and_no_others() {
    let values = json!({ "integrationNamespaces": [PLATFORM] });
    let mut installed = Installed::from(|chart| chart.folder(), values).await;
    whole_run::play(&mut installed).await;
    let world = &installed.world;

    let granted = granted(world).await;
    let mut used = BTreeSet::new();
    for action in actions(world) {
        let Action {
            what,
            name,
            namespace,
            uri,
            reason,
            code,
        } = &action;
        // By this, docs/security.md tells auditors a thief of the operator's token from the operator.
        if ["secrets list", "secrets watch"].contains(&what.as_str()) {
            assert!(uri.contains("labelSelector="), "{uri}");
        }
        if what == "secrets get" && namespace.as_deref() == Some(PLATFORM) {
            assert_eq!(name, "prod-token", "it reads no Secret without a token");
        }
        let may_be_refused =
            what == A_POLICYS_TO_REFUSE && namespace.as_deref() == Some(OPERATOR_NAMESPACE);
        assert!(
            *code != 403 || may_be_refused,
            "it was refused {what} in {namespace:?}"
        );
        if EVERYBODYS.contains(&what.as_str()) {
            assert!(
                reason.contains(r#""system:basic-user""#),
                "{what}: {reason}"
            );
            continue;
        }
        let places = [None, namespace.as_deref()];
        let named = format!("{what} {name}");
        let whats = [what.as_str(), named.as_str()];
        let rights = whats.map(|what| places.map(|place| right(what, place)));
        let mut rights = rights.as_flattened().iter();
        let right = rights.find(|right| granted.contains_key(*right));
        let right = right.unwrap_or_else(|| panic!("no rule lists {named}, allowed by {reason}"));
        let role = &granted[right];
        assert!(
            reason.contains(&format!("{role:?}")),
            "{right} is listed by the role {role}, but was allowed by {reason}"
        );
        used.insert(right.clone());
        // An apply that makes an object needs both rights, and the log names one.
        if what.ends_with(" patch") && *code == 201 {
            used.insert(right.replace(" patch", " create"));
        }
    }
    assert!(granted.contains_key(BY_CHANCE), "it needs no excuse");
    // An API server that has no such policies has nothing to watch.
    let has_mutating = world.cluster.has_mutating_policies();
    let of_no_use = |right: &str| !has_mutating && right.starts_with("mutatingadmissionpolic");
    let unused: Vec<_> = granted
        .keys()
        .filter(|right| !used.contains(*right) && *right != BY_CHANCE && !of_no_use(right))
        .collect();
    assert!(unused.is_empty(), "granted and never used: {unused:#?}");
}

/// The roles by what the bindings of the operator's ServiceAccount give it and where, such as `secrets get, in keyloan`.
async fn granted(world: &World) -> BTreeMap<String, String> {
    let mut granted = BTreeMap::new();
    let all = ListParams::default();
    let is_operator = |subjects: &Value| {
        subjects.as_array().into_iter().flatten().any(|subject| {
            subject["name"] == OPERATOR_SERVICE_ACCOUNT
                && subject["namespace"] == OPERATOR_NAMESPACE
        })
    };
    let everywhere = Api::<ClusterRoleBinding>::all(world.admin.clone());
    for binding in everywhere.list(&all).await.unwrap() {
        if is_operator(&json!(binding.subjects)) {
            let rules = cluster_rules(world, &binding.role_ref.name).await;
            add(&mut granted, &binding.role_ref.name, None, rules);
        }
    }
    let scoped = Api::<RoleBinding>::all(world.admin.clone());
    for binding in scoped.list(&all).await.unwrap() {
        if is_operator(&json!(binding.subjects)) {
            let (namespace, role) = (binding.namespace().unwrap(), &binding.role_ref.name);
            let rules = match binding.role_ref.kind.as_str() {
                "ClusterRole" => cluster_rules(world, role).await,
                _ => {
                    let roles: Api<Role> = Api::namespaced(world.admin.clone(), &namespace);
                    roles.get(role).await.unwrap().rules.unwrap()
                }
            };
            add(&mut granted, role, Some(&namespace), rules);
        }
    }
    assert!(granted.len() > 30, "{granted:#?}");
    granted
}

async fn cluster_rules(world: &World, role: &str) -> Vec<PolicyRule> {
    let roles: Api<ClusterRole> = Api::all(world.admin.clone());
    roles.get(role).await.unwrap().rules.unwrap()
}

fn add(
    granted: &mut BTreeMap<String, String>,
    role: &str,
    namespace: Option<&str>,
    rules: Vec<PolicyRule>,
) {
    for rule in rules {
        assert!(rule.non_resource_urls.is_none());
        let names = rule.resource_names.unwrap_or_default();
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    let what = name(group, resource, verb);
                    let named = names.iter().map(|name| format!("{what} {name}"));
                    let all = names.is_empty().then(|| what.clone());
                    for what in named.chain(all) {
                        let right = right(&what, namespace);
                        let before = granted.insert(right.clone(), role.into());
                        assert_eq!(before, None, "{right} is given twice");
                    }
                }
            }
        }
    }
}

/// What may be done, and where.
fn right(what: &str, namespace: Option<&str>) -> String {
    match namespace {
        None => format!("{what}, everywhere"),
        Some(namespace) => format!("{what}, in {namespace}"),
    }
}

/// Something that the operator asked the API server for.
struct Action {
    what: String,
    name: String,
    namespace: Option<String>,
    uri: String,
    reason: String,
    code: i64,
}

fn actions(world: &World) -> Vec<Action> {
    let log = std::fs::read_to_string(world.cluster.audit_log()).unwrap();
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
    let mut actions = Vec::new();
    for line in log.lines() {
        // The last line may be written at this moment.
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if event["user"]["username"] != operator.as_str() || event["stage"] == "RequestReceived" {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = &event["objectRef"];
        let mut resource = text(&about["resource"]);
        if let Some(part) = about["subresource"].as_str() {
            resource = format!("{resource}/{part}");
        }
        let reason = text(&event["annotations"]["authorization.k8s.io/reason"]);
        if about.is_null() {
            let path = text(&event["requestURI"]);
            assert!(reason.contains(r#""system:"#), "{path}: {reason}");
            continue;
        }
        actions.push(Action {
            what: name(&text(&about["apiGroup"]), &resource, &text(&event["verb"])),
            name: text(&about["name"]),
            namespace: about["namespace"].as_str().map(str::to_owned),
            uri: text(&event["requestURI"]),
            reason,
            code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
        });
    }
    assert!(actions.len() > 30, "the log tells what it did");
    actions
}

/// As kubectl names resources; our own without their group.
fn name(group: &str, resource: &str, verb: &str) -> String {
    match group {
        "" | "keyloan.dev" => format!("{resource} {verb}"),
        _ => format!("{resource}.{group} {verb}"),
    }
}
