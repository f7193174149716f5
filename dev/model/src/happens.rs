//! What can happen to a loan, and what it changes.

use keyloan::api::{AccessGrant, Decision, RENEW_ANNOTATION};

use crate::Loan;
use crate::object::Object;
use crate::replica;
use crate::start::{MINUTES, decision, grant, time};
use crate::state::{Left, Next, Replica, State, Stored, Work};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The leader looks at the loan.
    Look(Sight),
    /// A replica does what it is in the middle of.
    Do(usize, How),
    /// A replica crashes, and starts again.
    Crash(usize),
    /// The other replica leads from now on.
    TakeOver,
    /// Somebody decides.
    Decide(Decision),
    /// Somebody deletes the request.
    DeleteRequest,
    /// Somebody deletes the Secret.
    DeleteSecret,
    /// The borrower asks for another link.
    Renew,
    /// Time passes, to the next time that matters.
    Wait,
}

/// What a replica sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What there is.
    Fresh,
    /// The request before its last change.
    OldRequest,
    /// The record before its last change.
    OldRecord,
    /// The Secret before its last change.
    OldSecret,
    /// Everything but the last decision.
    OldDecisions,
}

const OUT_OF_DATE: [Sight; 4] = [
    Sight::OldRequest,
    Sight::OldRecord,
    Sight::OldSecret,
    Sight::OldDecisions,
];

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It works; if the step looks again, this is what it sees.
    Works(Sight),
    /// The call fails, and has done nothing.
    Fails,
    /// It was done, but the answer is lost.
    AnswerLost,
}

impl State {
    /// The request was just made, and nobody has looked at it.
    pub fn first(bounds: Left) -> Self {
        Self {
            time: 0,
            grant: Stored::new(Some(Object::new(grant()))),
            record: Stored::new(None),
            secret: Stored::new(None),
            decisions: Vec::new(),
            shares: Vec::new(),
            replicas: [Replica::default(), Replica::default()],
            leader: 0,
            left: bounds,
            rests: false,
            broken: None,
        }
    }
}

/// Everything that can happen now.
pub fn possible(state: &State, actions: &mut Vec<Action>) {
    let left = &state.left;
    for (index, replica) in state.replicas.iter().enumerate() {
        let Some(work) = &replica.work else {
            continue;
        };
        actions.push(Action::Do(index, How::Works(Sight::Fresh)));
        if left.failed > 0 {
            actions.push(Action::Do(index, How::Fails));
        }
        if left.lost > 0 && replica::is_write(work) {
            actions.push(Action::Do(index, How::AnswerLost));
        }
        if left.stale > 0 && replica::looks_again(work) {
            let looks = OUT_OF_DATE
                .into_iter()
                .filter(|sight| differs(state, *sight));
            actions.extend(looks.map(|sight| Action::Do(index, How::Works(sight))));
        }
        if left.crashes > 0 {
            actions.push(Action::Crash(index));
        }
        if index == state.leader && left.takeovers > 0 {
            actions.push(Action::TakeOver);
        }
    }
    let is_in_the_middle = state.replicas[state.leader].work.is_some();
    if !is_in_the_middle && !state.rests {
        actions.push(Action::Look(Sight::Fresh));
        if left.stale > 0 {
            let looks = OUT_OF_DATE
                .into_iter()
                .filter(|sight| differs(state, *sight));
            actions.extend(looks.map(Action::Look));
        }
    }
    // What happens between two passes is seen by the second one, as if it had happened before the
    // end of the first.
    if !is_in_the_middle && !state.rests {
        return;
    }
    if let Some(grant) = &state.grant.now {
        let digest = grant.status.as_ref().and_then(|s| s.digest.as_ref());
        if left.decisions > 0 && digest.is_some() {
            actions.push(Action::Decide(Decision::Approve));
            actions.push(Action::Decide(Decision::Deny));
        }
        if left.renewals > 0 && state.record.now.is_some() {
            actions.push(Action::Renew);
        }
        if left.interventions > 0 {
            actions.push(Action::Decide(Decision::Revoke));
            actions.push(Action::DeleteRequest);
        }
    }
    if left.interventions > 0 && state.secret.now.is_some() {
        actions.push(Action::DeleteSecret);
    }
    // An intent that is written late is not written, as if the pass had been dropped; a call that
    // does not begin at once after the intent is not made.
    let hurries = state.replicas.iter().any(|replica| {
        let work = replica.work.as_ref();
        work.is_some_and(|work| work.is_step("WriteIntent") || work.is_step("Obtain"))
    });
    if state.time + 1 < MINUTES.len() && !hurries {
        actions.push(Action::Wait);
    }
}

/// Whether a look at something out of date shows anything else.
fn differs(state: &State, sight: Sight) -> bool {
    match sight {
        Sight::Fresh => true,
        Sight::OldRequest => state.grant.now != state.grant.before,
        Sight::OldRecord => state.record.now != state.record.before,
        Sight::OldSecret => state.secret.now != state.secret.before,
        Sight::OldDecisions => !state.decisions.is_empty(),
    }
}

/// Lets it happen; nothing if it changes nothing.
pub fn happen(model: &Loan, state: &mut State, action: Action) -> Option<()> {
    let now = time(state.time);
    state.rests = false;
    match action {
        Action::Look(sight) => {
            use_up(&mut state.left, sight);
            let found = replica::look(model, state, sight, now);
            state.rests = !found && sight == Sight::Fresh;
            return (found || state.rests).then_some(());
        }
        Action::Do(index, how) => {
            match how {
                How::Works(sight) => use_up(&mut state.left, sight),
                How::Fails => state.left.failed -= 1,
                How::AnswerLost => state.left.lost -= 1,
            }
            let work = state.replicas[index].work.take()?;
            let next = replica::goes_on(model, state, index, work, how, now);
            state.replicas[index].work = next;
        }
        Action::Crash(index) => {
            state.left.crashes -= 1;
            state.replicas[index] = Replica::default();
        }
        Action::TakeOver => {
            state.left.takeovers -= 1;
            state.leader = 1 - state.leader;
        }
        Action::Decide(what) => {
            match what {
                Decision::Revoke => state.left.interventions -= 1,
                Decision::Approve | Decision::Deny => state.left.decisions -= 1,
            }
            let status = state.grant.now.as_ref()?.status.as_ref();
            let digest = status.and_then(|status| status.digest.as_deref());
            let made = decision(state.decisions.len(), what, digest, now);
            state.decisions.push(Object::new(made));
        }
        Action::DeleteRequest => {
            state.left.interventions -= 1;
            state.grant.put(None);
        }
        Action::DeleteSecret => {
            state.left.interventions -= 1;
            state.secret.put(None);
        }
        Action::Renew => {
            state.left.renewals -= 1;
            let mut grant = AccessGrant::clone(state.grant.now.as_ref()?);
            let annotations = grant.metadata.annotations.get_or_insert_default();
            annotations.insert(RENEW_ANNOTATION.to_owned(), now.to_string());
            state.grant.put(Some(Object::new(grant)));
        }
        Action::Wait => state.time += 1,
    }
    Some(())
}

fn use_up(left: &mut Left, sight: Sight) {
    if sight != Sight::Fresh {
        left.stale -= 1;
    }
}

impl Work {
    /// Whether this is the step with this name.
    pub fn is_step(&self, name: &str) -> bool {
        matches!(&self.next, Next::Step(step) if step.name() == name)
    }
}
