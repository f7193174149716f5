//! Searches every order in which things can happen to one loan, within bounds: two replicas of the
//! operator, crashes, lost answers, failed calls, looks at something out of date, people who decide
//! or end the loan, and time. What decides and what issues a link is the operator's own code, the
//! plan and the steps; the model only performs them. `docs/reliability.md` says what is searched,
//! and what is assumed.

mod happens;
mod kept;
mod left;
mod memo;
mod object;
mod observe;
mod packed;
mod perform;
mod promises;
mod replica;
mod same;
mod search;
mod seen;
mod start;
mod state;
mod story;
mod variant;
mod work;

use std::sync::Arc;

use keyloan::api::{AccessDecision, AccessGrant, AccessGrantStatus, AccessRecord};
use keyloan::plan::observed::Observed;
use stateright::{Expectation, Model, Property};

use kept::{Kept, Store};
use memo::{Memo, number};
use object::Object;
use observe::Decided;
use state::{Secret, Share};
use work::{Next, What};

pub use happens::Action;
pub use left::Left;
pub use search::{Found, Options, Progress, Search};
pub use state::State;
pub use story::story;
pub use variant::Variant;

/// A search: its bounds, and what is broken on purpose.
pub struct Loan {
    /// What may happen.
    pub bounds: Left,
    /// What is broken on purpose, if anything.
    pub variant: Option<Variant>,
    /// The only promise that is looked at, if not all are.
    pub only: Option<&'static str>,
    /// Whether the promise about the number of links excepts nothing.
    pub is_strict: bool,
    /// Whether nothing is left out that makes no difference: to test that it makes none.
    pub is_plain: bool,
    surroundings: Observed,
    memos: Memos,
    stores: Stores,
}

/// Answers of the plan in one state that hold in others.
#[derive(Default)]
struct Memos {
    decided: Memo<Arc<Decided>>,
    next: Memo<Next>,
    grants: Memo<Object<AccessGrant>>,
    requests: Memo<Object<AccessGrant>>,
    records: Memo<Object<AccessRecord>>,
    decisions: Memo<Kept<Vec<Object<AccessDecision>>>>,
    ends: Memo<bool>,
}

/// The values that states consist of.
#[derive(Default)]
struct Stores {
    grants: Store<Arc<AccessGrant>>,
    records: Store<Arc<AccessRecord>>,
    secrets: Store<Secret>,
    decision: Store<Arc<AccessDecision>>,
    decisions: Store<Vec<Object<AccessDecision>>>,
    shares: Store<Vec<Share>>,
    works: Store<What>,
    statuses: Store<AccessGrantStatus>,
}

impl Stores {
    fn decided(&self, decisions: Vec<Object<AccessDecision>>) -> Kept<Vec<Object<AccessDecision>>> {
        self.decisions.keep(number(&decisions), || decisions)
    }

    fn shared(&self, shares: Vec<Share>) -> Kept<Vec<Share>> {
        self.shares.keep(number(&shares), || shares)
    }
}

impl Loan {
    /// A search within these bounds.
    pub fn new(bounds: Left, variant: Option<Variant>) -> Self {
        Self {
            bounds,
            variant,
            only: None,
            is_strict: false,
            is_plain: false,
            surroundings: start::surroundings(),
            memos: Memos::default(),
            stores: Stores::default(),
        }
    }

    /// The names of the promises.
    pub fn promises(&self) -> Vec<&'static str> {
        self.names(Expectation::Always)
    }

    /// What every search has to see, or it has looked at too little.
    pub fn examples(&self) -> Vec<&'static str> {
        self.names(Expectation::Sometimes)
    }

    fn names(&self, what: Expectation) -> Vec<&'static str> {
        let properties = self.properties().into_iter();
        let properties = properties.filter(|property| property.expectation == what);
        properties.map(|property| property.name).collect()
    }
}

impl Model for Loan {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        happens::possible(self, state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        state.broken = None;
        happens::happen(self, &mut state, action)?;
        same::leave_out(self, &mut state);
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = promises::all();
        all.retain(|promise| self.only.is_none_or(|only| promise.name == only));
        all
    }
}
