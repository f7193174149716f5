//! Searches every order in which things can happen to one loan, within bounds: two replicas of the
//! operator, crashes, lost answers, failed calls, looks at something out of date, people who decide
//! or end the loan, and time. What decides and what issues a link is the operator's own code, the
//! plan and the steps; the model only performs them. `docs/reliability.md` says what is searched,
//! and what is assumed.

mod happens;
mod left;
mod memo;
mod object;
mod observe;
mod perform;
mod promises;
mod replica;
mod start;
mod state;
mod variant;
mod work;

use std::sync::Arc;

use keyloan::api::{AccessDecision, AccessGrant, AccessGrantStatus, AccessRecord};
use keyloan::plan::observed::Observed;
use stateright::{Model, Property};

use memo::Memo;
use object::Object;
use observe::Decided;
use work::Next;

pub use happens::Action;
pub use left::Left;
pub use state::State;
pub use variant::Variant;

/// A search: its bounds, and what is broken on purpose.
pub struct Loan {
    /// What may happen.
    pub bounds: Left,
    /// What is broken on purpose, if anything.
    pub variant: Option<Variant>,
    surroundings: Observed,
    memos: Memos,
}

/// What was worked out in one state and holds in others.
#[derive(Default)]
struct Memos {
    decided: Memo<Arc<Decided>>,
    statuses: Memo<Arc<AccessGrantStatus>>,
    next: Memo<Next>,
    grants: Memo<Object<AccessGrant>>,
    records: Memo<Object<AccessRecord>>,
    decisions: Memo<Object<AccessDecision>>,
    ends: Memo<bool>,
}

impl Loan {
    /// A search within these bounds.
    pub fn new(bounds: Left, variant: Option<Variant>) -> Self {
        Self {
            bounds,
            variant,
            surroundings: start::surroundings(),
            memos: Memos::default(),
        }
    }

    /// The names of the promises.
    pub fn promises(&self) -> Vec<&'static str> {
        self.properties()
            .into_iter()
            .map(|property| property.name)
            .collect()
    }
}

impl Model for Loan {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self.bounds)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        happens::possible(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        state.broken = None;
        happens::happen(self, &mut state, action)?;
        state.forget_what_nobody_sees(self.variant);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
