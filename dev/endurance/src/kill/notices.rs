//! Receivers of notices during a run, and whether each of them heard of everything, in order.

#[path = "../../../../tests/support/private_server.rs"]
mod private_server;
#[path = "../../../../tests/support/receiver.rs"]
#[allow(dead_code, reason = "tests have it refuse")]
mod receiver;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessNotifier, AccessRecord, NOTIFIER_LABEL, SECRET_LABEL};
use keyloan::plan::timeline::Subject;
use keyloan_cluster::{INTEGRATION_NAMESPACE, wait_until};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::ground::create;
use receiver::Receiver;

/// How many notifiers there are, each with a receiver of its own.
const NOTIFIERS: usize = 3;
/// The time limit for the last notices, once all loans have ended.
const TOLD_WITHIN: Duration = Duration::from_secs(300);
/// The authority that the receivers' certificate is of.
const AUTHORITY: &str = "../../tests/fixtures/private-ca/ca.pem";

/// The receivers.
pub struct Receivers(Vec<Receiver>);

/// What they heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// The steps that the records tell.
    pub steps: usize,
    /// The notices that arrived at all receivers, repeated ones included.
    pub notices: usize,
    /// How many of them repeated an earlier one.
    pub repeated: usize,
    /// What was not heard, or not in order.
    pub broken: Vec<String>,
}

impl Receivers {
    /// Starts them, and makes a notifier for each.
    pub async fn start(admin: &Client) -> Result<Self> {
        let mut receivers = Vec::new();
        for number in 0..NOTIFIERS {
            let receiver = Receiver::start().await;
            let name = format!("receiver-{number}");
            let secret = json!({
                "metadata": { "name": name, "labels": { SECRET_LABEL: "notifier", NOTIFIER_LABEL: name } },
                "stringData": {
                    "url": receiver.url("/"),
                    "signing": "whsec_c2l4dGVlbi10aW1lcy10d28tYnl0ZXMtb2Yta2V5IQ==",
                },
            });
            create::<Secret>(admin, INTEGRATION_NAMESPACE, secret).await?;
            let notifier = json!({ "metadata": { "name": name }, "spec": {
                "secretRef": { "name": name }, "webhook": { "signingKeys": ["signing"] },
            } });
            create::<AccessNotifier>(admin, INTEGRATION_NAMESPACE, notifier).await?;
            receivers.push(receiver);
        }
        Ok(Self(receivers))
    }

    /// The words with which an operator may send to them.
    pub fn words() -> [String; 2] {
        let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join(AUTHORITY);
        [
            "--notice-host=localhost".to_owned(),
            format!("--ca-bundle={}", authority.display()),
        ]
    }

    /// Waits until nothing is to be told any longer; then compares what each has heard with the
    /// records.
    pub async fn judge(&self, admin: &Client) -> Result<Heard> {
        let notifiers: Api<AccessNotifier> = Api::namespaced(admin.clone(), INTEGRATION_NAMESPACE);
        let told = async || {
            let all = notifiers.list(&Default::default()).await.ok()?.items;
            let waits =
                |of: &AccessNotifier| of.status.as_ref().is_none_or(|s| s.backlog != Some(0));
            match all.iter().any(waits) {
                true => {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    None
                }
                false => Some(()),
            }
        };
        let mut heard = Heard::default();
        if let Err(error) = wait_until("all notices are delivered", TOLD_WITHIN, told).await {
            heard.broken.push(format!("{error:#}"));
        }
        let records: Api<AccessRecord> = Api::all(admin.clone());
        let records = records.list(&Default::default()).await?.items;
        let told: Vec<_> = records.iter().map(steps).collect();
        heard.steps = told.iter().map(Vec::len).sum();
        for (number, receiver) in self.0.iter().enumerate() {
            heard.by(number, &ids(receiver), &told);
        }
        Ok(heard)
    }
}

impl Heard {
    fn by(&mut self, number: usize, ids: &[String], told: &[Vec<(String, Timestamp)>]) {
        let mut first = HashMap::new();
        for (place, id) in ids.iter().enumerate() {
            first.entry(id.as_str()).or_insert(place);
        }
        self.notices += ids.len();
        self.repeated += ids.len() - first.len();
        for steps in told {
            let mut last: Option<(usize, Timestamp, &str)> = None;
            for (id, at) in steps {
                let Some(place) = first.get(id.as_str()).copied() else {
                    self.broken
                        .push(format!("receiver {number} did not hear of {id}"));
                    continue;
                };
                if let Some((before, earlier, other)) = last
                    && before > place
                    && earlier < *at
                {
                    self.broken
                        .push(format!("receiver {number} heard of {id} before {other}"));
                }
                last = Some((place, *at, id));
            }
        }
    }
}

/// The steps that a record tells, with their times, in order.
fn steps(record: &AccessRecord) -> Vec<(String, Timestamp)> {
    let subject = Subject {
        grant: None,
        record: Some(&record.spec),
    };
    let steps = subject.steps(None, Timestamp::now()).into_iter();
    steps.map(|step| (step.id, step.told_by)).collect()
}

/// The ids of what a receiver has got, in the order of arrival.
fn ids(receiver: &Receiver) -> Vec<String> {
    let received = receiver.received();
    let read = received
        .iter()
        .filter_map(|one| serde_json::from_str::<Value>(&one.body).ok());
    read.filter_map(|event| event["id"].as_str().map(ToOwned::to_owned))
        .collect()
}
