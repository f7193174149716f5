//! What can happen to a loan, and what it changes.

use jiff::Timestamp;
use keyloan::api::{AccessGrant, Decision, RENEW_ANNOTATION};

use crate::Loan;
use crate::left::Left;
use crate::perform;
use crate::replica;
use crate::start::{decision, time};
use crate::state::{Memory, Replica, State, Who};
use crate::work::{What, Work};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The leader looks at the loan.
    Look(Sight),
    /// A replica does what it is in the middle of.
    Do(Who, How),
    /// The leader crashes, and starts again.
    Crash,
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

/// Everything that can happen now.
pub fn possible(model: &Loan, state: &State, actions: &mut Vec<Action>) {
    if !model.is_plain
        && let Some((who, work)) = calls(state)
    {
        return goes_on(model, state, who, work, actions);
    }
    for who in [Who::Leader, Who::Other] {
        if let Some(work) = &state.replica(who).work {
            goes_on(model, state, who, work, actions);
        }
    }
    let left = &state.left;
    if state.leader.work.is_some() {
        if left.takeovers > 0 {
            actions.push(Action::TakeOver);
        }
    } else {
        actions.push(Action::Look(Sight::Fresh));
        actions.extend(out_of_date(state).map(Action::Look));
    }
    if left.crashes > 0 && (model.is_plain || can_crash(&state.leader)) {
        actions.push(Action::Crash);
    }
    if (model.is_plain || is_noticed(state)) && !state.is_over() && !state.is_late() {
        people_act(state, actions);
    }
    if can_wait(model, state) {
        actions.push(Action::Wait);
    }
}

/// A replica that is about to call 1Password: then nothing else happens before its call.
///
/// The call reads nothing that others change, and changes nothing that they read, but for the time,
/// and it has to begin at once. So whatever happens before it may as well happen after it. A crash
/// before the call is like one after it, but with a link less to account for: a promise that is
/// broken without that link is broken with it, too, because each says that links are bounded.
fn calls(state: &State) -> Option<(Who, &Work)> {
    let all = [Who::Leader, Who::Other].into_iter();
    let mut works = all.filter_map(|who| Some((who, state.replica(who).work.as_ref()?)));
    works.find(|(_, work)| work.next.is_step("Obtain"))
}

/// Whether a crash of this replica changes anything: it forgets something, or leaves an intent. A
/// crash before an intent or an effect is the same as one before the look, of which nothing remains.
fn can_crash(leader: &Replica) -> bool {
    let work = leader.work.as_ref();
    let is_begun = |work: &Work| {
        matches!(work.next.what(), What::Step(_)) && !work.next.is_step("WriteIntent")
    };
    work.is_some_and(is_begun) || (work.is_none() && leader.memory != Memory::default())
}

/// How a replica can go on. The other one may stop at any point, which is the same as going on
/// never: what would only stop it is left out.
fn goes_on(model: &Loan, state: &State, who: Who, work: &Work, actions: &mut Vec<Action>) {
    let left = &state.left;
    let is_step = |names: &[&str]| names.iter().any(|name| work.next.is_step(name));
    actions.push(Action::Do(who, How::Works(Sight::Fresh)));
    if work.next.looks() {
        let looks = out_of_date(state).map(|sight| Action::Do(who, How::Works(sight)));
        actions.extend(looks);
    }
    // A look before a write that fails, or whose answer is lost, is like a write that fails.
    if is_step(&["HandOver"]) && !perform::writes_now(model, state, who, work) {
        return;
    }
    let leads = who == Who::Leader;
    // Another effect that fails leaves what there was before the look.
    let is_tried = matches!(work.next.what(), What::Step(_)) || work.next.name() == "DeleteLink";
    if left.failed > 0 && (leads && is_tried || is_step(&["Obtain", "LookAgain"])) {
        actions.push(Action::Do(who, How::Fails));
    }
    // Nobody waits for the answer to an effect: the next look sees whether it was carried out. The
    // same is true of a link that was issued.
    let waits = is_step(&["WriteIntent", "HandOver"]) || work.next.ends_a_failure();
    if left.lost > 0 && (is_step(&["Obtain"]) || (leads && waits)) {
        actions.push(Action::Do(who, How::AnswerLost));
    }
}

/// Looks at something out of date that show anything else.
fn out_of_date(state: &State) -> impl Iterator<Item = Sight> {
    let differs = |sight: &Sight| match sight {
        Sight::Fresh => true,
        Sight::OldRequest => state.grant.now != state.grant.before,
        Sight::OldRecord => state.record.now != state.record.before,
        Sight::OldSecret => state.secret.now != state.secret.before,
        Sight::OldDecisions => !state.decisions.is_empty(),
    };
    let looks = OUT_OF_DATE.into_iter().filter(|_| state.left.stale > 0);
    looks.filter(differs)
}

/// Whether anybody may look next. What people do is noticed only by a look, so it makes no
/// difference whether it happens before or after the steps that do not look: it happens after them.
fn is_noticed(state: &State) -> bool {
    let looks = |replica: &Replica| {
        let work = replica.work.as_ref();
        work.is_some_and(|work| work.next.looks())
    };
    state.leader.work.is_none() || looks(&state.leader) || looks(&state.other)
}

fn people_act(state: &State, actions: &mut Vec<Action>) {
    let left = &state.left;
    if let Some(grant) = &state.grant.now {
        let digest = grant.status.as_ref().and_then(|s| s.digest.as_ref());
        if left.decisions > 0 && digest.is_some() {
            // A second approval and a denial after the start count for nothing.
            let mut decisions = state.decisions.iter();
            if !decisions.any(|d| d.spec.decision == Decision::Approve) {
                actions.push(Action::Decide(Decision::Approve));
            }
            if state.started_at().is_none_or(|at| at >= time(state.time)) {
                actions.push(Action::Decide(Decision::Deny));
            }
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
}

/// Whether time may pass: if anybody notices it.
fn can_wait(model: &Loan, state: &State) -> bool {
    let work = state.leader.work.as_ref();
    // The time of a failure is noticed by the next look.
    let may_fail = work.is_some_and(|work| {
        let is_deletion = match work.next.what() {
            What::Effect { .. } => work.next.name() == "DeleteLink",
            What::Step(_) => work.next.is_step("HandOver"),
        };
        let lost = state.left.lost > 0 && work.next.is_step("HandOver");
        work.next.ends_a_failure() || lost || (state.left.failed > 0 && is_deletion)
    });
    // A call that does not begin at once after the intent is not made.
    let is_about_to_call = work.is_some_and(|work| work.next.is_step("Obtain"));
    let is_noticed = model.is_plain || is_noticed(state) || may_fail;
    !state.is_late() && !is_about_to_call && is_noticed
}

/// Lets it happen; nothing if it changes nothing.
pub fn happen(model: &Loan, state: &mut State, action: Action) -> Option<()> {
    let now = time(state.time);
    match action {
        Action::Look(sight) => {
            use_up(&mut state.left, sight);
            replica::look(model, state, sight, now).then_some(())?;
            do_what_must_follow(model, state, now);
        }
        Action::Do(who, how) => {
            match how {
                How::Works(sight) => use_up(&mut state.left, sight),
                How::Fails => {
                    let work = state.replica(who).work.as_ref();
                    let looks = work.is_some_and(|work| work.next.is_step("LookAgain"));
                    if looks && !perform::is_misled(model, state, who, now) {
                        return None;
                    }
                    state.left.failed -= 1;
                }
                How::AnswerLost => state.left.lost -= 1,
            }
            replica::go_on(model, state, who, how, now)?;
        }
        Action::Crash => {
            state.left.crashes -= 1;
            state.leader = Replica::default();
        }
        Action::TakeOver => {
            state.left.takeovers -= 1;
            std::mem::swap(&mut state.leader, &mut state.other);
        }
        Action::Decide(what) => {
            match what {
                Decision::Revoke => state.left.interventions -= 1,
                Decision::Approve | Decision::Deny => state.left.decisions -= 1,
            }
            let grant = state.grant.now?;
            let before = state.decisions;
            let question = (before, grant, what as u8, now.as_second());
            state.decisions = model.memos.decisions.answer(question, || {
                let digest = grant.status.as_ref().and_then(|s| s.digest.as_deref());
                let decision = decision(before.len(), what, digest, now);
                let mut decisions = Vec::clone(&before);
                decisions.push(model.stores.decision.keep_object(decision));
                model.stores.decided(decisions)
            });
        }
        Action::DeleteRequest => {
            state.left.interventions -= 1;
            state.grant.put(None);
        }
        Action::DeleteSecret => {
            state.left.interventions -= 1;
            state.excepted += u8::from(state.is_unnoted());
            state.secret.put(None);
        }
        Action::Renew => {
            state.left.renewals -= 1;
            let before = state.grant.now?;
            let asked = || {
                let mut grant = AccessGrant::clone(&before);
                let annotations = grant.metadata.annotations.get_or_insert_default();
                annotations.insert(RENEW_ANNOTATION.to_owned(), now.to_string());
                model.stores.grants.keep_object(grant)
            };
            let question = (before, "asks", now.as_second());
            let asked = model.memos.grants.answer(question, asked);
            state.grant.put(Some(asked));
        }
        Action::Wait => {
            state.time += 1;
            state.leader.memory.grows_older();
            state.other.memory.grows_older();
            // It does not call 1Password any longer.
            let other = &mut state.other.work;
            other.take_if(|work| work.next.is_step("Obtain"));
        }
    }
    Some(())
}

/// Nothing else can happen between a look and its effect: then they are one.
fn do_what_must_follow(model: &Loan, state: &mut State, now: Timestamp) {
    let work = state.leader.work.as_ref();
    let is_effect = work.is_some_and(|work| matches!(work.next.what(), What::Effect { .. }));
    if !is_effect || model.is_plain {
        return;
    }
    let mut actions = Vec::new();
    possible(model, state, &mut actions);
    if let [Action::Do(who, how)] = actions[..] {
        replica::go_on(model, state, who, how, now);
    }
}

fn use_up(left: &mut Left, sight: Sight) {
    if sight != Sight::Fresh {
        left.stale -= 1;
    }
}
