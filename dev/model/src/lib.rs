//! Searches every order in which things can happen to one loan, within bounds: two replicas of the
//! operator, crashes, lost answers, failed calls, looks at something out of date, people who decide
//! or end the loan, and time. What decides and what issues a link is the operator's own code, the
//! plan and the steps; the model only performs them.
//!
//! It assumes that the API server orders the writes to one object and refuses one that was decided
//! from another version of a record, and that a call to 1Password begins within its time after the
//! intent, and takes no longer than its time-out.

mod happens;
mod object;
mod promises;
mod replica;
mod start;
mod state;
mod variant;

use keyloan::plan::observed::Observed;
use stateright::{Model, Property};

pub use happens::Action;
pub use state::{Left, State};
pub use variant::Variant;

/// A search: its bounds, and what is broken on purpose.
pub struct Loan {
    /// What may happen.
    pub bounds: Left,
    /// What is broken on purpose, if anything.
    pub variant: Option<Variant>,
    surroundings: Observed,
}

impl Loan {
    /// A search within these bounds.
    pub fn new(bounds: Left, variant: Option<Variant>) -> Self {
        Self {
            bounds,
            variant,
            surroundings: start::surroundings(),
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
        state.forget_what_nobody_sees();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
