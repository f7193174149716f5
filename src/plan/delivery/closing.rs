//! The end of an intent: its outcome, and the change of the record that says it.

use jiff::Timestamp;

use crate::api::{AccessRecordSpec, LinkOutcome, Time};

use super::links::Links;

/// The end of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The number of the link.
    pub sequence: u32,
    /// What has become of it.
    pub outcome: Outcome,
}

/// What has become of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The link is in its Secret.
    Issued {
        /// When 1Password's answer arrived.
        issued_at: Timestamp,
        /// When the link expires.
        expires_at: Timestamp,
        /// The item's version.
        item_version: u32,
    },
    /// 1Password has made no link.
    Refused,
    /// Nobody receives the link. If 1Password has made it, it opens until this time.
    Lost {
        /// That time.
        until: Timestamp,
    },
}

impl Closing {
    /// The record with this end of an intent. The first link that is issued starts the loan.
    pub fn applied(&self, record: &AccessRecordSpec) -> AccessRecordSpec {
        let mut record = record.clone();
        for link in record
            .links
            .iter_mut()
            .filter(|l| l.sequence == self.sequence)
        {
            match self.outcome {
                Outcome::Issued {
                    issued_at,
                    expires_at,
                    item_version,
                } => {
                    link.outcome = Some(LinkOutcome::Issued);
                    link.issued_at = Some(Time(issued_at));
                    link.expires_at = Some(Time(expires_at));
                    link.item_version = Some(item_version);
                }
                Outcome::Refused => link.outcome = Some(LinkOutcome::Refused),
                Outcome::Lost { until } => {
                    link.outcome = Some(LinkOutcome::Lost);
                    link.latest_end = Time(link.latest_end.0.max(until));
                }
            }
        }
        let links = Links::of(&record);
        let (granted_at, expires_at) = (links.granted_at(), links.access_end());
        record.granted_at = granted_at.map(Time);
        record.expires_at = expires_at.map(Time);
        record
    }
}
