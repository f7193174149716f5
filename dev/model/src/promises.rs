//! What holds in every state.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::{ACTIVE, AccessRecordSpec, LinkOutcome};
use keyloan::plan::delivery::links::Links;
use stateright::Property;

use crate::Loan;
use crate::happens::Sight;
use crate::observe::{Begins, View};
use crate::replica;
use crate::start::time;
use crate::state::{Replica, Share, State};

/// Each link is counted.
pub const RECORDED: &str = "each link is in the record, with its end";
/// No two links are counted as one.
pub const ONE_EACH: &str = "one intent makes one link";
/// A borrower asks for each link that was ever in the Secret, but for those that
/// [`State::excepted`] counts.
pub const ASKED: &str = "nobody can get more links than were asked for";
/// A loan bounds its links.
pub const WITHIN: &str = "no link outlives its loan";
/// An ended loan does not hide what still opens.
pub const RESIDUAL: &str = "an ended loan's record says until when a link may open";
/// A link began although nobody had agreed, or after a refusal that the replica had seen.
pub const AGREED: &str = "a link begins only with an approval, and without a refusal";
/// A link took the place of a later one.
pub const FORWARD: &str = "no link in the Secret is replaced by an earlier one";
/// A status said something else than what there was.
pub const TRUE: &str = "a status that was made from fresh looks says what is true";
/// Nothing stays by itself.
pub const ENDS: &str = "without further events, a loan ends, and nothing of it can be read";

/// The promises that an action breaks, not a state.
pub const BREAKABLE: [&str; 3] = [AGREED, FORWARD, TRUE];

/// All promises.
pub fn all() -> Vec<Property<Loan>> {
    vec![
        Property::always(RECORDED, |_, state: &State| {
            state.shares.iter().all(|share| is_recorded(state, share))
        }),
        Property::always(ONE_EACH, |_, state: &State| {
            let numbers: BTreeSet<_> = state.shares.iter().map(|share| share.sequence).collect();
            numbers.len() == state.shares.len()
        }),
        Property::always(ASKED, |model: &Loan, state: &State| {
            let asked = model.bounds.renewals - state.left.renewals;
            let handed = state.shares.iter().filter(|share| share.is_handed);
            let excepted = if model.is_strict { 0 } else { state.excepted };
            handed.count() <= 1 + usize::from(asked) + usize::from(excepted)
        }),
        Property::always(WITHIN, |_, state: &State| {
            let end = spec(state).and_then(|spec| Links::of(spec).loan_end());
            let end = end.unwrap_or(Timestamp::MAX);
            state.shares.iter().all(|share| share.opens_until <= end)
        }),
        Property::always(RESIDUAL, |_, state: &State| {
            let Some(ended) = spec(state).filter(|spec| spec.end.is_some()) else {
                return true;
            };
            let said = ended.residual_until.as_ref().map(|until| until.0);
            let open = state.shares.iter().map(|share| share.opens_until);
            open.filter(|until| *until > time(state.time)).max() <= said
        }),
        Property::always(AGREED, |_, state: &State| state.broken != Some(AGREED)),
        Property::always(FORWARD, |_, state: &State| state.broken != Some(FORWARD)),
        Property::always(TRUE, |_, state: &State| state.broken != Some(TRUE)),
        Property::always(ENDS, |model: &Loan, state: &State| {
            let rests = state.leader.work.is_none();
            !(rests && state.is_late()) || comes_to_an_end(model, state)
        }),
        // The bounds are wide enough for what the promises are about.
        Property::sometimes("a loan is renewed", |_, state: &State| issued(state) > 1),
        Property::sometimes("a link is lost", |_, state: &State| {
            has_outcome(state, LinkOutcome::Lost)
        }),
        Property::sometimes("a loan ends", |_, state: &State| {
            spec(state).is_some_and(|spec| spec.end.is_some())
        }),
    ]
}

fn spec(state: &State) -> Option<&AccessRecordSpec> {
    state.record.now.as_ref().map(|record| &record.spec)
}

fn has_outcome(state: &State, outcome: LinkOutcome) -> bool {
    let links = spec(state).map_or(&[][..], |spec| &spec.links);
    links.iter().any(|link| link.outcome == Some(outcome))
}

/// How many links were handed over, or are in the Secret without the record knowing yet.
fn issued(state: &State) -> usize {
    let links = spec(state).map_or(&[][..], |spec| &spec.links);
    let held = state.secret.now.map(|secret| secret.sequence);
    links
        .iter()
        .filter(|link| link.outcome == Some(LinkOutcome::Issued) || Some(link.sequence) == held)
        .count()
}

fn is_recorded(state: &State, share: &Share) -> bool {
    let links = spec(state).map_or(&[][..], |spec| &spec.links);
    let mut of_it = links.iter().filter(|link| link.sequence == share.sequence);
    of_it.any(|link| {
        link.latest_end.0 >= share.opens_until && link.outcome != Some(LinkOutcome::Refused)
    })
}

/// Lets the leader work until it rests, now and twice a day later. The other replica never goes on.
fn comes_to_an_end(model: &Loan, state: &State) -> bool {
    let State {
        grant,
        record,
        secret,
        decisions,
        shares,
        leader,
        ..
    } = state;
    let has_shares = shares.is_empty();
    let objects = (&grant.now, &record.now, &secret.now, decisions);
    let question = (objects, has_shares, leader, state.time);
    model.memos.ends.answer(question, || {
        let mut state = *state;
        state.other = Replica::default();
        let mut now = time(state.time);
        for _ in 0..3 {
            for _ in 0..40 {
                if !replica::works_on(model, &mut state, now) {
                    break;
                }
            }
            now += SignedDuration::from_hours(25);
            state.leader.memory.grows_older();
        }
        has_ended(model, &state, now)
    })
}

fn has_ended(model: &Loan, state: &State, now: Timestamp) -> bool {
    let is_over = match spec(state) {
        Some(spec) => spec.end.is_some(),
        None => state.shares.is_empty(),
    };
    let last = View::of(state, state.leader.memory, Sight::Fresh).decide(model, now);
    let is_active = match &last.begins {
        Begins::Status { status, .. } => {
            let mut said = status.conditions.iter();
            said.any(|c| c.type_ == ACTIVE && c.status == "True")
        }
        _ => false,
    };
    is_over && !is_active && state.secret.now.is_none()
}
