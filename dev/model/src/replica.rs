//! What a replica does: it looks, has the plan decide, and carries out one effect, as the
//! operator's controllers do.

use jiff::Timestamp;
use keyloan::api::{
    AccessGrant, AccessGrantStatus, AccessRecord, AccessRecordSpec, ENDED, Phase, link_name,
};
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::steps::Step;
use keyloan::plan::effect::Effect;

use crate::happens::{How, Sight};
use crate::kept::Kept;
use crate::object::Object;
use crate::observe::{Begins, View};
use crate::perform;
use crate::promises::TRUE;
use crate::same;
use crate::start::GRANT_UID;
use crate::state::{Failed, FailedAt, Share, State, Who};
use crate::work::{What, Work};
use crate::{Loan, Variant};

/// The leader looks. It writes a status at once; another effect is what it does next. Returns
/// whether anything has changed.
pub fn look(model: &Loan, state: &mut State, sight: Sight, now: Timestamp) -> bool {
    let view = View::of(state, state.leader.memory, sight);
    let is_current = view.sees_the_record();
    let decided = view.decide(model, now);
    match &decided.begins {
        Begins::Nothing => false,
        Begins::Status { status } => {
            if sight == Sight::Fresh && !is_true(state, status, now) {
                state.broken = Some(TRUE);
            }
            let said = written(model, state, *status);
            let said = said.map(|said| same::what_is_read(model, state, said));
            if said != state.grant.now {
                state.grant.put(said);
                return true;
            }
            state.broken.is_some()
        }
        Begins::Failed(failure) => {
            note_attempt(state, Who::Leader, &Err(failure.clone()));
            true
        }
        Begins::Work(next) => {
            state.leader.work = Some(Work {
                next: *next,
                is_current,
                has_looked: false,
            });
            true
        }
    }
}

/// The request with this status, if it still exists.
fn written(
    model: &Loan,
    state: &State,
    status: Kept<AccessGrantStatus>,
) -> Option<Object<AccessGrant>> {
    let before = state.grant.now?;
    let grants = &model.memos.grants;
    Some(grants.answer((before, status), || {
        model.stores.grants.keep_object(AccessGrant {
            status: Some(AccessGrantStatus::clone(&status)),
            ..AccessGrant::clone(&before)
        })
    }))
}

/// Whether what a status says of links is so.
fn is_true(state: &State, status: &AccessGrantStatus, now: Timestamp) -> bool {
    let holds = |type_| {
        let mut conditions = status.conditions.iter();
        conditions.any(|c| c.type_ == type_ && c.status == "True")
    };
    let open = |share: &&Share| share.opens_until > now;
    let held = state.secret.now.map(|secret| secret.sequence);
    let mut opens = state.shares.iter().filter(open);
    let opens = opens.any(|share| Some(share.sequence) == held);
    let is_active = !holds("Active") || opens;
    // A Secret that could not be deleted and whose link no longer opens holds up no end, but the
    // status names it.
    let name = link_name(GRANT_UID);
    let mut conditions = status.conditions.iter();
    let is_named = conditions.any(|c| c.type_ == ENDED && c.message.contains(&name));
    let nothing_opens = !state.shares.iter().any(|share| open(&share));
    let is_ended = !holds(ENDED) || (nothing_opens && (held.is_none() || is_named));
    let latest = state.shares.iter().filter(open);
    let latest = latest.map(|share| share.opens_until).max();
    let said = status.residual_until.as_ref().map(|until| until.0);
    let is_residual = status.phase != Some(Phase::Ending) || latest <= said;
    is_active && is_ended && is_residual
}

/// A replica does the next thing, and what follows becomes its work.
pub fn go_on(model: &Loan, state: &mut State, who: Who, how: How, now: Timestamp) -> Option<()> {
    let work = state.replica_mut(who).work.take()?;
    match work.next.what() {
        What::Effect {
            effect,
            from_record,
        } => {
            let effect = Carried {
                effect,
                from_record: *from_record,
                is_current: work.is_current,
                print: work.next.print(),
            };
            effect.carry_out(model, state, who, how);
        }
        What::Step(step) => {
            let after = perform::perform(model, state, who, step, &work, how, now);
            match after.as_ref().map(|work| work.next.what()) {
                Some(What::Step(Step::Done(result))) => note_attempt(state, who, result),
                _ => state.replica_mut(who).work = after,
            }
        }
    }
    Some(())
}

/// The leader looks and does everything that follows, without any trouble. Returns whether there
/// was anything to do.
pub fn works_on(model: &Loan, state: &mut State, now: Timestamp) -> bool {
    let is_busy = look(model, state, Sight::Fresh, now);
    let how = How::Works(Sight::Fresh);
    while go_on(model, state, Who::Leader, how, now).is_some() {}
    is_busy
}

fn note_attempt(state: &mut State, who: Who, result: &Result<(), Failure>) {
    state.replica_mut(who).memory.attempt = result.as_ref().err().map(Failed::of);
}

/// Changes the record, if it is still the one from which the change was decided. `what` identifies
/// the change.
pub fn swap(
    model: &Loan,
    state: &mut State,
    is_current: bool,
    what: u64,
    change: impl FnOnce(&AccessRecordSpec) -> AccessRecordSpec,
) -> bool {
    let Some(record) = state.record.now else {
        return false;
    };
    if !is_current && model.variant != Some(Variant::OverwritesRecords) {
        return false;
    }
    let changed = model.memos.records.answer((record, what), || {
        model.stores.records.keep_object(AccessRecord {
            metadata: record.metadata.clone(),
            spec: change(&record.spec),
        })
    });
    state.put_record(Some(changed));
    true
}

/// Creates the record. `what` identifies its content.
pub fn create(
    model: &Loan,
    state: &mut State,
    what: u64,
    now: Timestamp,
    spec: impl FnOnce() -> AccessRecordSpec,
) {
    let created = model.memos.records.answer((0_u64, what), || {
        let mut record = AccessRecord::new(GRANT_UID, spec());
        record.metadata.creation_timestamp = Some(keyloan::api::Time(now));
        model.stores.records.keep_object(record)
    });
    state.put_record(Some(created));
}

/// An effect that is carried out.
struct Carried<'a> {
    effect: &'a Effect,
    from_record: bool,
    is_current: bool,
    print: u64,
}

impl Carried<'_> {
    fn carry_out(&self, model: &Loan, state: &mut State, who: Who, how: How) {
        let fails = how == How::Fails;
        let (is_current, print) = (self.is_current, self.print);
        match self.effect {
            // A record that was not seen knows the link.
            Effect::DeleteLink if !self.from_record && state.record.now.is_some() => {}
            Effect::DeleteLink => {
                let failed = fails.then_some(FailedAt::Now);
                state.replica_mut(who).memory.undeleted = failed;
                let keeps = model.variant == Some(Variant::KeepsTheSecret);
                if !fails && !keeps && state.secret.now.is_some() {
                    state.excepted += u8::from(!is_current && state.is_unnoted());
                    state.secret.put(None);
                }
            }
            Effect::EndLoan(end) if !fails => {
                swap(model, state, is_current, print, |spec| end.applied(spec));
            }
            Effect::FinishLink(closing) if !fails => {
                swap(model, state, is_current, print, |spec| {
                    closing.applied(spec)
                });
            }
            Effect::RecordUnlent(spec) if !fails && state.record.now.is_none() => {
                let now = crate::start::time(state.time);
                create(model, state, print, now, || AccessRecordSpec::clone(spec));
            }
            Effect::DeleteGrant if !fails => state.grant.put(None),
            Effect::DeleteRecord if !fails => state.put_record(None),
            _ => {}
        }
    }
}
