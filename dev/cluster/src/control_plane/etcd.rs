//! etcd through its JSON gateway: reads and changes the data under the API server without the API
//! server.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The longest wait between two pieces of a response.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of one etcd.
pub(super) struct Etcd<'a> {
    client: Client,
    endpoint: &'a str,
}

/// The header of each response. etcd's JSON writes 64-bit numbers as strings and bytes in Base64.
#[derive(Deserialize)]
pub(super) struct Header {
    pub revision: String,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    kvs: Vec<Stored>,
}

#[derive(Deserialize)]
struct Stored {
    value: String,
    mod_revision: String,
}

#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    succeeded: bool,
}

impl<'a> Etcd<'a> {
    pub fn at(endpoint: &'a str) -> Result<Self, String> {
        let client = Client::builder()
            .no_proxy()
            .read_timeout(TIMEOUT)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, endpoint })
    }

    /// Sends a request, and returns the response before its body has arrived.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Response, String> {
        let url = format!("{}{path}", self.endpoint);
        let sent = self.client.post(url).json(body).send().await;
        sent.and_then(Response::error_for_status)
            .map_err(|error| error.to_string())
    }

    /// Sends a request, and reads the whole response.
    pub async fn ask<A: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<A, String> {
        let answer = self.post(path, body).await?;
        answer.json().await.map_err(|error| error.to_string())
    }

    /// Changes the creation time of a stored object, which must be JSON, as objects of custom kinds
    /// are.
    pub async fn set_creation_time(&self, key: &str, at: &Time) -> Result<(), String> {
        let encoded = BASE64_STANDARD.encode(key);
        let found: Found = self.ask("/v3/kv/range", &json!({ "key": encoded })).await?;
        let [stored] = found.kvs.as_slice() else {
            return Err(format!("the key {key} does not exist"));
        };
        let bytes = BASE64_STANDARD
            .decode(&stored.value)
            .map_err(|error| error.to_string())?;
        let mut object: Value = serde_json::from_slice(&bytes)
            .map_err(|error| format!("{key} is not stored as JSON: {error}"))?;
        object["metadata"]["creationTimestamp"] = json!(at);
        let unless_changed = json!({
            "compare": [{ "key": encoded, "target": "MOD", "mod_revision": stored.mod_revision }],
            "success": [{ "request_put": {
                "key": encoded, "value": BASE64_STANDARD.encode(object.to_string()),
            } }],
        });
        let written: Transaction = self.ask("/v3/kv/txn", &unless_changed).await?;
        match written.succeeded {
            true => Ok(()),
            false => Err(format!("somebody else changed {key} in the meantime")),
        }
    }
}

/// A number, as etcd's JSON writes it.
pub(super) fn number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a revision"))
}
