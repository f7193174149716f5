//! A links namespace that the chart does not make: the platform's own, guarded by what the platform guards its namespaces with.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ResourceQuota, Service};
use k8s_openapi::api::rbac::v1::Role;
use keyloan::api::{ACTIVE, AccessGrant};
use keyloan_cluster::{Chart, OPERATOR_NAMESPACE, apply_yaml, wait_until};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chart::installed::{Installed, Site};
use crate::chart::lifecycle::{end, lend};
use crate::world::{Ask, LINKS, World, condition};

/// The objects that a tool puts into each namespace that it creates: they leave room for the Secret
/// of one link only.
const BY_A_TOOL: &str = r#"
apiVersion: v1
kind: Namespace
metadata:
  name: keyloan-system-links
  labels:
    app.kubernetes.io/managed-by: namespaces-tool
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: keyloan-system-links}
spec: {hard: {count/secrets: "1", services: "0", pods: "1", requests.cpu: 100m}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: keyloan-system-links}
spec: {limits: [{type: Container, default: {cpu: 50m}, max: {cpu: 100m}}]}
"#;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_links_namespace_that_a_tool_has_made_serves_loans_and_is_left_as_it_was() {
    let values = json!({ "links": { "create": false } });
    let site = Site::usual().await;
    says_what_is_missing(&site, &values).await;

    apply_yaml(&site.admin, BY_A_TOOL).await.unwrap();
    until_counted(&site.admin).await;
    let before = guards(&site.admin).await;
    let mut installed = site.install(|chart| chart.folder(), values).await;
    let world = &installed.world;
    let grant = lend(world).await;
    let link = world.read_link("alice", &grant).await.unwrap();
    let opened = world.control.open(&link["url"], "alice@example.com").await;
    assert!(opened.is_ok());
    has_room_for_one_link_alone(world).await;
    admits_no_careless_pod(&world.admin).await;
    end(world, &grant).await;

    installed.uninstall().await;
    let world = &installed.world;
    assert_eq!(guards(&world.admin).await, before);
    let roles: Api<Role> = Api::namespaced(world.admin.clone(), LINKS);
    let role = roles.get_opt("keyloan-links").await.unwrap();
    assert!(role.is_none(), "helm has been there");

    installed.install_charts().await;
    without_the_namespace_no_operator_runs(&mut installed).await;
}

/// Each value by which a namespace is missing; but not where the chart is a part of one that brings the namespace.
async fn says_what_is_missing(site: &Site, values: &Value) {
    let elsewhere = json!({ "integrationNamespaces": ["elsewhere"] });
    for (values, says) in [
        (
            values,
            "the links namespace keyloan-system-links does not exist, and links.create is false: ",
        ),
        (
            &elsewhere,
            "the namespace elsewhere, which integrationNamespaces names, does not exist: ",
        ),
    ] {
        let refused = site.try_to_install(values).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    render_as_a_part(site, values).await;
}

/// Has helm render a chart of somebody's that has the operator's as a part: with the cluster before it, and without installing it.
async fn render_as_a_part(site: &Site, values: &Value) {
    let whole = tempfile::tempdir().unwrap();
    let file = |name: &str| whole.path().join(name);
    for folder in ["templates", "charts"] {
        fs::create_dir(file(folder)).unwrap();
    }
    let about = "{apiVersion: v2, name: platform, version: 0.1.0}";
    let values = json!({ "keyloan": site.all(values) }).to_string();
    for (name, text) in [
        ("Chart.yaml", about),
        ("values.yaml", &values),
        ("templates/links.yaml", BY_A_TOOL),
    ] {
        fs::write(file(name), text).unwrap();
    }
    let mut copy = Command::new("cp");
    copy.arg("-R").arg(Chart::Operator.folder());
    assert!(copy.arg(file("charts")).status().unwrap().success());
    let (folder, kubeconfig) = (whole.path(), site.cluster.kubeconfig("admin"));
    let install = [
        "install",
        "platform",
        &folder.display().to_string(),
        "--dry-run=server",
        &format!("--kubeconfig={}", kubeconfig.display()),
        &format!("--namespace={OPERATOR_NAMESPACE}"),
    ];
    let rendered = site.helm.run(&install).await;
    let rendered = rendered.unwrap_or_else(|error| panic!("{error}"));
    assert!(rendered.contains("--links-namespace="), "{rendered}");
}

/// The quota lets nobody make a second Secret: no share is made for the second loan, either.
async fn has_room_for_one_link_alone(world: &World) {
    let shares = world.control.shares().await.unwrap().len();
    let second = world.ask("alice", Ask::item("db password")).await;
    let hindered = |g: &AccessGrant| {
        let active = condition(g, ACTIVE);
        active.is_some_and(|c| c.message.contains("exceeded quota: small"))
    };
    world.until(&second, hindered).await;
    assert_eq!(world.control.shares().await.unwrap().len(), shares);
    world.delete("alice", &second).await;
}

/// Neither what Pod Security nor what the LimitRange forbids.
async fn admits_no_careless_pod(admin: &Client) {
    let security = json!({
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let pod = |container: Value| {
        let mut all = json!({ "name": "c", "image": "example.com/c" });
        let more = container.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(more);
        let pod = json!({ "metadata": { "name": "p" }, "spec": { "containers": [all] } });
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    let large = json!({ "securityContext": security, "resources": { "limits": { "cpu": "1" } } });
    until_refused(admin, &pod(json!({})), "violates PodSecurity").await;
    until_refused(
        admin,
        &pod(large),
        "maximum cpu usage per Container is 100m",
    )
    .await;
}

/// Waits until the API server would refuse to create an object in the links namespace, in these words.
async fn until_refused<K>(admin: &Client, object: &K, words: &str)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + Serialize + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(admin.clone(), LINKS);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let refused = async || {
        let made = api.create(&dry_run, object).await;
        made.err().filter(|e| e.to_string().contains(words))
    };
    wait_until(words, MINUTE, refused).await.unwrap();
}

/// No controller counts for the quota here: the test does, and waits until the API server has seen that.
async fn until_counted(admin: &Client) {
    let quotas: Api<ResourceQuota> = Api::namespaced(admin.clone(), LINKS);
    let hard = quotas
        .get("small")
        .await
        .unwrap()
        .spec
        .unwrap()
        .hard
        .unwrap();
    let used: BTreeMap<_, _> = hard.keys().map(|of| (of, "0")).collect();
    let status = json!({ "status": { "hard": hard, "used": used } });
    let (params, counted) = (PatchParams::default(), Patch::Merge(status));
    let counted = quotas.patch_status("small", &params, &counted).await;
    counted.unwrap();
    let service = json!({ "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 80 }] } });
    let service: Service = serde_json::from_value(service).unwrap();
    until_refused(admin, &service, "exceeded quota: small").await;
}

/// What the tool has made, as it is; only what the quota counts may change.
async fn guards(admin: &Client) -> Value {
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let quotas: Api<ResourceQuota> = Api::namespaced(admin.clone(), LINKS);
    let ranges: Api<LimitRange> = Api::namespaced(admin.clone(), LINKS);
    let quota = quotas.get("small").await.unwrap();
    json!([
        namespaces.get(LINKS).await.unwrap(),
        [json!(quota.metadata.uid), json!(quota.spec)],
        ranges.get("small").await.unwrap(),
    ])
}

/// With the namespace goes the operator's Role in it, and the API server would speak of nothing but that.
async fn without_the_namespace_no_operator_runs(installed: &mut Installed) {
    let namespaces: Api<Namespace> = Api::all(installed.world.admin.clone());
    let uid = namespaces.get(LINKS).await.unwrap().uid().unwrap();
    let deleted = namespaces.delete(LINKS, &DeleteParams::default()).await;
    deleted.unwrap();
    let gone = await_condition(namespaces, LINKS, is_deleted(&uid));
    let gone = tokio::time::timeout(MINUTE, gone).await;
    gone.expect("it goes").unwrap();
    let said = installed.start_in_vain().await;
    assert!(
        said.contains("the links namespace keyloan-system-links does not exist")
            && said.contains("links.create"),
        "{said}"
    );
}
