//! How a replica performs one step of issuing a link.

use jiff::Timestamp;
use keyloan::api::{AccessRecordSpec, Decision};
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::steps::{LinkFacts, NotObtained, Step, WriteIntent, Written};

use crate::happens::{How, Sight};
use crate::memo::number;
use crate::observe::View;
use crate::promises::{AGREED, FORWARD};
use crate::replica::{create, swap};
use crate::state::{Secret, Share, State, Who};
use crate::work::{InHand, Next, What, Work};
use crate::{Loan, Variant};

/// Performs a step; `None` if the pass ends without a result, because a write has failed.
pub fn perform(
    model: &Loan,
    state: &mut State,
    who: Who,
    step: &Step<InHand>,
    work: &Work,
    how: How,
    now: Timestamp,
) -> Option<Work> {
    let sight = match how {
        How::Works(sight) => sight,
        How::Fails | How::AnswerLost => Sight::Fresh,
    };
    let memory = state.replica(who).memory;
    let mut is_current = work.is_current;
    // What follows, found once for each answer to this step.
    let then = |answer: u8, next: &dyn Fn() -> Step<InHand>| {
        let question = (work.next, answer, now.as_second());
        let find = || Next::new(model, What::Step(next()));
        model.memos.next.answer(question, find)
    };
    let next = match step {
        Step::WriteIntent(step) => {
            let view = View::of(state, memory, sight);
            let is_due = step
                .link
                .issue
                .is_still(view.decide(model, now).issues.as_ref());
            if now > step.link.issue.write_by || !is_due {
                then(0, &|| step.clone().written(Written::NotDue, now))
            } else if how == How::Fails {
                then(1, &|| step.clone().written(Written::No(no_record()), now))
            } else {
                let is_fresh = sight == Sight::Fresh;
                if !write_intent(model, state, step, work, is_fresh, now) {
                    return None;
                }
                is_current = true;
                match how {
                    How::AnswerLost => {
                        then(1, &|| step.clone().written(Written::No(no_record()), now))
                    }
                    _ => then(2, &|| {
                        let written = Written::Yes {
                            record: (),
                            intent_at: now,
                        };
                        step.clone().written(written, now)
                    }),
                }
            }
        }
        Step::Obtain(step) => {
            if how != How::Fails && model.variant != Some(Variant::CallsBeforeTheIntent) {
                make_share(model, state, &step.link.facts(now));
            }
            let repeats = model.variant == Some(Variant::RepeatsTheCall);
            if how == How::AnswerLost && repeats {
                make_share(model, state, &step.link.facts(now));
            }
            let failed = |may_exist| NotObtained {
                failure: Failure::Unavailable,
                may_exist,
            };
            match how {
                How::Works(_) => then(0, &|| step.clone().obtained(Ok(()), now)),
                How::Fails => then(1, &|| step.clone().obtained(Err(failed(false)), now)),
                How::AnswerLost if repeats => then(0, &|| step.clone().obtained(Ok(()), now)),
                How::AnswerLost => then(2, &|| step.clone().obtained(Err(failed(true)), now)),
            }
        }
        Step::LookAgain(step) => {
            let view = View::told(state, memory, sight);
            let is_to_end = match how {
                How::Fails => assumes_the_end(state),
                _ => view.decide(model, now).ends_issued,
            };
            then(u8::from(is_to_end), &|| step.clone().looked(is_to_end))
        }
        Step::HandOver(step) => {
            let stands = is_current || is_unchecked(model);
            if stands && !writes_now(model, state, who, work) {
                let has_looked = true;
                return Some(Work {
                    has_looked,
                    ..*work
                });
            }
            let may_write = stands || work.has_looked;
            let is_there =
                may_write && how != How::Fails && write_secret(model, state, &step.facts);
            if is_there && !stands {
                state.excepted += 1;
            }
            match how {
                How::Works(_) if is_there => then(0, &|| step.clone().handed_over(Ok(()))),
                _ => then(1, &|| {
                    let failure = Failure::NotKept("no answer".into());
                    step.clone().handed_over(Err(failure))
                }),
            }
        }
        Step::Close(step) => {
            let print = work.next.print();
            let closed = |spec: &AccessRecordSpec| step.closing().applied(spec);
            let is_written = how != How::Fails && swap(model, state, is_current, print, closed);
            if !is_written || how == How::AnswerLost {
                return None;
            }
            then(0, &|| step.clone().closed())
        }
        Step::Inspect(_) | Step::MakePlace(_) | Step::Done(_) => work.next,
    };
    Some(Work {
        next,
        is_current,
        has_looked: false,
    })
}

/// Whether this replica writes the Secret next, not to look before whether its intent stands. If
/// nobody else can change the record, both are one.
pub fn writes_now(model: &Loan, state: &State, who: Who, work: &Work) -> bool {
    let is_alone = who == Who::Leader && state.other.work.is_none() && state.left.takeovers == 0;
    work.has_looked || is_unchecked(model) || (is_alone && !model.is_plain)
}

fn is_unchecked(model: &Loan) -> bool {
    model.variant == Some(Variant::HandsOverUnchecked)
}

/// Writes the Secret, unless it holds a later link. Returns whether it then holds this one.
///
/// The operator writes the version that it made the place with or, if that has changed, the one that
/// it reads then, if it holds no later link; if it changes once more, the write fails. So nothing
/// that happens between that read and the write makes a difference.
fn write_secret(model: &Loan, state: &mut State, facts: &LinkFacts) -> bool {
    let held = state.secret.now.map(|secret| secret.sequence);
    if held == Some(facts.sequence) {
        return true;
    }
    if held.is_some_and(|held| held > facts.sequence) {
        if model.variant != Some(Variant::ReplacesLaterLinks) {
            return false;
        }
        state.broken = Some(FORWARD);
    }
    let secret = Secret {
        sequence: facts.sequence,
        issued_at: facts.issued_at,
        item_version: facts.item_version,
    };
    let stores = &model.stores;
    let secret = stores.secrets.keep(number(&secret), || secret);
    state.secret.put(Some(secret));
    let mut shares = Vec::clone(&state.shares);
    let handed = shares.iter_mut().filter(|s| s.sequence == facts.sequence);
    handed.for_each(|share| share.is_handed = true);
    state.shares = stores.shared(shares);
    true
}

/// Whether a loan whose link was just issued is taken for ended if it cannot be looked at.
fn assumes_the_end(state: &State) -> bool {
    state.grant.now.is_none()
}

/// Whether it makes a difference that the look after the issue of a link fails.
pub fn is_misled(model: &Loan, state: &State, who: Who, now: Timestamp) -> bool {
    let view = View::told(state, state.replica(who).memory, Sight::Fresh);
    view.decide(model, now).ends_issued != assumes_the_end(state)
}

fn no_record() -> Failure {
    Failure::NoRecord {
        why: "no answer".into(),
        refused: false,
    }
}

/// 1Password makes a link.
fn make_share(model: &Loan, state: &mut State, facts: &LinkFacts) {
    let mut shares = Vec::clone(&state.shares);
    shares.push(Share {
        sequence: facts.sequence,
        opens_until: facts.expires_at,
        is_handed: false,
    });
    shares.sort();
    state.shares = model.stores.shared(shares);
}

/// Writes the intent, unless somebody has changed the record.
///
/// The look and the write are one step, although others may do something between them. If they
/// change the record, the write fails, as it does if they do so before the look. What else they do
/// is noticed by neither, so it may as well happen after both.
fn write_intent(
    model: &Loan,
    state: &mut State,
    step: &WriteIntent<InHand>,
    work: &Work,
    is_fresh: bool,
    now: Timestamp,
) -> bool {
    let issue = &step.link.issue;
    if model.variant == Some(Variant::CallsBeforeTheIntent) {
        make_share(model, state, &step.link.facts(now));
    }
    let is_agreed = is_agreed(state);
    let what = number(&(work.next, now.as_second()));
    let is_written = match issue.first {
        false => swap(model, state, work.is_current, what, |spec| {
            step.applied(Some(spec), None, None, now)
        }),
        true if state.record.now.is_some() => false,
        true => {
            let grant = state.grant.now.map(|grant| grant.shared());
            create(model, state, what, now, || {
                step.applied(None, grant.as_deref(), None, now)
            });
            true
        }
    };
    if is_written && is_fresh && !is_agreed {
        state.broken = Some(AGREED);
    }
    is_written
}

/// Whether somebody has approved, and nobody refused. A denial counts only before the loan has
/// started.
fn is_agreed(state: &State) -> bool {
    let decided = |what| state.decisions.iter().any(|d| d.spec.decision == what);
    let is_denied = state.started_at().is_none() && decided(Decision::Deny);
    decided(Decision::Approve) && !is_denied && !decided(Decision::Revoke)
}
