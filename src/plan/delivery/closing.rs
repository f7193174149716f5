//! The last step of issuing a link: its intent is closed with what has become of it.

use jiff::Timestamp;

use crate::api::{LinkOutcome, LinkRecord, Time};

use super::failure::Failure;
use super::steps::{Held, LinkFacts, Step};

/// Close the intent.
#[derive(Clone, Debug)]
pub struct Close<H: Held> {
    /// The record with the intent.
    pub record: H::Record,
    closing: Closing,
    result: Result<(), Failure>,
}

impl<H: Held> Close<H> {
    pub(super) fn new(
        record: H::Record,
        sequence: u32,
        outcome: Outcome,
        result: Result<(), Failure>,
    ) -> Self {
        Self {
            record,
            closing: Closing { sequence, outcome },
            result,
        }
    }

    pub(super) fn issued(record: H::Record, facts: &LinkFacts) -> Self {
        let outcome = Outcome::Issued {
            issued_at: facts.issued_at,
            expires_at: facts.expires_at,
            item_version: facts.item_version,
        };
        Self::new(record, facts.sequence, outcome, Ok(()))
    }

    /// The change to the record.
    pub fn closing(&self) -> &Closing {
        &self.closing
    }

    /// Takes in that the record is written.
    pub fn closed(self) -> Step<H> {
        Step::Done(self.result)
    }
}

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
    /// The links of a record with this end of an intent.
    pub fn applied(&self, links: &[LinkRecord]) -> Vec<LinkRecord> {
        let mut links = links.to_vec();
        for link in links.iter_mut().filter(|l| l.sequence == self.sequence) {
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
        links
    }
}
