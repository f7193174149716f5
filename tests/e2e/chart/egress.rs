//! By values alone, the installed operator reaches 1Password through a proxy with a password, behind the certificate of a private
//! authority.

use std::fmt::Debug;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use keyloan::api::OnePasswordIntegration;
use keyloan_cluster::{Chart, ForwardProxy, ProxyRules, apply_yaml};
use kube::Api;
use kube::runtime::wait::await_condition;
use serde_json::json;

use crate::chart::installed::Installed;
use crate::private_tls::{AUTHORITY, DESTINATION, Front, ORIGIN, token_at};
use crate::world::{PLATFORM, World};

const USER: &str = "keyloan";
const PASSWORD: &str = "s3cret";

#[tokio::test]
async fn values_alone_lead_through_a_proxy_with_a_password_to_a_private_authority() {
    let elsewhere = json!({ "allowOrigins": [ORIGIN] });
    let mut installed = Installed::from(|chart: Chart| chart.folder(), elsewhere).await;
    let world = &installed.world;
    let front = Front::before(world.control.origin()).await;
    let rules = ProxyRules {
        user: Some((USER, PASSWORD)),
        leads: &[(DESTINATION, front.address.as_str())],
        denies: &[],
    };
    let proxy = ForwardProxy::start(&rules).await.unwrap();
    give_objects(world).await;
    until_ready(
        world,
        "False",
        "The name of 1Password's host cannot be resolved",
    )
    .await;

    installed
        .upgrade_operator(&json!({
            "allowOrigins": [ORIGIN],
            "egress": {
                "proxy": {
                    "url": format!("http://{}", proxy.address()),
                    "noProxy": ["10.0.0.0/8", "hooks.corp.test"],
                    "credentialsSecretRef": { "name": "egress-proxy" },
                },
                "caBundle": { "configMap": { "name": "corporate-ca" } },
            },
        }))
        .await;
    until_ready(&installed.world, "True", "").await;
}

/// The token, as for 1Password in this network; and what the values name.
async fn give_objects(world: &World) {
    let token = world.control.token("lender").await.unwrap();
    let token = BASE64_STANDARD.encode(token_at(&token, ORIGIN));
    let authority = json!(AUTHORITY);
    let objects = format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: op-token, namespace: keyloan, labels: {{keyloan.dev/integration: prod, keyloan.dev/secret: token}}}}
data: {{token: {token}}}
---
apiVersion: keyloan.dev/v1alpha1
kind: OnePasswordIntegration
metadata: {{name: prod, namespace: keyloan}}
spec: {{auth: {{serviceAccountToken: {{secretRef: {{name: op-token}}}}}}, plan: Business}}
---
apiVersion: v1
kind: Secret
metadata: {{name: egress-proxy, namespace: keyloan-system}}
type: kubernetes.io/basic-auth
stringData: {{username: {USER}, password: {PASSWORD}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: corporate-ca, namespace: keyloan-system}}
data: {{ca-certificates.crt: {authority}}}
"#
    );
    apply_yaml(&world.admin, &objects).await.unwrap();
}

async fn until_ready(world: &World, status: &str, says: &str) {
    let integrations: Api<OnePasswordIntegration> = Api::namespaced(world.admin.clone(), PLATFORM);
    let is_so = |object: Option<&OnePasswordIntegration>| {
        let conditions = object.and_then(|object| object.status.as_ref());
        let mut conditions = conditions.into_iter().flat_map(|status| &status.conditions);
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        ready.is_some_and(|ready| ready.status == status && ready.message.contains(says))
    };
    let waiting = await_condition(integrations.clone(), "prod", is_so);
    if tokio::time::timeout(Duration::from_secs(90), waiting)
        .await
        .is_err()
    {
        let last: Box<dyn Debug> = Box::new(integrations.get("prod").await);
        panic!("it is not Ready={status} because {says:?}: {last:#?}");
    }
}
