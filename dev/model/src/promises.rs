//! What holds in every state.

use std::collections::BTreeSet;

use jiff::Timestamp;
use keyloan::api::{AccessRecordSpec, LinkOutcome};
use keyloan::plan::delivery::links::Links;
use stateright::Property;

use crate::Loan;
use crate::replica;
use crate::start::{MINUTES, time};
use crate::state::{Share, State};

/// A link began although nobody had agreed, or after a refusal that the replica had seen.
pub const AGREED: &str = "a link begins only with an approval, and without a refusal";
/// A status said something else than what there was.
pub const TRUE: &str = "a status that was made from fresh looks says what is true";

/// All promises.
pub fn all() -> Vec<Property<Loan>> {
    vec![
        Property::always(
            "each link is in the record, with its end",
            |_, state: &State| state.shares.iter().all(|share| is_recorded(state, share)),
        ),
        Property::always("one intent makes one link", |_, state: &State| {
            let numbers: BTreeSet<_> = state.shares.iter().map(|share| share.sequence).collect();
            numbers.len() == state.shares.len()
        }),
        Property::always(
            "nobody can get more links than were asked for",
            |model: &Loan, state: &State| {
                let asked = model.bounds.renewals - state.left.renewals;
                issued(state) <= 1 + usize::from(asked)
            },
        ),
        Property::always("no link outlives its loan", |_, state: &State| {
            let end = spec(state).and_then(|spec| Links::of(spec).loan_end());
            let end = end.unwrap_or(Timestamp::MAX);
            state.shares.iter().all(|share| share.opens_until <= end)
        }),
        Property::always(
            "an ended loan's record says until when a link may open",
            |_, state: &State| {
                let Some((spec, end)) =
                    spec(state).and_then(|spec| Some((spec, spec.end.as_ref()?)))
                else {
                    return true;
                };
                let residual = spec.residual_until.as_ref().map(|until| until.0);
                let open = state.shares.iter().map(|share| share.opens_until);
                let open = open.filter(|until| *until > end.at.0);
                open.max() <= residual
            },
        ),
        Property::always(AGREED, |_, state: &State| state.broken != Some(AGREED)),
        Property::always(TRUE, |_, state: &State| state.broken != Some(TRUE)),
        Property::always(
            "without further events, a loan ends, and nothing of it can be read",
            |model: &Loan, state: &State| {
                let rests = state.replicas.iter().all(|replica| replica.work.is_none());
                let is_late = state.time + 1 == MINUTES.len();
                !(rests && is_late) || comes_to_an_end(model, state)
            },
        ),
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
    let held = state.secret.now.as_ref().map(|secret| secret.sequence);
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

/// Lets the leader work until it rests, now and a day later.
fn comes_to_an_end(model: &Loan, state: &State) -> bool {
    let mut state = state.clone();
    let mut now = time(state.time);
    for _ in 0..2 {
        for _ in 0..40 {
            if !replica::works_on(model, &mut state, now) {
                break;
            }
        }
        now += jiff::SignedDuration::from_hours(25);
    }
    let is_over = match spec(&state) {
        Some(spec) => spec.end.is_some(),
        None => state.shares.is_empty(),
    };
    let said = state
        .grant
        .now
        .as_ref()
        .and_then(|grant| grant.status.as_ref());
    let is_said = said.is_none_or(|status| {
        !status
            .conditions
            .iter()
            .any(|c| c.type_ == "Active" && c.status == "True")
    });
    is_over && is_said && state.secret.now.is_none()
}
