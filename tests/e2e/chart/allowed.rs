//! Everything that the operator's token allows, according to the API server itself. Rights that
//! everyone has count, too, unless Kubernetes itself gives them to everyone.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    NonResourceRule, ResourceRule, SelfSubjectRulesReview, SelfSubjectRulesReviewSpec,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRole;
use keyloan::cluster::KubeAccess;
use keyloan_cluster::OPERATOR_NAMESPACE;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::chart::stolen::{RBAC, binding, create, named};
use crate::world::{LINKS, PLATFORM, TEAM, World};

/// What Kubernetes itself gives to every ServiceAccount, by its roles system:basic-user, system:cluster-trust-bundle-discovery,
/// system:discovery, system:public-info-viewer and system:service-account-issuer-discovery. The version that is pinned has these.
const EVERYBODYS: &str = "
/.well-known/openid-configuration/: get
/.well-known/openid-configuration: get
/api/*: get
/api: get
/apis/*: get
/apis: get
/healthz: get
/livez: get
/openapi/*: get
/openapi: get
/openid/v1/jwks/: get
/openid/v1/jwks: get
/readyz: get
/version/: get
/version: get
clustertrustbundles.certificates.k8s.io: get list watch
selfsubjectaccessreviews.authorization.k8s.io: create
selfsubjectreviews.authentication.k8s.io: create
selfsubjectrulesreviews.authorization.k8s.io: create
";

/// A role that older versions do not have, and what it gives.
const OF_BUNDLES: &str = "system:cluster-trust-bundle-discovery";
const BUNDLES: &str = "clustertrustbundles.certificates.k8s.io: get list watch";

/// Everything it may do in the whole cluster, besides what every ServiceAccount may.
const EVERYWHERE: &str = "
accessdecisions.keyloan.dev: delete get list watch
accessflows.keyloan.dev: list watch
accessflows/status.keyloan.dev: patch
accessgrants.keyloan.dev: delete get list watch
accessgrants/status.keyloan.dev: patch
accessnotifiers.keyloan.dev: list watch
accessnotifiers/status.keyloan.dev: patch
accessrecords.keyloan.dev: create delete get list patch watch
events.events.k8s.io: create patch
mutatingadmissionpolicies.admissionregistration.k8s.io: get list watch
mutatingadmissionpolicybindings.admissionregistration.k8s.io: get list watch
namespaces: list watch
onepasswordintegrations.keyloan.dev: list watch
onepasswordintegrations/status.keyloan.dev: patch
validatingadmissionpolicies.admissionregistration.k8s.io: get list watch
validatingadmissionpolicybindings.admissionregistration.k8s.io: get list watch
";

/// What it may do in one namespace only.
const SOMEWHERE: [(&str, &str); 3] = [
    (
        OPERATOR_NAMESPACE,
        "
accessgrants.keyloan.dev: create
configmaps \"keyloan-boundary\" \"keyloan-usage\": create get patch
leases.coordination.k8s.io: create get update
",
    ),
    (PLATFORM, "\nsecrets: get list watch\n"),
    (
        LINKS,
        "
leases.coordination.k8s.io: create get
rolebindings.rbac.authorization.k8s.io: create delete get list
roles.rbac.authorization.k8s.io: create delete get list
secrets: create delete get list patch watch
",
    ),
];

/// What the chart gives to everybody who has signed in, and where: the plugin reads there in which namespace links are.
const EVERYBODYS_BY_US: (&str, &str) =
    ("kube-public", "configmaps \"keyloan-system.keyloan\": get");

/// In each namespace, of the operator and of a ServiceAccount to which nobody has given anything.
pub async fn this_and_nothing_else(world: &World, thief: &Client) {
    let plain = plain_account(world).await;
    for namespace in namespaces(world).await {
        let rules = rules(thief, &namespace).await;
        assert_eq!(rules, wanted(world, &namespace).await, "in {namespace}");
        let rules = self::rules(&plain, &namespace).await;
        let everybodys = everybodys(world, &namespace).await;
        assert_eq!(rules, everybodys, "everybody's in {namespace}");
    }
}

/// As a chart could, by mistake: all ServiceAccounts get a right, and so the operator does.
pub async fn a_right_of_everybody_would_show(world: &World, thief: &Client) {
    let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] });
    let everybody = json!({ "kind": "Group", "name": "system:serviceaccounts", "apiGroup": "rbac.authorization.k8s.io" });
    let bound = binding("ClusterRole", "stolen", &everybody);
    for (kind, more) in [
        ("ClusterRole", json!({ "rules": [rule] })),
        ("ClusterRoleBinding", bound),
    ] {
        let object = named(RBAC, kind, None, more);
        create(&world.admin, &object, false).await.unwrap();
    }
    let mut with_it = wanted(world, TEAM).await;
    with_it.insert("configmaps: get".into());
    // The API server learns of a right a moment after it was given.
    let shown = async {
        while rules(thief, TEAM).await != with_it {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), shown).await;
    assert!(in_time.is_ok(), "{:?}", rules(thief, TEAM).await);
}

async fn namespaces(world: &World) -> Vec<String> {
    let namespaces: Api<Namespace> = Api::all(world.admin.clone());
    let namespaces = namespaces.list(&ListParams::default()).await.unwrap();
    namespaces.iter().map(ResourceExt::name_any).collect()
}

/// What the operator may do in a namespace.
async fn wanted(world: &World, namespace: &str) -> BTreeSet<String> {
    let here = SOMEWHERE.iter().find(|(of, _)| *of == namespace);
    let here = here.map_or("", |(_, rules)| rules);
    let mut wanted = everybodys(world, namespace).await;
    wanted.extend(lines(EVERYWHERE));
    wanted.extend(lines(here));
    wanted
}

/// What every ServiceAccount may do in a namespace.
async fn everybodys(world: &World, namespace: &str) -> BTreeSet<String> {
    let (place, by_us) = EVERYBODYS_BY_US;
    let by_us = if namespace == place { by_us } else { "" };
    let mut rules = lines(EVERYBODYS);
    let roles: Api<ClusterRole> = Api::all(world.admin.clone());
    if roles.get_opt(OF_BUNDLES).await.unwrap().is_none() {
        rules.remove(BUNDLES);
    }
    rules.extend(lines(by_us));
    rules
}

/// The rules that the API server names for this caller in a namespace.
async fn rules(client: &Client, namespace: &str) -> BTreeSet<String> {
    let reviews: Api<SelfSubjectRulesReview> = Api::all(client.clone());
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let answer = reviews.create(&PostParams::default(), &review).await;
    let status = answer.unwrap().status.unwrap();
    assert!(!status.incomplete, "{:?}", status.evaluation_error);
    let paths = status.non_resource_rules.iter().flat_map(paths);
    let resources = status.resource_rules.iter().flat_map(resources);
    resources.chain(paths).collect()
}

/// A ServiceAccount to which nobody has given anything.
async fn plain_account(world: &World) -> Client {
    let account = named("v1", "ServiceAccount", Some(TEAM), json!({}));
    create(&world.admin, &account, false).await.unwrap();
    let cluster = &world.cluster;
    let kubeconfig = cluster.service_account_kubeconfig(TEAM, "stolen").await;
    let access = KubeAccess::Kubeconfig(kubeconfig.unwrap());
    keyloan::cluster::connect(&access).await.unwrap()
}

/// A rule as lines such as `leases.coordination.k8s.io: create get`.
fn resources(rule: &ResourceRule) -> Vec<String> {
    let names = rule.resource_names.iter().flatten();
    let names: String = names.map(|name| format!(" {name:?}")).collect();
    let groups = rule.api_groups.iter().flatten();
    let resources = |group: &str| {
        let dot = if group.is_empty() { "" } else { "." };
        let line = |resource| format!("{resource}{dot}{group}{names}: {}", sorted(&rule.verbs));
        let resources = rule.resources.iter().flatten();
        resources.map(line).collect::<Vec<_>>()
    };
    groups.flat_map(|group| resources(group)).collect()
}

/// A rule as lines such as `/healthz: get`.
fn paths(rule: &NonResourceRule) -> Vec<String> {
    let paths = rule.non_resource_urls.iter().flatten();
    let line = |path| format!("{path}: {}", sorted(&rule.verbs));
    paths.map(line).collect()
}

fn sorted(verbs: &[String]) -> String {
    let mut verbs = verbs.to_vec();
    verbs.sort();
    verbs.join(" ")
}

fn lines(text: &str) -> BTreeSet<String> {
    text.trim().lines().map(str::to_owned).collect()
}
