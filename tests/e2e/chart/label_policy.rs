//! A cluster whose policy asks for a label, in force before anything of Keyloan's is there.

use keyloan::api::{ACTIVE, AccessGrant};
use keyloan_cluster::{Chart, Helm};
use serde_json::json;

use crate::chart::installed::Site;
use crate::chart::lifecycle::{end, lend, lend_once_more};
use crate::chart::rendering::{IMAGE, objects, render};
use crate::world::{Ask, LINKS, condition};

/// The namespaces that are there before, and the Secret for a token, as people label them; then the policy. Helm labels its own Secrets
/// only by arguments (`--labels`): they are left out.
const SITE: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: keyloan-system, labels: {example.com/cost-center: "4711"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: keyloan, labels: {example.com/cost-center: "4711"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: team-a, labels: {example.com/cost-center: "4711"}}
---
apiVersion: v1
kind: Namespace
metadata: {name: team-b, labels: {example.com/cost-center: "4711"}}
---
apiVersion: v1
kind: Secret
metadata: {name: prod-token, namespace: keyloan, labels: {example.com/cost-center: "4711"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: cost-center}
spec:
  matchConstraints:
    resourceRules:
    - apiGroups: [""]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [namespaces, secrets]
    - apiGroups: [rbac.authorization.k8s.io]
      apiVersions: [v1]
      operations: [CREATE]
      resources: [roles, rolebindings]
  matchConditions:
  - name: not-helms-own
    expression: "request.resource.resource != 'secrets' || object.type != 'helm.sh/release.v1'"
  validations:
  - expression: "'example.com/cost-center' in object.metadata.?labels.orValue({})"
    message: everything needs the label example.com/cost-center
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: cost-center}
spec: {policyName: cost-center, validationActions: [Deny]}
"#;

const REFUSED: &str = "everything needs the label example.com/cost-center";

#[tokio::test(flavor = "multi_thread")]
async fn where_a_policy_wants_a_label_before_keyloan_is_there_it_installs_and_lends_with_it_and_not_without()
 {
    let site = Site::with(SITE).await;
    site.cluster.until_in_force().await.unwrap();
    let label = json!({ "example.com/cost-center": "4711" });
    let of_links = json!({ "links": { "labels": label, "objectLabels": label } });
    // Its own Roles lie in other namespaces, too.
    for too_few in [&json!({}), &of_links] {
        let refused = site.try_to_install(too_few).await.unwrap_err();
        assert!(refused.to_string().contains(REFUSED), "{refused}");
    }
    let of_all = json!({ "commonLabels": label });
    let mut installed = site.install(|chart| chart.folder(), of_all).await;
    let world = &installed.world;
    let grant = lend(world).await;
    end(world, &grant).await;

    // What the chart has made before is there: the policy is asked about loans alone.
    installed.upgrade_operator(&of_links).await;
    let world = &installed.world;
    lend_once_more(world).await;
    let shares = world.control.shares().await.unwrap().len();
    assert_eq!(shares, 2);

    installed.upgrade_operator(&json!({})).await;
    let world = &installed.world;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let refused = |g: &AccessGrant| {
        let active = condition(g, ACTIVE);
        active.is_some_and(|c| c.reason == "NoPlaceForLink" && c.message.contains(REFUSED))
    };
    world.until(&grant, refused).await;
    assert_eq!(world.control.shares().await.unwrap().len(), shares);
}

#[tokio::test]
async fn each_object_of_the_chart_has_the_labels_of_all_and_those_of_its_own_count_more() {
    let helm = Helm::find().await.unwrap();
    let own = ["podLabels", "links.labels", "links.objectLabels"];
    let own = own.map(|value| format!("--set={value}.cost={value}"));
    let mut arguments = vec![IMAGE, "--set=serviceMonitor.enabled=true"];
    arguments.extend(["--set=commonLabels.cost=all", "--set=commonLabels.team=all"]);
    arguments.extend(own.iter().map(String::as_str));
    let rendered = render(&helm, Chart::Operator, &arguments).await.unwrap();
    let objects = objects(&rendered);
    assert!(objects.len() > 20, "{rendered}");
    for object in &objects {
        let labels = &object["metadata"]["labels"];
        let in_links = object["metadata"]["namespace"] == LINKS;
        let cost = match object["kind"].as_str() {
            Some("Namespace") => "links.labels",
            _ if in_links => "links.objectLabels",
            _ => "all",
        };
        assert_eq!([&labels["cost"], &labels["team"]], [cost, "all"]);
        let pod = &object["spec"]["template"]["metadata"]["labels"];
        if !pod.is_null() {
            assert_eq!([&pod["cost"], &pod["team"]], ["podLabels", "all"]);
        }
    }
    for of_links in ["cost=links.objectLabels", "team=all"] {
        let argument = format!("--link-label={of_links}\"");
        assert!(rendered.contains(&argument), "{rendered}");
    }
}
