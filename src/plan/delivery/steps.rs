//! The steps of issuing one link, without the calls: each step says what to do, takes in how it
//! went, and returns the next one. A performer may stop after any step: the plan knows
//! what is then there.
//!
//! The controller performs these steps against 1Password and the API server, the tests and the
//! model against what they observe. What a performer holds between two steps, such as the link's
//! URL, passes through without being looked at.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    AccessDetails, AccessFlow, AccessGrant, AccessRecordSpec, ConsideredFlow, CountedDecision,
    IgnoredDecision, LinkOutcome, LinkRecord, Resolved, Time,
};
use crate::plan::deadline::later;
use crate::plan::inventory::ItemSeen;
use crate::plan::items::item_matches;
use crate::plan::record;
use crate::plan::terms::Agreement;

use super::closing::{Closing, Outcome};
use super::failure::Failure;
use super::links::{latest_end, whole_second};

/// The latest start of the call to 1Password after the intent. Its answer then comes in the time
/// that the intent assumes.
pub const CALLED_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// The data for issuing one link.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueLink {
    /// The number of the link in this loan, starting at 1.
    pub sequence: u32,
    /// The agreement.
    pub agreement: Agreement,
    /// The decisions that approved it, for the record.
    pub decisions: Vec<CountedDecision>,
    /// The decisions without effect, for a new record.
    pub ignored: Vec<IgnoredDecision>,
    /// The flows that were not chosen, for a new record.
    pub considered: Vec<ConsideredFlow>,
    /// Whether to create the record with the intent.
    pub first: bool,
    /// An interrupted intent to mark as lost in the same write.
    pub lost: Option<u32>,
    /// The longest time for which the link may open.
    pub opens_for: SignedDuration,
    /// The deadline for writing the intent. Later, the link could outlive the loan or start it too
    /// late.
    pub write_by: Timestamp,
    /// The version of the item that was lent first; another version ends the loan. `None` for the
    /// first link.
    pub item_version: Option<u32>,
}

impl IssueLink {
    /// Whether the effect of a new plan is to issue this very link.
    pub fn is_still(&self, effect: Option<&IssueLink>) -> bool {
        effect.is_some_and(|again| {
            again.sequence == self.sequence
                && again.first == self.first
                && again.agreement.digest == self.agreement.digest
                && again.decisions == self.decisions
        })
    }
}

/// What a performer holds between the steps.
pub trait Held {
    /// The item to deliver, and all that is needed for the call.
    type Item;
    /// The place of the link.
    type Place;
    /// The record with the intent.
    type Record;
    /// The link.
    type Link;
}

/// The next step.
pub enum Step<H: Held> {
    /// Look at the item, and at what the account allows.
    Inspect(Inspect),
    /// Make the objects that will carry the link, and try its Secret without the link.
    MakePlace(MakePlace<H>),
    /// Write the intent into the record, if the link is still due.
    WriteIntent(WriteIntent<H>),
    /// Have 1Password make the link.
    Obtain(Obtain<H>),
    /// See whether the loan is to end by now.
    LookAgain(Obtained<H>),
    /// Write the Secret.
    HandOver(HandOver<H>),
    /// Close the intent in the record.
    Close(Close<H>),
    /// No step remains.
    Done(Result<(), Failure>),
}

impl<H: Held> Step<H> {
    /// The first step.
    pub fn first(issue: IssueLink) -> Self {
        Self::Inspect(Inspect { issue })
    }

    /// The name of the step.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Inspect(_) => "Inspect",
            Self::MakePlace(_) => "MakePlace",
            Self::WriteIntent(_) => "WriteIntent",
            Self::Obtain(_) => "Obtain",
            Self::LookAgain(_) => "LookAgain",
            Self::HandOver(_) => "HandOver",
            Self::Close(_) => "Close",
            Self::Done(_) => "Done",
        }
    }
}

/// For performers that look at what could happen instead of making it happen.
impl<H: Held> Clone for Step<H>
where
    MakePlace<H>: Clone,
    WriteIntent<H>: Clone,
    Obtain<H>: Clone,
    Obtained<H>: Clone,
    HandOver<H>: Clone,
    Close<H>: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::Inspect(step) => Self::Inspect(step.clone()),
            Self::MakePlace(step) => Self::MakePlace(step.clone()),
            Self::WriteIntent(step) => Self::WriteIntent(step.clone()),
            Self::Obtain(step) => Self::Obtain(step.clone()),
            Self::LookAgain(step) => Self::LookAgain(step.clone()),
            Self::HandOver(step) => Self::HandOver(step.clone()),
            Self::Close(step) => Self::Close(step.clone()),
            Self::Done(result) => Self::Done(result.clone()),
        }
    }
}

impl<H: Held> fmt::Debug for Step<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The contents of a link's Secret besides the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// The link's number within the loan.
    pub sequence: u32,
    /// When the response with the link arrived.
    pub issued_at: Timestamp,
    /// When the link expires.
    pub expires_at: Timestamp,
    /// The item's version.
    pub item_version: u32,
    /// How to use the lent item.
    pub access_details: Option<AccessDetails>,
}

/// The item as 1Password returned it.
#[derive(Clone, Debug)]
pub struct Inspected<I> {
    /// What the performer holds.
    pub held: I,
    /// The item, without its contents.
    pub item: ItemSeen,
    /// The item's version.
    pub version: u32,
    /// The longest time for which the account lets a link open.
    pub opens_for: SignedDuration,
    /// How far 1Password's clock is known to be ahead of the operator's.
    pub clock_ahead: SignedDuration,
}

/// Look at the item.
#[derive(Clone, Debug)]
pub struct Inspect {
    /// What to issue.
    pub issue: IssueLink,
}

impl Inspect {
    /// Takes in the item, or why there is none. `flow` is the flow of the terms, if it still exists.
    pub fn inspected<H: Held>(
        self,
        inspected: Result<Inspected<H::Item>, Failure>,
        flow: Option<&AccessFlow>,
    ) -> Step<H> {
        let checked = inspected.and_then(|found| check_item(&self.issue, found, flow));
        match checked {
            Ok(found) => Step::MakePlace(MakePlace {
                link: Link {
                    opens_for: self.issue.opens_for.min(found.opens_for),
                    item_version: found.version,
                    clock_ahead: found.clock_ahead,
                    issue: self.issue,
                },
                item: found.held,
            }),
            Err(failure) => Step::Done(Err(failure)),
        }
    }
}

/// Whether the fetched item is the agreed one, and still one that the flow lends.
fn check_item<I>(
    issue: &IssueLink,
    found: Inspected<I>,
    flow: Option<&AccessFlow>,
) -> Result<Inspected<I>, Failure> {
    let terms = &issue.agreement.terms;
    if let Some(version) = issue.item_version {
        return match found.version == version {
            true => Ok(found),
            false => Err(Failure::ItemChanged),
        };
    }
    let is_same = found.item.updated_at.as_second() == terms.item_updated_at.0.as_second()
        && found.item.title == terms.item.title;
    let vault: &Resolved = &terms.vault;
    let lends = flow.is_some_and(|flow| item_matches(&flow.spec.items, vault, &found.item));
    match is_same && lends {
        true => Ok(found),
        false => Err(Failure::ItemDiffers),
    }
}

/// What is known of the link once its item was inspected.
#[derive(Clone, Debug)]
pub struct Link {
    /// What to issue.
    pub issue: IssueLink,
    /// The time for which the link will open.
    pub opens_for: SignedDuration,
    item_version: u32,
    clock_ahead: SignedDuration,
}

impl Link {
    /// The contents of the Secret if the link is issued at this time.
    pub fn facts(&self, issued_at: Timestamp) -> LinkFacts {
        LinkFacts {
            sequence: self.issue.sequence,
            issued_at,
            expires_at: self.expires_at(issued_at),
            item_version: self.item_version,
            access_details: self.issue.agreement.terms.access_details.clone(),
        }
    }

    fn expires_at(&self, issued_at: Timestamp) -> Timestamp {
        later(issued_at, self.opens_for)
    }
}

/// Make a place.
#[derive(Clone, Debug)]
pub struct MakePlace<H: Held> {
    /// The link.
    pub link: Link,
    item: H::Item,
}

impl<H: Held> MakePlace<H> {
    /// Takes in the place, or why there is none.
    pub fn placed(self, place: Result<H::Place, Failure>) -> Step<H> {
        match place {
            Ok(place) => Step::WriteIntent(WriteIntent {
                link: self.link,
                item: self.item,
                place,
            }),
            Err(failure) => Step::Done(Err(failure)),
        }
    }
}

/// Write the intent.
#[derive(Clone, Debug)]
pub struct WriteIntent<H: Held> {
    /// The link.
    pub link: Link,
    item: H::Item,
    place: H::Place,
}

/// How writing the intent went.
pub enum Written<R> {
    /// The intent is in this record.
    Yes {
        /// The record.
        record: R,
        /// The time in the intent.
        intent_at: Timestamp,
    },
    /// The link is no longer due: nothing was written.
    NotDue,
    /// Nothing was written, for this reason.
    No(Failure),
}

impl<H: Held> WriteIntent<H> {
    /// The content of a new record or of the existing one with the intent, if it is written at this
    /// time. `attempt` is a value that no other attempt has.
    pub fn applied(
        &self,
        record: Option<&AccessRecordSpec>,
        grant: Option<&AccessGrant>,
        attempt: Option<String>,
        now: Timestamp,
    ) -> AccessRecordSpec {
        let Link {
            issue,
            opens_for,
            item_version,
            clock_ahead,
        } = &self.link;
        let intent = LinkRecord {
            sequence: issue.sequence,
            intent_at: Time(now),
            attempt,
            latest_end: Time(latest_end(now, *opens_for, *clock_ahead)),
            issued_at: None,
            expires_at: None,
            item_version: Some(*item_version),
            outcome: None,
        };
        let mut spec = match record {
            Some(record) => record.clone(),
            None => AccessRecordSpec {
                ignored_decisions: issue.ignored.clone(),
                considered_flows: issue.considered.clone(),
                ..record::of_loan(grant, &issue.agreement, issue.decisions.clone())
            },
        };
        let interrupted = spec
            .links
            .iter_mut()
            .filter(|l| Some(l.sequence) == issue.lost);
        interrupted.for_each(|link| link.outcome = Some(LinkOutcome::Lost));
        spec.links.push(intent);
        spec
    }

    /// Takes in how the write went, at the time after it.
    pub fn written(self, written: Written<H::Record>, now: Timestamp) -> Step<H> {
        match written {
            // No call has been made. By the time of its answer, the link might open for longer than
            // the intent says.
            Written::Yes { record, intent_at } if now > later(intent_at, CALLED_WITHIN) => {
                let outcome = Outcome::Refused;
                let result = Err(Failure::Unavailable);
                Step::Close(Close::new(
                    record,
                    self.link.issue.sequence,
                    outcome,
                    result,
                ))
            }
            Written::Yes { record, intent_at } => Step::Obtain(Obtain {
                link: self.link,
                item: self.item,
                place: self.place,
                record,
                intent_at,
            }),
            Written::NotDue => Step::Done(Ok(())),
            Written::No(failure) => Step::Done(Err(failure)),
        }
    }
}

/// Have 1Password make the link.
#[derive(Clone, Debug)]
pub struct Obtain<H: Held> {
    /// The link.
    pub link: Link,
    /// The item.
    pub item: H::Item,
    place: H::Place,
    record: H::Record,
    intent_at: Timestamp,
}

/// Why 1Password gave no link.
#[derive(Clone, Debug)]
pub struct NotObtained {
    /// The reason.
    pub failure: Failure,
    /// Whether 1Password may have made the link nevertheless.
    pub may_exist: bool,
}

impl<H: Held> Obtain<H> {
    /// Takes in 1Password's answer, at the time of its arrival.
    pub fn obtained(self, answer: Result<H::Link, NotObtained>, answered_at: Timestamp) -> Step<H> {
        let issued_at = whole_second(answered_at);
        let until = self.link.expires_at(issued_at);
        let sequence = self.link.issue.sequence;
        let lost = Outcome::Lost { until };
        // The clocks' difference affects both and is left out.
        let latest = latest_end(self.intent_at, self.link.opens_for, SignedDuration::ZERO);
        match answer {
            // The call's time-out stands still while the machine sleeps: such a link opens for
            // longer than it may.
            Ok(_) if latest < until => {
                let result = Err(Failure::Unavailable);
                Step::Close(Close::new(self.record, sequence, lost, result))
            }
            Ok(obtained) => Step::LookAgain(Obtained {
                facts: self.link.facts(issued_at),
                place: self.place,
                record: self.record,
                obtained,
            }),
            Err(NotObtained { failure, may_exist }) => {
                let outcome = match may_exist {
                    true => lost,
                    false => Outcome::Refused,
                };
                Step::Close(Close::new(self.record, sequence, outcome, Err(failure)))
            }
        }
    }
}

/// A link that 1Password has made, and that nobody has yet.
#[derive(Clone, Debug)]
pub struct Obtained<H: Held> {
    facts: LinkFacts,
    place: H::Place,
    record: H::Record,
    obtained: H::Link,
}

impl<H: Held> Obtained<H> {
    /// Takes in whether the loan is to end. A link that nobody receives is opened by nobody, but
    /// cannot be taken back: it counts as lost.
    pub fn looked(self, is_to_end: bool) -> Step<H> {
        let facts = self.facts;
        match is_to_end {
            true => {
                let until = facts.expires_at;
                let lost = Outcome::Lost { until };
                Step::Close(Close::new(self.record, facts.sequence, lost, Ok(())))
            }
            false => Step::HandOver(HandOver {
                facts,
                place: self.place,
                record: self.record,
                link: self.obtained,
            }),
        }
    }
}

/// Write the Secret.
#[derive(Clone, Debug)]
pub struct HandOver<H: Held> {
    /// The contents of the Secret besides the link.
    pub facts: LinkFacts,
    /// Where the Secret is written.
    pub place: H::Place,
    /// The record with the intent.
    pub record: H::Record,
    /// The link.
    pub link: H::Link,
}

impl<H: Held> HandOver<H> {
    /// Takes in whether the Secret was written. If not, the intent stays open, and the next pass
    /// finds it interrupted.
    pub fn handed_over(self, written: Result<(), Failure>) -> Step<H> {
        match written {
            Ok(()) => Step::Close(Close::issued(self.record, &self.facts)),
            Err(failure) => Step::Done(Err(failure)),
        }
    }
}

/// Close the intent.
#[derive(Clone, Debug)]
pub struct Close<H: Held> {
    /// The record with the intent.
    pub record: H::Record,
    closing: Closing,
    result: Result<(), Failure>,
}

impl<H: Held> Close<H> {
    fn new(
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

    fn issued(record: H::Record, facts: &LinkFacts) -> Self {
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

    /// The reason why no link was issued; `None` also if the loan was to end by then.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// Takes in that the record is written.
    pub fn closed(self) -> Step<H> {
        Step::Done(self.result)
    }
}
