//! The intent of a link. It is written into the record before the link is made, so that every link
//! is accounted for.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use serde_json::json;

use crate::api::{AccessRecord, AccessRecordSpec, LinkRecord};
use crate::cluster::{ApiError, ApiErrorKind, with_retries};
use crate::plan::delivery::failure::Failure;
use crate::plan::delivery::steps::{IssueLink, WriteIntent, Written};
use crate::plan::observed::Usage;

use super::issuing::{InHand, Issuing};

impl Issuing {
    /// Writes the intent, if the link is still due: with a new record, or into the existing one.
    pub(super) async fn write_intent(
        &self,
        step: &WriteIntent<InHand>,
    ) -> Result<Written<Arc<AccessRecord>>, ApiError> {
        let issue = &step.link.issue;
        // Only one of a requester's loans at a time until the record, so that two requests cannot
        // both get the last place.
        let requester = &issue.agreement.requester.username;
        let turn = match issue.first {
            true => Some(self.loans.places.turn(requester).await),
            false => None,
        };
        // All that took time: by now another lifetime may be due, or the loan is over, blocked or
        // suspended.
        let in_time = self.loans.clock.now() <= issue.write_by;
        if !in_time || !self.loans.is_still_due(&self.key, issue).await? {
            return Ok(Written::NotDue);
        }
        if issue.first && self.limit_reached(issue) {
            return Ok(Written::No(Failure::LimitReached));
        }
        let record = match &self.seen.record {
            Some(record) if !issue.first => self.add_intent(step, record).await,
            _ => self.create_record(step).await,
        };
        drop(turn);
        if let Ok(record) = &record {
            self.count_intent(issue, record);
        }
        match record {
            Ok(record) => Ok(Written::Yes {
                intent_at: record
                    .spec
                    .links
                    .last()
                    .map_or(Timestamp::MIN, |l| l.intent_at.0),
                record,
            }),
            // The cached object was stale: the loan is looked at again.
            Err(error)
                if matches!(
                    error.kind,
                    ApiErrorKind::Conflict | ApiErrorKind::AlreadyExists
                ) =>
            {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(grant = %self.key.grant, %error, "could not write the intent, so no link is issued");
                Ok(Written::No(Failure::NoRecord {
                    why: format!("{} {}: {}", error.verb, error.object, error.kind.quote()),
                    refused: error.kind.is_refusal(),
                }))
            }
        }
    }

    fn count_intent(&self, issue: &IssueLink, record: &AccessRecord) {
        self.loans.count_interrupted(&self.key, issue);
        if issue.first {
            self.loans.count_approved(&record.spec);
        }
    }

    async fn add_intent(
        &self,
        step: &WriteIntent<InHand>,
        record: &AccessRecord,
    ) -> Result<Arc<AccessRecord>, ApiError> {
        let attempt = random();
        let now = self.loans.clock.now();
        let spec = step.applied(Some(&record.spec), None, attempt.clone(), now);
        let change = json!({ "spec": { "links": spec.links } });
        let records = self.loans.cluster.records.urgent();
        match with_retries(|| records.swap(record, change.clone())).await {
            Ok(changed) => Ok(changed),
            Err(error) => self.unless_written(error, attempt).await,
        }
    }

    async fn create_record(
        &self,
        step: &WriteIntent<InHand>,
    ) -> Result<Arc<AccessRecord>, ApiError> {
        let attempt = random();
        let (grant, now) = (self.seen.grant.as_deref(), self.loans.clock.now());
        let record = AccessRecord {
            metadata: ObjectMeta {
                name: Some(self.key.uid.clone()),
                namespace: Some(self.key.ledger.clone()),
                ..ObjectMeta::default()
            },
            spec: AccessRecordSpec {
                install: Some(self.loans.cluster.install.name.clone()),
                ..step.applied(None, grant, attempt.clone(), now)
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
        created
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
