//! What the API server's audit log shows of a stolen token of the operator, and how the token is ended, as docs/security.md says.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use keyloan::cluster::KubeAccess;
use keyloan_cluster::{
    ControlPlane, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options, wait_until,
};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::world::PLATFORM;

const SECURITY: &str = include_str!("../../../docs/security.md");

/// In the members of the caller's identity: the Pod to which a token is bound, and the token.
const POD: &str = "authentication.kubernetes.io/pod-name";
const TOKEN: &str = "authentication.kubernetes.io/credential-id";
/// In the annotations of the call that made a token.
const ISSUED: &str = "authentication.kubernetes.io/issued-credential-id";

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_tells_where_a_stolen_token_came_from_and_the_token_can_be_ended() {
    for named in [POD, TOKEN, ISSUED] {
        assert!(SECURITY.contains(&format!("`{named}`")), "{named}");
    }
    let options = Options {
        audit_log: true,
        ..Options::default()
    };
    let options = options.with_keyloan().unwrap();
    let cluster = ControlPlane::start(options).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let pods: Api<Pod> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let pod = operators_pod();
    let pod = pods.create(&PostParams::default(), &pod).await.unwrap();

    let of_pod = thief(&cluster, &token(&admin, Some(&pod)).await).await;
    steal(&of_pod).await.unwrap();
    let theft = until_logged(&cluster, 1).await;
    assert_eq!(theft["user"]["extra"][POD], json!([pod.name_any()]));
    made_by_the_administrator(&cluster, &theft);

    let of_nobody = thief(&cluster, &token(&admin, None).await).await;
    steal(&of_nobody).await.unwrap();
    let theft = until_logged(&cluster, 2).await;
    assert_eq!(theft["user"]["extra"][POD], Value::Null);
    made_by_the_administrator(&cluster, &theft);

    let at_once = DeleteParams::default().grace_period(0);
    pods.delete(&pod.name_any(), &at_once).await.unwrap();
    until_refused(&of_pod).await;
    steal(&of_nobody).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, OPERATOR_NAMESPACE);
    let account = accounts.delete(OPERATOR_SERVICE_ACCOUNT, &at_once);
    account.await.unwrap();
    until_refused(&of_nobody).await;
    cluster.shutdown().await;
}

/// No kubelet runs it, which its tokens do not need.
fn operators_pod() -> Pod {
    let pod = json!({
        "metadata": { "name": "keyloan-0" },
        "spec": {
            "serviceAccountName": OPERATOR_SERVICE_ACCOUNT,
            "containers": [{ "name": "keyloan", "image": "keyloan" }],
        },
    });
    serde_json::from_value(pod).unwrap()
}

/// A token of the operator's ServiceAccount, as a kubelet has it made for a Pod, or as somebody does who may.
async fn token(admin: &Client, pod: Option<&Pod>) -> String {
    let bound_object_ref = pod.map(|pod| BoundObjectReference {
        kind: Some("Pod".into()),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..BoundObjectReference::default()
    });
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref,
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let made = accounts
        .create_token_request(OPERATOR_SERVICE_ACCOUNT, &PostParams::default(), &request)
        .await;
    made.unwrap().status.unwrap().token
}

async fn thief(cluster: &ControlPlane, token: &str) -> Client {
    let text = std::fs::read_to_string(cluster.kubeconfig("admin")).unwrap();
    let mut kubeconfig: Value = serde_json::from_str(&text).unwrap();
    kubeconfig["users"][0]["user"] = json!({ "token": token });
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    let access = KubeAccess::Kubeconfig(file.path().to_owned());
    keyloan::cluster::connect(&access).await.unwrap()
}

/// All Secrets that are kept beside the tokens.
async fn steal(thief: &Client) -> kube::Result<()> {
    let secrets: Api<Secret> = Api::namespaced(thief.clone(), PLATFORM);
    secrets.list(&ListParams::default()).await.map(drop)
}

fn logged(cluster: &ControlPlane) -> Vec<Value> {
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    // The last line may be written at this moment.
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    events.collect()
}

/// The last theft, when the log has this many.
async fn until_logged(cluster: &ControlPlane, count: usize) -> Value {
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
    let thefts = async || {
        let mut thefts = logged(cluster);
        thefts.retain(|event| {
            event["user"]["username"] == operator.as_str()
                && event["verb"] == "list"
                && event["objectRef"]["resource"] == "secrets"
        });
        (thefts.len() == count).then(|| thefts.pop()).flatten()
    };
    wait_until("the theft to be logged", PATIENCE, thefts)
        .await
        .unwrap()
}

/// The call that made a token has the same id as the calls with it.
fn made_by_the_administrator(cluster: &ControlPlane, theft: &Value) {
    let token = &theft["user"]["extra"][TOKEN][0];
    assert!(token.is_string(), "{theft}");
    let events = logged(cluster);
    let mut made = events.iter().filter(|event| {
        event["objectRef"]["subresource"] == "token" && event["annotations"][ISSUED] == *token
    });
    let made = made.next().expect("the call that made it");
    assert_eq!(made["user"]["username"], "admin");
}

async fn until_refused(thief: &Client) {
    let refused = async || {
        let unknown =
            |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.code == 401);
        steal(thief).await.is_err_and(|e| unknown(&e)).then_some(())
    };
    wait_until("the end of a token", PATIENCE, refused)
        .await
        .unwrap();
}
