//! Tells how a state came about.

use stateright::Model as _;

use crate::Loan;
use crate::happens::{Action, How, Sight};
use crate::start::time;
use crate::state::{State, Who};

/// What has happened, one sentence for each thing.
pub fn story(model: &Loan, actions: &[Action]) -> Vec<String> {
    let mut state = State::first(model);
    let mut told = vec![format!("{:.0}  a request is made", time(0))];
    for action in actions {
        let Some(next) = model.next_state(&state, *action) else {
            told.push(format!("{action:?} changes nothing"));
            break;
        };
        let what = sentence(&state, &next, *action);
        told.push(format!("{:.0}  {what}", time(next.time)));
        state = next;
    }
    told
}

fn sentence(before: &State, after: &State, action: Action) -> String {
    match action {
        Action::Look(sight) => {
            let follows = match after.leader.work {
                Some(work) => format!("and is about to do {}", work.next.name()),
                None if after.grant.now != before.grant.now => "and writes the status".into(),
                None => "and does what follows".into(),
            };
            format!("the leader looks{} {follows}", out_of_date(sight))
        }
        Action::Do(who, how) => {
            let name = match who {
                Who::Leader => "the leader",
                Who::Other => "the one that led before",
            };
            let work = before.replica(who).work;
            let does = match work {
                Some(work) if after.replica(who).work.is_some_and(|next| next.has_looked) => {
                    format!("looks before {} that its intent stands", work.next.name())
                }
                Some(work) => format!("does {}", work.next.name()),
                None => "does nothing".into(),
            };
            let went = match how {
                How::Works(sight) => out_of_date(sight),
                How::Fails => ", which fails",
                How::AnswerLost => ", and the answer is lost",
            };
            format!("{name} {does}{went}")
        }
        Action::Crash => "the leader crashes, and starts again".into(),
        Action::TakeOver => "the other replica takes the lead".into(),
        Action::Decide(what) => format!("somebody decides: {what:?}"),
        Action::DeleteRequest => "somebody deletes the request".into(),
        Action::DeleteSecret => "somebody deletes the Secret".into(),
        Action::Renew => "the borrower asks for another link".into(),
        Action::Wait => "time passes".into(),
    }
}

fn out_of_date(sight: Sight) -> &'static str {
    match sight {
        Sight::Fresh => "",
        Sight::OldRequest => " (at the request before its last change)",
        Sight::OldRecord => " (at the record before its last change)",
        Sight::OldSecret => " (at the Secret before its last change)",
        Sight::OldDecisions => " (without the last decision)",
    }
}
