//! The schedule of a loan's links: the end of the loan, the current link, and the time of the next
//! one.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use crate::api::{AccessRecordSpec, LinkOutcome, LinkRecord};

use crate::plan::approval;

use super::kind::Delivery;

/// The longest duration of a call to 1Password. A later answer does not count.
pub const CALL_TIMEOUT: SignedDuration = SignedDuration::from_secs(60);

/// How long before its end a link may be followed by the next one.
pub const RENEWAL_MARGIN: SignedDuration = SignedDuration::from_mins(10);

/// The minimum interval between the beginnings of two links. Each link is one more that may still
/// open, so nobody can get many by deleting the Secret and asking again.
pub const RENEWED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// The number of consecutively lost links after which a person has to look.
pub const MOST_LOST: usize = 3;

/// The number of links that a record holds: the schema's bound.
const MOST_LINKS: usize = 2000;

/// The links of one loan, as its record keeps them.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    record: &'a AccessRecordSpec,
}

impl<'a> Links<'a> {
    /// The links that a record keeps.
    pub fn of(record: &'a AccessRecordSpec) -> Self {
        Self { record }
    }

    /// How the loan is delivered.
    pub fn delivery(self) -> Delivery {
        Delivery::of(&self.record.terms)
    }

    fn issued(self) -> impl DoubleEndedIterator<Item = &'a LinkRecord> {
        self.record
            .links
            .iter()
            .filter(|l| l.outcome == Some(LinkOutcome::Issued))
    }

    /// The link that was issued first.
    pub fn first(self) -> Option<&'a LinkRecord> {
        self.issued().next()
    }

    /// The link that was issued last.
    pub fn current(self) -> Option<&'a LinkRecord> {
        self.issued().next_back()
    }

    /// The open intent, if there is one.
    pub fn open(self) -> Option<&'a LinkRecord> {
        self.record.links.iter().rev().find(|l| l.outcome.is_none())
    }

    /// The sequence of the next link.
    pub fn next_sequence(self) -> u32 {
        self.record
            .links
            .iter()
            .map(|l| l.sequence)
            .max()
            .unwrap_or(0)
            .saturating_add(1)
    }

    /// Whether 1Password refused the last link.
    pub fn was_refused(self) -> bool {
        let last = self.record.links.last();
        last.is_some_and(|l| l.outcome == Some(LinkOutcome::Refused))
    }

    /// Whether the record takes no further link.
    pub fn is_full(self) -> bool {
        let links = &self.record.links;
        links.len() >= MOST_LINKS || links.iter().any(|l| l.sequence == u32::MAX)
    }

    /// The number of consecutively lost links at the end, of those tried since then. An interrupted
    /// link counts as lost.
    pub fn lost_in_a_row(self, since: Option<Timestamp>) -> usize {
        self.record
            .links
            .iter()
            .rev()
            .take_while(|l| matches!(l.outcome, None | Some(LinkOutcome::Lost)))
            .filter(|l| since.is_none_or(|since| l.intent_at.0.as_second() >= since.as_second()))
            .count()
    }

    /// When the loan started.
    pub fn granted_at(self) -> Option<Timestamp> {
        let first = self.first()?;
        Some(first.issued_at.as_ref().unwrap_or(&first.intent_at).0)
    }

    /// The duration of the loan, including reductions by its approvers.
    pub fn duration(self) -> SignedDuration {
        approval::duration(&self.record.terms, &self.record.decisions)
    }

    /// The end of the loan.
    pub fn loan_end(self) -> Option<Timestamp> {
        let duration = self.duration();
        self.granted_at()
            .map(|at| at.saturating_add(duration).unwrap_or(Timestamp::MAX))
    }

    /// The planned end of the borrower's access: the loan's end, or that of its only link.
    pub fn access_end(self) -> Option<Timestamp> {
        let end = self.loan_end()?;
        match self.renews() {
            true => Some(end),
            false => Some(self.current().map_or(end, |l| end_of(l).min(end))),
        }
    }

    /// Whether the loan can have another link after the current one.
    pub fn renews(self) -> bool {
        self.delivery().renews(&self.record.terms)
    }

    /// The longest time for which a link that is requested now may open; `None` if the loan ends
    /// too soon for any.
    pub fn opens_for(self, now: Timestamp) -> Option<SignedDuration> {
        let terms = &self.record.terms;
        let span = match self.loan_end() {
            // A link's lifetime starts when 1Password has made it, which may be as late as the
            // call's time-out.
            Some(end) => end.duration_since(now) - CALL_TIMEOUT,
            // An unreadable agreement starts nothing.
            None => {
                terms.duration.parse()?;
                self.duration()
            }
        };
        self.delivery().opens_for(span, terms)
    }

    /// The latest time at which to write the intent of a link that opens for this long so that it
    /// does not outlive the loan; `None` before the loan has started, because then it cannot.
    pub fn write_by(self, opens_for: SignedDuration) -> Option<Timestamp> {
        let end = self.loan_end()?.saturating_sub(opens_for);
        Some(answered_by(end.unwrap_or(Timestamp::MIN)))
    }

    /// The time until which some link of this loan may still open, whatever its outcome.
    pub fn residual(self, now: Timestamp) -> Option<Timestamp> {
        self.all_over().filter(|end| *end > now)
    }

    /// The time at which none of the links so far can open any longer.
    pub fn all_over(self) -> Option<Timestamp> {
        let delivery = self.delivery();
        let links = self.record.links.iter();
        links
            .filter_map(|link| delivery.may_open_until(link, CALL_TIMEOUT))
            .max()
    }
}

/// The end of a link: the known one, or the latest possible one.
pub fn end_of(link: &LinkRecord) -> Timestamp {
    match (&link.outcome, &link.expires_at) {
        (Some(LinkOutcome::Issued), Some(end)) => end.0,
        _ => link.latest_end.0,
    }
}

/// The latest time at which to write an intent so that the following call is over by the deadline.
pub fn answered_by(deadline: Timestamp) -> Timestamp {
    deadline
        .saturating_sub(CALL_TIMEOUT)
        .unwrap_or(Timestamp::MIN)
}

/// The latest time until which a link can open if its intent is written now, in whole seconds. The
/// link ends by 1Password's clock, which may be ahead of the operator's.
pub fn latest_end(
    intent_at: Timestamp,
    opens_for: SignedDuration,
    clock_ahead: SignedDuration,
) -> Timestamp {
    let end = intent_at
        .saturating_add(CALL_TIMEOUT)
        .and_then(|t| t.saturating_add(opens_for))
        .and_then(|t| t.saturating_add(clock_ahead))
        .unwrap_or(Timestamp::MAX);
    whole_second(end)
}

/// A time, rounded up to a whole second. Objects store whole seconds, rounded down, and the end of
/// a link would become too early by that.
pub fn whole_second(at: Timestamp) -> Timestamp {
    let up = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Ceil);
    at.round(up).unwrap_or(at)
}
