//! An authenticator to which the API server hands each token that it does not know: the token itself says whom it lets in.

use std::net::SocketAddr;

use axum::{Json, Router, routing::post};
use data_encoding::BASE64URL_NOPAD;
use keyloan_cluster::ControlPlane;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::support::objects::Person;

/// Runs until the test ends.
pub struct Authenticator {
    address: SocketAddr,
}

impl Authenticator {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A person with this identity, with a token of their own.
    pub async fn person(&self, cluster: &ControlPlane, who: &Value) -> Person {
        let token = BASE64URL_NOPAD.encode(who.to_string().as_bytes());
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig("admin")).unwrap();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
        config.auth_info = serde_json::from_value(json!({ "token": token })).unwrap();
        Person {
            client: Client::try_from(config).unwrap(),
        }
    }
}

async fn answer(Json(review): Json<Value>) -> Json<Value> {
    let token = review["spec"]["token"].as_str().unwrap_or_default();
    let decoded = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let user = decoded.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let status = match user {
        Some(user) => json!({ "authenticated": true, "user": user }),
        None => json!({ "authenticated": false }),
    };
    Json(json!({
        "apiVersion": review["apiVersion"],
        "kind": "TokenReview",
        "status": status,
    }))
}
