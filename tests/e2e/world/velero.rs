//! Velero, which restores a backup under its own ServiceAccount. The policies know it as one that may restore records.

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use keyloan::api::{AccessRecord, RESTORE_LABELS};
use kube::api::PostParams;
use kube::{Api, Client};

use super::waits::{A_MOMENT, patiently};
use super::{PLATFORM, World};

/// What it signs in as.
pub const VELERO: &str = "system:serviceaccount:velero:velero";

/// A record with the label of a restore.
const RESTORED: &str = include_str!("../../fixtures/ledger/records.json");

impl World {
    /// A client of Velero's, which has every right, from the moment on at which the API server knows it as one that restores records.
    pub async fn as_velero(&self) -> Client {
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(self.admin.clone());
        let mut policy = policies.get("keyloan-records").await.expect("there");
        let spec = policy.spec.as_mut().expect("a spec");
        let mut variables = spec.variables.iter_mut().flatten();
        let restorers = variables.find(|variable| variable.name == "restorers");
        restorers.expect("there").expression = format!("['{VELERO}']");
        let parameters = PostParams::default();
        let replaced = policies.replace("keyloan-records", &parameters, &policy);
        replaced.await.expect("replaced");

        let client = self
            .impersonating(VELERO, vec!["system:masters".into()])
            .await;
        let records: Vec<AccessRecord> = serde_json::from_str(RESTORED).expect("records");
        let is_labeled = |record: &&AccessRecord| record.metadata.labels.is_some();
        let probe = records.iter().find(is_labeled).expect("one");
        let api: Api<AccessRecord> = Api::namespaced(client.clone(), PLATFORM);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let known = async {
            while api.create(&dry_run, probe).await.is_err() {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("Velero to be known", known).await;
        client
    }
}

/// The labels that Velero sets on what it restores.
pub fn velero_labels() -> BTreeMap<String, String> {
    let labels = [
        ("velero.io/backup-name", "nightly"),
        (RESTORE_LABELS[0], "nightly-2"),
    ];
    labels
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}
