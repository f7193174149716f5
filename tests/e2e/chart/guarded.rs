//! The chart where a platform guards the operator's namespace as OpenShift and careful teams do: users of a range only, restricted pods,
//! a quota and limits.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use keyloan_cluster::{Chart, OPERATOR_NAMESPACE, wait_until};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::chart::installed::Site;
use crate::chart::lifecycle::{end, lend};
use crate::chart::rendering::{IMAGE, find, render};

/// The policy stands for OpenShift's security context constraints `restricted-v2`: it refuses what they refuse. They give a user of the
/// range to pods that name none: <https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/authentication_and_authorization/managing-pod-security-policies>.
const GUARDS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: keyloan}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
---
apiVersion: v1
kind: Namespace
metadata:
  name: keyloan-system
  labels: {pod-security.kubernetes.io/enforce: restricted}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: keyloan-system}
spec: {hard: {pods: "6", requests.cpu: "1", requests.memory: 1Gi, limits.cpu: "2", limits.memory: 2Gi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small, namespace: keyloan-system}
spec: {limits: [{type: Container, default: {cpu: 200m}, max: {cpu: 500m, memory: 512Mi}, min: {memory: 16Mi}}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: restricted-v2}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: keyloan-system}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  variables:
  - name: containers
    expression: object.spec.containers + object.spec.?initContainers.orValue([])
  - name: users
    expression: >-
      variables.containers.map(c, c.?securityContext.?runAsUser).filter(u, u.hasValue()).map(u, u.value())
      + [object.spec.?securityContext.?runAsUser].filter(u, u.hasValue()).map(u, u.value())
  - name: groups
    expression: >-
      [object.spec.?securityContext.?fsGroup].filter(g, g.hasValue()).map(g, g.value())
      + object.spec.?securityContext.?supplementalGroups.orValue([])
  validations:
  - expression: variables.users.all(u, u >= 1000650000 && u <= 1000659999)
    message: runAsUser must be in the range 1000650000 to 1000659999
  - expression: variables.groups.all(g, g >= 1000650000 && g <= 1000659999)
    message: fsGroup must be in the range 1000650000 to 1000659999
  - expression: "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)"
    message: host namespaces are not allowed
  - expression: "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))"
    message: hostPath volumes are not allowed
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: restricted-v2}
spec: {policyName: restricted-v2, validationActions: [Deny]}
"#;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_runs_where_users_are_of_a_range_and_resources_are_bounded_and_lends_under_a_name_of_ones_own()
 {
    let site = Site::with(GUARDS).await;
    site.cluster.until_in_force().await.unwrap();
    count(&site.admin).await;
    site.try_to_install(&json!({})).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(site.admin.clone(), OPERATOR_NAMESPACE);
    let deployment = deployments.get("keyloan").await.unwrap();
    let operator = json!(deployment.spec.unwrap().template);
    let rendered = render(&site.helm, Chart::Operator, &[IMAGE]).await.unwrap();
    let test = find(&rendered, "Pod").unwrap();
    for pod in [&operator, &test] {
        admit(&site.admin, pod)
            .await
            .unwrap_or_else(|said| panic!("{said}"));
    }

    // Each guard would refuse a pod that is less careful.
    for (member, value, says) in [
        (
            "/spec/securityContext/runAsUser",
            json!(65532),
            "runAsUser must be in the range",
        ),
        (
            "/spec/securityContext/fsGroup",
            json!(65532),
            "fsGroup must be in the range",
        ),
        (
            "/spec/securityContext/runAsNonRoot",
            json!(false),
            "violates PodSecurity",
        ),
        (
            "/spec/containers/0/resources/limits/memory",
            json!("1Gi"),
            "maximum memory usage per Container is 512Mi",
        ),
        (
            "/spec/containers/0/resources/requests/cpu",
            json!("2"),
            "must be less than or equal to cpu limit",
        ),
    ] {
        let mut twin = operator.clone();
        let (parent, name) = member.rsplit_once('/').unwrap();
        twin.pointer_mut(parent).unwrap()[name] = value;
        let refused = async || {
            admit(&site.admin, &twin)
                .await
                .err()
                .filter(|said| said.contains(says))
        };
        wait_until(says, MINUTE, refused).await.unwrap();
    }
    says_whether_the_policies_list_it(&site).await;
    lends_under_its_own_name_alone(site).await;
}

/// In the notes that helm prints, by a look at the cluster.
async fn says_whether_the_policies_list_it(site: &Site) {
    // The usual one stays, because an API server follows another list a moment later.
    let operators = ["keyloan", "lender"].map(|name| {
        let username = format!("system:serviceaccount:keyloan-system:{name}");
        json!({ "username": username, "linksNamespace": "keyloan-system-links" })
    });
    let (crds, listed) = (Chart::Crds, json!({ "operators": operators }));
    let folder = crds.folder();
    let installed = site
        .cluster
        .install_chart(&site.helm, crds, &folder, &listed);
    installed.await.unwrap();
    let chart = Chart::Operator.folder().display().to_string();
    let kubeconfig = site.cluster.kubeconfig("admin").display().to_string();
    for (account, is_listed) in [("lender", true), ("another", false)] {
        let line = [
            "upgrade",
            "keyloan",
            &chart,
            "--dry-run=server",
            "--namespace=keyloan-system",
            IMAGE,
            "--kubeconfig",
            &kubeconfig,
            &format!("--set=serviceAccount.name={account}"),
        ];
        let said = site.helm.run(&line).await.unwrap();
        assert!(
            said.contains(&format!(
                "* It runs as system:serviceaccount:keyloan-system:{account}."
            )),
            "{said}"
        );
        let is_told = said.contains("The policies refuse this operator, and it lends nothing, unless the chart keyloan-crds lists it.");
        assert_eq!(is_told, !is_listed, "{account}: {said}");
    }
}

/// The ServiceAccount has the usual name, which the policies list.
async fn lends_under_its_own_name_alone(site: Site) {
    let account = json!({ "name": "keyloan", "labels": { "team": "platform" } });
    let named = json!({
        "fullnameOverride": "lender", "serviceAccount": account, "commonAnnotations": { "example.com/owner": "platform" },
        "replicas": 1, "podSecurityContext": { "runAsUser": 1_000_650_001 },
    });
    let installed = site.install(|chart| chart.folder(), named.clone()).await;
    let grant = lend(&installed.world).await;

    let refused = installed
        .try_to_upgrade(&json!({}))
        .await
        .unwrap_err()
        .to_string();
    let says = "the namespace keyloan-system-links holds the links of the install keyloan-system.lender, and this release would be the install \
                keyloan-system.keyloan: keep the former names";
    assert!(refused.contains(says), "{refused}");
    let mut renamed = named;
    renamed["nameOverride"] = json!("other");
    let refused = installed
        .try_to_upgrade(&renamed)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("keyloan-system/lender selects its pods by other labels"),
        "{refused}"
    );
    end(&installed.world, &grant).await;
}

/// No controller counts for the quota here: the test does, and waits until the API server has seen that.
async fn count(admin: &Client) {
    let quotas: Api<ResourceQuota> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
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
    let counted = quotas
        .patch_status("small", &PatchParams::default(), &Patch::Merge(status))
        .await;
    counted.unwrap();
    let security = json!({
        "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let container = |name: u32| {
        let limits = json!({ "cpu": "500m", "memory": "512Mi" });
        json!({ "name": format!("c{name}"), "image": "example.com/c", "securityContext": security, "resources": { "limits": limits } })
    };
    let too_large = json!({ "spec": { "containers": (0..5).map(container).collect::<Vec<_>>() } });
    let refused = async || {
        admit(admin, &too_large)
            .await
            .err()
            .filter(|said| said.contains("exceeded quota: small"))
    };
    wait_until("the quota counts", MINUTE, refused)
        .await
        .unwrap();
}

/// Whether the API server would take such a pod; else what it says.
async fn admit(admin: &Client, pod: &Value) -> Result<(), String> {
    let pod = json!({ "metadata": { "name": "p", "labels": pod["metadata"]["labels"] }, "spec": pod["spec"] });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let admitted = pods.create(&dry_run, &pod).await;
    admitted.map(drop).map_err(|error| error.to_string())
}
