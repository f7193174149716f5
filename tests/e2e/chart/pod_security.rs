//! Pods of the chart run where a namespace admits only restricted ones: by the API server's own PodSecurity admission.

use k8s_openapi::api::core::v1::{Namespace, Pod};
use keyloan_cluster::{Chart, ControlPlane, Helm, Options};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::chart::rendering::{IMAGE, objects, render};

const NAMESPACE: &str = "careful";

/// What a pod must not do without, or must not have, with what the API server says then.
const TWINS: [(&str, Option<bool>, &str); 5] = [
    (
        "/containers/0/securityContext/privileged",
        Some(true),
        "privileged",
    ),
    (
        "/containers/0/securityContext/allowPrivilegeEscalation",
        None,
        "allowPrivilegeEscalation != false",
    ),
    (
        "/containers/0/securityContext/capabilities",
        None,
        "unrestricted capabilities",
    ),
    (
        "/securityContext/runAsNonRoot",
        None,
        "runAsNonRoot != true",
    ),
    ("/securityContext/seccompProfile", None, "seccompProfile"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_where_only_restricted_ones_may_and_would_not_with_less_care() {
    let helm = Helm::find().await.unwrap();
    let rendered = render(&helm, Chart::Operator, &[IMAGE]).await.unwrap();
    let deployment = objects(&rendered)
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let pod = &deployment["spec"]["template"];
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    make_room(&admin).await;

    admit(&admin, pod).await.unwrap_or_else(|e| panic!("{e}"));
    for (member, value, says) in TWINS {
        let mut twin = pod.clone();
        change(&mut twin["spec"], member, value.map(Value::from));
        if value == Some(true) {
            // A privileged container may not have it forbidden, whichever policy admits it.
            let escalation = "/containers/0/securityContext/allowPrivilegeEscalation";
            change(&mut twin["spec"], escalation, None);
        }
        let refused = admit(&admin, &twin).await.expect_err(member);
        assert!(
            refused.contains("violates PodSecurity \"restricted:latest\"")
                && refused.contains(says),
            "{member}: {refused}"
        );
    }
    cluster.shutdown().await;
}

/// A namespace that admits restricted pods only.
async fn make_room(admin: &Client) {
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace = json!({ "metadata": { "name": NAMESPACE, "labels": labels } });
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let namespace = serde_json::from_value(namespace).unwrap();
    let made = namespaces.create(&PostParams::default(), &namespace).await;
    made.unwrap();
}

/// Whether the API server would take a pod of this template; else what it says.
async fn admit(admin: &Client, template: &Value) -> Result<(), String> {
    let mut pod = template.clone();
    pod["metadata"]["name"] = json!("keyloan-0");
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(admin.clone(), NAMESPACE);
    let admitted = pods.create(&dry_run, &pod).await;
    admitted.map(drop).map_err(|error| error.to_string())
}

/// Sets a member of an object, or takes it away.
fn change(object: &mut Value, member: &str, value: Option<Value>) {
    let (parent, name) = member.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(name.into(), value),
        None => Some(parent.remove(name).expect("it is there")),
    };
}
