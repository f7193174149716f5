//! One record as a row of the report.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use serde::Serialize;

use crate::api::{
    AccessRecord, CountedDecision, EndReason, IgnoredDecision, LinkOutcome, LinkRecord,
    ObjectIdentity, RequestOutcome, Time,
};
use crate::desk::times::minute;
use crate::plan::delivery::links::{CALL_TIMEOUT, Links};
use crate::plan::record::{is_of_a_loan, restored_by};

use super::cell::spreadsheet_cell;

/// A loan that ends later than this after its time is late. The operator needs some seconds to write
/// the end.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// A record as a row. Its JSON form has the same names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The time of the request.
    pub requested: Option<Timestamp>,
    /// The start of the loan.
    pub granted: Option<Timestamp>,
    /// The time at which the loan ends unless somebody ends it before.
    pub expires: Option<Timestamp>,
    /// The end of the loan or the request.
    pub ended: Option<Timestamp>,
    /// The requester's username.
    pub requester: String,
    /// The requester's address, if the cluster knows it.
    pub requester_email: Option<String>,
    /// The addresses that can open the links.
    pub recipients: Vec<String>,
    /// The item's title.
    pub item: String,
    /// The item's id.
    pub item_id: String,
    /// The time of the item's last change before the request.
    pub item_updated: Timestamp,
    /// The vault's title.
    pub vault: String,
    /// The vault's id.
    pub vault_id: String,
    /// The address of the account's service account.
    pub account: String,
    /// The integration, after its namespace and a slash.
    pub integration: String,
    /// The flow.
    pub flow: String,
    /// The requester's justification.
    pub justification: Option<String>,
    /// The decisions that counted, each with its reason.
    pub decisions: Vec<CountedDecision>,
    /// The decisions that had no effect, each with the cause.
    pub ignored_decisions: Vec<IgnoredDecision>,
    /// The outcome of the request.
    pub outcome: RequestOutcome,
    /// How it stands now.
    pub status: Status,
    /// The reason of the end.
    pub end_reason: Option<EndReason>,
    /// The username of the person who ended it.
    pub ended_by: Option<String>,
    /// Whether the loan ended, or still runs, more than a minute after its time was over.
    pub ended_late: bool,
    /// How many links there are.
    pub links: LinkCounts,
    /// The time until which a link of the loan may open, even a lost one.
    pub opens_until: Option<Timestamp>,
    /// The restore that brought the record back from a backup.
    pub restored: Option<String>,
    /// The grant.
    pub grant: ObjectIdentity,
}

/// How many links a loan has had, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LinkCounts {
    /// Links that were handed over.
    pub issued: usize,
    /// Links that may exist, and that nobody has.
    pub lost: usize,
    /// Links that 1Password refused, so that they do not exist.
    pub refused: usize,
    /// Links that are being issued.
    pub open: usize,
}

/// How a recorded request or loan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Status {
    /// The first link is being issued.
    Issuing,
    /// The loan runs.
    Active,
    /// The loan is over, and a link may still open.
    Ending,
    /// The loan is over.
    Ended,
    /// An approver or owner denied the request.
    Denied,
    /// The requester withdrew the request.
    TakenBack,
    /// The request was not approved or started in time.
    Lapsed,
    /// The request could not be granted, or no link could be issued.
    Failed,
}

impl Status {
    /// How a record stands at this time.
    pub fn of(record: &AccessRecord, now: Timestamp) -> Self {
        let (spec, links) = (&record.spec, Links::of(&record.spec));
        match (spec.outcome.unwrap_or(RequestOutcome::Lent), &spec.end) {
            (RequestOutcome::Denied, _) => Self::Denied,
            (RequestOutcome::TakenBack, _) => Self::TakenBack,
            (RequestOutcome::Lapsed, _) => Self::Lapsed,
            (RequestOutcome::Failed, _) => Self::Failed,
            (RequestOutcome::Lent, None) if links.granted_at().is_none() => Self::Issuing,
            (RequestOutcome::Lent, None) => Self::Active,
            (RequestOutcome::Lent, Some(_)) if links.residual(now).is_some() => Self::Ending,
            (RequestOutcome::Lent, Some(end)) if end.reason == EndReason::NotIssued => Self::Failed,
            (RequestOutcome::Lent, Some(_)) => Self::Ended,
        }
    }
}

/// The headings of the cells of a row.
pub const HEADINGS: [&str; 30] = [
    "requested",
    "granted",
    "expires",
    "ended",
    "requester",
    "requesterEmail",
    "recipients",
    "item",
    "itemId",
    "itemUpdated",
    "vault",
    "vaultId",
    "account",
    "integration",
    "flow",
    "justification",
    "decisions",
    "ignoredDecisions",
    "outcome",
    "status",
    "endReason",
    "endedBy",
    "endedLate",
    "linksIssued",
    "linksLost",
    "linksRefused",
    "opensUntil",
    "restored",
    "grant",
    "grantUid",
];

impl Row {
    /// The row of a record.
    pub fn of(record: &AccessRecord, now: Timestamp) -> Self {
        let (spec, terms) = (&record.spec, &record.spec.terms);
        let links = Links::of(spec);
        let end = spec.end.as_ref();
        Self {
            requested: requested(record),
            granted: links.granted_at(),
            expires: links.access_end(),
            ended: end.map(|end| end.at.0),
            requester: spec.requester.username.clone(),
            requester_email: spec.requester.email.as_ref().map(|email| email.0.clone()),
            recipients: terms.recipients.iter().map(|to| to.0.clone()).collect(),
            item: terms.item.title.clone(),
            item_id: terms.item.id.clone(),
            item_updated: terms.item_updated_at.0,
            vault: terms.vault.title.clone(),
            vault_id: terms.vault.id.clone(),
            account: terms.account.clone(),
            integration: format!("{}/{}", terms.integration.namespace, terms.integration.name),
            flow: terms.flow.name.clone(),
            justification: spec.justification.clone(),
            decisions: spec.decisions.clone(),
            ignored_decisions: spec.ignored_decisions.clone(),
            outcome: spec.outcome.unwrap_or(RequestOutcome::Lent),
            status: Status::of(record, now),
            end_reason: end.map(|end| end.reason),
            ended_by: end.and_then(|end| end.by.clone()),
            ended_late: ended_late(record, now),
            links: LinkCounts::of(&spec.links),
            opens_until: links.all_over(),
            restored: restored_by(record).map(str::to_owned),
            grant: spec.grant.clone(),
        }
    }

    /// The cells below [`HEADINGS`], safe for spreadsheets.
    pub fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells: [String; HEADINGS.len()] = [
            time(self.requested),
            time(self.granted),
            time(self.expires),
            time(self.ended),
            self.requester.clone(),
            text(&self.requester_email),
            self.recipients.join("; "),
            self.item.clone(),
            self.item_id.clone(),
            time(Some(self.item_updated)),
            self.vault.clone(),
            self.vault_id.clone(),
            self.account.clone(),
            self.integration.clone(),
            self.flow.clone(),
            text(&self.justification),
            self.said(),
            self.said_in_vain(),
            format!("{:?}", self.outcome),
            format!("{:?}", self.status),
            self.end_reason
                .map_or_else(String::new, |reason| format!("{reason:?}")),
            text(&self.ended_by),
            if self.ended_late { "yes" } else { "no" }.into(),
            self.links.issued.to_string(),
            self.links.lost.to_string(),
            self.links.refused.to_string(),
            time(self.opens_until),
            text(&self.restored),
            self.called(),
            self.grant.uid.clone(),
        ];
        cells.iter().map(|cell| spreadsheet_cell(cell)).collect()
    }

    /// The cells in the table for people.
    pub(super) fn in_table(&self) -> Vec<String> {
        let restored = if self.restored.is_some() {
            ", restored"
        } else {
            ""
        };
        let end = match (self.end_reason, &self.ended_by) {
            (Some(reason), Some(by)) => format!(" {reason:?} by {by}"),
            (Some(reason), None) => format!(" {reason:?}"),
            (None, _) => String::new(),
        };
        let late = if self.ended_late { ", late" } else { "" };
        let vain = match self.said_in_vain() {
            none if none.is_empty() => none,
            vain => format!("; ignored: {vain}"),
        };
        vec![
            at_minute(self.requested),
            self.called(),
            self.requester.clone(),
            self.recipients.join(", "),
            format!("{} (vault {})", self.item, self.vault),
            format!("{:?}{restored}", self.status),
            format!("{}{vain}", self.said()),
            format!("{}{end}{late}", at_minute(self.ended)),
            at_minute(self.opens_until),
        ]
    }

    /// The decisions that counted, in words.
    fn said(&self) -> String {
        let said = self.decisions.iter().map(|made| {
            let decision = format!("{:?} by {}", made.decision, made.user);
            match &made.reason {
                Some(reason) => format!("{decision}: {reason}"),
                None => decision,
            }
        });
        said.collect::<Vec<_>>().join("; ")
    }

    /// The decisions that had no effect, in words.
    fn said_in_vain(&self) -> String {
        let said = self.ignored_decisions.iter().map(|made| {
            let decision = made
                .decision
                .map_or_else(|| "Decision".into(), |d| format!("{d:?}"));
            format!("{decision} by {}: {}", made.user, made.reason)
        });
        said.collect::<Vec<_>>().join("; ")
    }

    fn called(&self) -> String {
        format!("{}/{}", self.grant.namespace, self.grant.name)
    }
}

impl LinkCounts {
    fn of(links: &[LinkRecord]) -> Self {
        let count = |outcome| links.iter().filter(|link| link.outcome == outcome).count();
        Self {
            issued: count(Some(LinkOutcome::Issued)),
            lost: count(Some(LinkOutcome::Lost)),
            refused: count(Some(LinkOutcome::Refused)),
            open: count(None),
        }
    }
}

/// The time of the request. Records of older releases do not contain it; they were created just
/// before the first link.
pub(super) fn requested(record: &AccessRecord) -> Option<Timestamp> {
    let spec = &record.spec;
    let first = spec.links.first().map(|link| &link.intent_at);
    let created = record.creation_timestamp();
    let known = spec.requested_at.as_ref().or(first);
    known.or(created.as_ref()).map(|Time(at)| *at)
}

/// The times between which each link could open, also after the end of the loan.
pub(in crate::desk) fn opens(record: &AccessRecord) -> Vec<(Timestamp, Timestamp)> {
    let delivery = Links::of(&record.spec).delivery();
    let opens = record.spec.links.iter().filter_map(|link| {
        let from = link.issued_at.as_ref().unwrap_or(&link.intent_at).0;
        Some((from, delivery.may_open_until(link, CALL_TIMEOUT)?))
    });
    opens.collect()
}

/// How many links were lost.
pub(super) fn lost(record: &AccessRecord) -> usize {
    LinkCounts::of(&record.spec.links).lost
}

/// Whether a loan ended, or still runs, too long after its time. The end of a restored loan is only
/// the time of the restore.
pub(super) fn ended_late(record: &AccessRecord, now: Timestamp) -> bool {
    let (spec, links) = (&record.spec, Links::of(&record.spec));
    let ended = spec.end.as_ref().map_or(now, |end| end.at.0);
    let due = links
        .access_end()
        .and_then(|end| end.saturating_add(LATE_AFTER).ok());
    is_of_a_loan(spec) && restored_by(record).is_none() && due.is_some_and(|due| ended > due)
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| {
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    })
}

fn at_minute(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, minute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Renewal;

    /// A loan of 4h with one link of 1h, from 10:30 on.
    fn running(renewal: Renewal) -> AccessRecord {
        let ledger = include_str!("../../../tests/fixtures/ledger/records.json");
        let ledger: Vec<AccessRecord> = serde_json::from_str(ledger).unwrap();
        let is_it = |record: &AccessRecord| record.spec.grant.name == "alice-db";
        let mut record = ledger.into_iter().find(is_it).unwrap();
        record.spec.terms.renewal = renewal;
        record
    }

    #[rstest::rstest]
    #[case(Renewal::OnRequest, "2026-11-24T14:30:00Z")]
    #[case(Renewal::Never, "2026-11-24T11:30:00Z")]
    fn a_loan_that_gets_no_further_link_is_planned_to_end_with_its_link(
        #[case] renewal: Renewal,
        #[case] end: Timestamp,
    ) {
        let record = running(renewal);
        let after = |minutes| end + SignedDuration::from_mins(minutes);
        assert_eq!(Row::of(&record, end).expires, Some(end));
        assert!(!Row::of(&record, after(1)).ended_late);
        assert!(Row::of(&record, after(2)).ended_late);
    }
}
