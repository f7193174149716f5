//! The intent of a link. It is written into the record before the link is made, so that every link
//! is accounted for.

use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use serde_json::json;

use crate::api::{AccessRecord, AccessRecordSpec, LinkOutcome, LinkRecord, Time};
use crate::cluster::{ApiError, with_retries};
use crate::plan::effect::IssueLink;
use crate::plan::links::latest_end;
use crate::plan::observed::Usage;
use crate::plan::record;

use super::issuing::{Issuing, Ready};

impl Issuing {
    /// Writes the intent: with a new record, or into the existing one. `None` if the flow's limit
    /// has been reached in the meantime.
    pub(super) async fn write_intent(
        &self,
        issue: &IssueLink,
        ready: &Ready,
    ) -> Result<Option<Arc<AccessRecord>>, ApiError> {
        let now = self.loans.clock.now();
        let attempt = random();
        let intent = LinkRecord {
            sequence: issue.sequence,
            intent_at: Time(now),
            attempt: attempt.clone(),
            latest_end: Time(latest_end(now, ready.lifetime, ready.clock_ahead)),
            issued_at: None,
            expires_at: None,
            item_version: Some(ready.item.version),
            outcome: None,
        };
        if let (false, Some(record)) = (issue.first, &self.seen.record) {
            let mut links = with_outcome(&record.spec.links, issue.lost, LinkOutcome::Lost);
            links.push(intent);
            let change = json!({ "spec": { "links": links } });
            let records = self.loans.cluster.records.urgent();
            let write = || records.swap(record.as_ref(), change.clone());
            return match with_retries(write).await {
                Ok(changed) => Ok(Some(changed)),
                Err(error) => self.unless_written(error, attempt).await.map(Some),
            };
        }
        if self.limit_reached(issue) {
            return Ok(None);
        }
        let record = AccessRecord {
            metadata: ObjectMeta {
                name: Some(self.key.uid.clone()),
                namespace: Some(self.key.ledger.clone()),
                ..ObjectMeta::default()
            },
            spec: AccessRecordSpec {
                install: Some(self.loans.cluster.install.name.clone()),
                links: vec![intent],
                ..record::of_loan(
                    self.seen.grant.as_deref(),
                    &issue.agreement,
                    issue.decisions.clone(),
                )
            },
        };
        let records = self.loans.cluster.records.urgent();
        let created = match with_retries(|| records.create(&record)).await {
            Ok(created) => Ok(created),
            Err(error) => self.unless_written(error, attempt).await,
        };
        if let Err(error) = &created {
            let now = self.loans.clock.now();
            self.loans.places.note(&self.key, &record, &error.kind, now);
        }
        created.map(Some)
    }

    /// The record, if it contains this attempt's intent although the answer to its writing was
    /// lost: then nobody else makes a link from it.
    async fn unless_written(
        &self,
        error: ApiError,
        attempt: Option<String>,
    ) -> Result<Arc<AccessRecord>, ApiError> {
        if attempt.is_none() || error.kind.is_refusal() {
            return Err(error);
        }
        let (key, records) = (self.key.record(), self.loans.cluster.records.urgent());
        let live = with_retries(|| records.live(&key)).await.ok().flatten();
        let is_written = |live: &Arc<AccessRecord>| {
            let last = live.spec.links.last();
            let is_open =
                |intent: &LinkRecord| intent.attempt == attempt && intent.outcome.is_none();
            live.spec.end.is_none() && last.is_some_and(is_open)
        };
        live.filter(is_written).ok_or(error)
    }

    fn limit_reached(&self, issue: &IssueLink) -> bool {
        let flow = &issue.agreement.terms.flow.uid;
        let found = self
            .seen
            .flows
            .iter()
            .find(|f| f.uid().as_ref() == Some(flow));
        let most = found.map(|flow| flow.spec.limits.active_per_requester);
        let (Some(most), Some(grant)) = (most, &self.seen.grant) else {
            return false;
        };
        let (usage, _) = self.loans.usage(&self.key, grant, &self.seen.flows);
        usage.get(flow).copied().unwrap_or(Usage::default()).active >= most
    }
}

/// A value that no other attempt has; nothing if the system provides no random bytes.
fn random() -> Option<String> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).ok()?;
    Some(data_encoding::HEXLOWER.encode(&bytes))
}

/// The links of a record, with the outcome of one of them.
pub fn with_outcome(
    links: &[LinkRecord],
    sequence: Option<u32>,
    outcome: LinkOutcome,
) -> Vec<LinkRecord> {
    let mut links = links.to_vec();
    for link in links.iter_mut().filter(|l| Some(l.sequence) == sequence) {
        link.outcome = Some(outcome);
    }
    links
}
