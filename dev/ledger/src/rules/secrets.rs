//! The Secrets with links: one for each running loan, none for others.

use std::collections::BTreeMap;

use crate::finding::{Finding, Rule};
use crate::objects::{Outcome, Record, Secret};

/// The labels and annotations of a link's Secret: docs/security.md, "Where secrets are".
const GRANT_UID: &str = "keyloan.dev/grant-uid";
const SEQUENCE: &str = "keyloan.dev/sequence";

/// Checks each Secret that carries the label of a grant.
pub fn check(records: &[Record], secrets: &[Secret]) -> Vec<Finding> {
    let records: BTreeMap<&str, &Record> = records
        .iter()
        .map(|record| (record.spec.grant.uid.as_str(), record))
        .collect();
    let mut findings = Vec::new();
    let mut first: BTreeMap<&str, &Secret> = BTreeMap::new();
    for secret in secrets {
        let meta = &secret.metadata;
        let Some(uid) = meta.labels.get(GRANT_UID) else {
            continue;
        };
        let named = format!("{}/{}", meta.namespace, meta.name);
        let Some(record) = records.get(uid.as_str()) else {
            let what = format!("the Secret {named} is of the grant {uid}, which has no record");
            findings.push(Finding::new(Rule::SecretStays, "no record", what));
            continue;
        };
        let mut find = |rule, what| findings.push(Finding::new(rule, record.named(), what));
        if record.has_ended() {
            let what = format!(
                "the loan has ended, and the Secret {named} is still there; the status of its \
                 grant may say why (LinkSecretStays)"
            );
            find(Rule::SecretStays, what);
        } else if record.is_restored() {
            let what = format!(
                "the record was restored from a backup, and the Secret {named} is still there"
            );
            find(Rule::SecretStays, what);
        } else if !is_current(record, secret) {
            let what = format!("the Secret {named} does not hold the current link");
            find(Rule::OneSecret, what);
        }
        if let Some(first) = first.insert(uid, secret) {
            let what = format!("{named} is a second Secret beside {}", first.metadata.name);
            find(Rule::OneSecret, what);
        }
    }
    findings
}

/// Whether a Secret holds the link that was issued last, or one whose outcome is not written yet.
fn is_current(record: &Record, secret: &Secret) -> bool {
    let holds = secret.metadata.annotations.get(SEQUENCE);
    let holds = holds.and_then(|text| text.parse::<u32>().ok());
    let links = record.spec.links.iter().rev();
    let mut current =
        links.filter(|link| link.outcome.is_none() || link.outcome == Some(Outcome::Issued));
    let newest = current.next().map(|link| (link.sequence, link.outcome));
    match newest {
        // The link before may still be there.
        Some((sequence, None)) => {
            holds == Some(sequence) || holds == current.next().map(|link| link.sequence)
        }
        Some((sequence, _)) => holds == Some(sequence),
        None => false,
    }
}
