//! What is stored in a control plane, and how all of it is put back: etcd's values are written, and the API server and the
//! controllers hear of it by their watches, as of any other change.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::{Value, json};

use super::etcd::{Etcd, Header, number};

/// All that Kubernetes stores.
const FIRST: &str = "/registry/";
const AFTER_LAST: &str = "/registry0";

/// What the programs of the control plane write for themselves, some of it after the start: it is left as it is.
const THEIR_OWN: [&str; 5] = [
    "/registry/apiregistration.k8s.io/",
    "/registry/leases/kube-system/",
    "/registry/masterleases/",
    "/registry/ranges/",
    "/registry/serviceaccounts/kube-system/",
];

/// So many changes etcd takes at once.
const AT_ONCE: usize = 100;

/// Every key with its value, in Base64 as etcd's JSON has them.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeMap<String, String>);

#[derive(Deserialize)]
struct Range {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct Written {
    header: Header,
}

impl Snapshot {
    /// What is stored now.
    pub(super) async fn take(etcd: &Etcd<'_>) -> Result<Self, String> {
        let (stored, _) = stored(etcd).await?;
        Ok(Self(stored))
    }

    /// Has everything be stored as it was, and nothing else; returns etcd's revision after that.
    pub(super) async fn restore(&self, etcd: &Etcd<'_>) -> Result<i64, String> {
        let (now, mut revision) = stored(etcd).await?;
        for operations in self.changes(&now).chunks(AT_ONCE) {
            let written: Written = etcd
                .ask("/v3/kv/txn", &json!({ "success": operations }))
                .await?;
            revision = number(&written.header.revision)?;
        }
        Ok(revision)
    }

    /// First what is to go, so that nobody sees an object whose owner or namespace is not there yet.
    fn changes(&self, now: &BTreeMap<String, String>) -> Vec<Value> {
        let extra = now.keys().filter(|key| !self.0.contains_key(*key));
        let delete = extra.map(|key| json!({ "request_delete_range": { "key": key } }));
        let differs = self
            .0
            .iter()
            .filter(|(key, value)| now.get(*key) != Some(value));
        let put =
            differs.map(|(key, value)| json!({ "request_put": { "key": key, "value": value } }));
        delete.chain(put).collect()
    }
}

async fn stored(etcd: &Etcd<'_>) -> Result<(BTreeMap<String, String>, i64), String> {
    let all = json!({
        "key": BASE64_STANDARD.encode(FIRST), "range_end": BASE64_STANDARD.encode(AFTER_LAST),
    });
    let range: Range = etcd.ask("/v3/kv/range", &all).await?;
    let revision = number(&range.header.revision)?;
    let ours = range
        .kvs
        .into_iter()
        .filter(|stored| !is_their_own(&stored.key));
    Ok((
        ours.map(|stored| (stored.key, stored.value)).collect(),
        revision,
    ))
}

fn is_their_own(key: &str) -> bool {
    let key = BASE64_STANDARD.decode(key).unwrap_or_default();
    let key = String::from_utf8_lossy(&key);
    // The ServiceAccount `default` of a namespace is made by a controller a moment after the namespace.
    THEIR_OWN.iter().any(|prefix| key.starts_with(prefix))
        || ["default", "kube-public", "kube-node-lease"]
            .iter()
            .any(|namespace| *key == format!("/registry/serviceaccounts/{namespace}/default"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        pairs.collect()
    }

    #[test]
    fn what_is_new_goes_and_what_was_changed_or_deleted_comes_back() {
        let snapshot = Snapshot(map(&[("a", "1"), ("b", "2"), ("c", "3")]));
        let changes = snapshot.changes(&map(&[("a", "1"), ("b", "changed"), ("d", "new")]));
        assert_eq!(
            changes,
            [
                json!({ "request_delete_range": { "key": "d" } }),
                json!({ "request_put": { "key": "b", "value": "2" } }),
                json!({ "request_put": { "key": "c", "value": "3" } }),
            ]
        );
    }
}
