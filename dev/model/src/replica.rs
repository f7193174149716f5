//! What a replica does: it looks, has the plan decide, and carries out one effect, as the
//! operator's controllers do.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::{
    AccessGrant, AccessGrantStatus, AccessRecord, AccessRecordSpec, Decision, ENDED, Phase,
};
use keyloan::plan::delivery::failure::{Attempt, Failure, Undeleted};
use keyloan::plan::delivery::links::Links;
use keyloan::plan::delivery::steps::{
    Inspect, Inspected, IssueLink, NotObtained, Step, WriteIntent, Written,
};
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::inventory::{ItemSeen, Lookup};
use keyloan::plan::observed::{LinkSeen, Observed};

use crate::happens::{How, Sight};
use crate::object::Object;
use crate::promises::{AGREED, TRUE};
use crate::start::GRANT_UID;
use crate::state::{InHand, Next, Secret, Share, State, Work};
use crate::{Loan, Variant};

/// Whether the next thing is a write, or a call that changes something.
pub fn is_write(work: &Work) -> bool {
    match &work.next {
        Next::Step(step) => matches!(step.name(), "WriteIntent" | "Obtain" | "Close"),
        Next::Effect(_) => true,
    }
}

/// Whether the next thing begins with another look.
pub fn looks_again(work: &Work) -> bool {
    work.is_step("WriteIntent") || work.is_step("LookAgain")
}

/// The leader looks. What others cannot notice is done at once: it checks the boundary, looks at
/// the item and writes the status; another effect is what it does next. Returns whether anything
/// has changed.
pub fn look(model: &Loan, state: &mut State, sight: Sight, now: Timestamp) -> bool {
    let leader = state.leader;
    let (seen, record) = observe(model, state, leader, sight);
    let Plan { effect, status, .. } = plan(&seen, now);
    let Some(mut effect) = effect else {
        let said = state
            .grant
            .now
            .as_ref()
            .and_then(|grant| grant.status.as_ref());
        let Some(status) = status.filter(|status| Some(status) != said) else {
            return false;
        };
        if sight == Sight::Fresh && !is_true(state, &status, now) {
            state.broken = Some(TRUE);
        }
        write_status(state, status);
        return true;
    };
    if let Some(variant) = model.variant {
        variant.spoils(&mut effect);
    }
    let next = match effect {
        Effect::CheckBoundary => {
            state.replicas[leader].memory.checked = Some(state.decisions.len());
            return true;
        }
        Effect::IssueLink(issue) => match inspected(model, *issue) {
            Step::Done(result) => {
                note_attempt(state, leader, result, now);
                return true;
            }
            step => Next::Step(step),
        },
        effect => Next::Effect(Box::new(effect)),
    };
    state.replicas[leader].work = Some(Work::new(next, record));
    true
}

/// The steps up to the intent. The place is not modelled: the plan does not see it.
fn inspected(model: &Loan, issue: IssueLink) -> Step<InHand> {
    let mut step = Step::first(issue);
    loop {
        step = match step {
            Step::Inspect(step) => {
                let flow = model.surroundings.flows.first().map(Arc::as_ref);
                let inspected = inspect(model, &step);
                step.inspected(Ok(inspected), flow)
            }
            Step::MakePlace(step) => step.placed(Ok(())),
            step => return step,
        };
    }
}

/// Whether what a status says of links is so.
fn is_true(state: &State, status: &AccessGrantStatus, now: Timestamp) -> bool {
    let holds = |type_| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == type_ && c.status == "True")
    };
    let open = |share: &&Share| share.opens_until > now;
    let held = state.secret.now.as_ref().map(|secret| secret.sequence);
    let opens = state
        .shares
        .iter()
        .filter(open)
        .any(|share| Some(share.sequence) == held);
    let is_active = !holds("Active") || opens;
    let is_ended = !holds(ENDED) || (held.is_none() && !state.shares.iter().any(|s| open(&s)));
    let latest = state
        .shares
        .iter()
        .filter(open)
        .map(|share| share.opens_until)
        .max();
    let said = status.residual_until.as_ref().map(|until| until.0);
    let is_residual = status.phase != Some(Phase::Ending) || latest <= said;
    is_active && is_ended && is_residual
}

/// What a replica observes, and the version of the record in it.
fn observe(model: &Loan, state: &State, replica: usize, sight: Sight) -> (Observed, u8) {
    let old = |which| sight == which;
    let (record, version) = match old(Sight::OldRecord) {
        true => (&state.record.before, state.record.version.saturating_sub(1)),
        false => (&state.record.now, state.record.version),
    };
    let runs = record
        .as_ref()
        .is_some_and(|record| record.spec.end.is_none());
    let grant = match old(Sight::OldRequest) {
        true => &state.grant.before,
        false => &state.grant.now,
    };
    // A request that seems to be gone is read from the API server itself.
    let grant = match grant {
        None if runs => &state.grant.now,
        grant => grant,
    };
    let told = match old(Sight::OldSecret) {
        true => &state.secret.before,
        false => &state.secret.now,
    };
    let as_seen = |secret: &Option<Object<Secret>>| {
        secret
            .as_ref()
            .map_or(LinkSeen::Absent, |secret| secret.seen())
    };
    let told = as_seen(told);
    let is_expected = record.as_ref().is_none_or(|record| {
        record.spec.end.is_some() || told.agrees_with(Links::of(&record.spec))
    });
    let link = match is_expected {
        true => told,
        false => as_seen(&state.secret.now),
    };
    let known = match old(Sight::OldDecisions) {
        true => state.decisions.len() - 1,
        false => state.decisions.len(),
    };
    let memory = &state.replicas[replica].memory;
    let mut seen = Observed {
        grant: grant.as_ref().map(Object::shared),
        record: record.as_ref().map(Object::shared),
        link,
        decisions: state
            .decisions
            .iter()
            .take(known)
            .map(Object::shared)
            .collect(),
        attempt: memory.attempt.clone(),
        undeleted: memory.undeleted.clone(),
        ..model.surroundings.clone()
    };
    if let Some(checked) = memory.checked {
        let uids = state
            .decisions
            .iter()
            .take(checked)
            .filter_map(|d| d.metadata.uid.clone());
        seen.checked = uids.chain([GRANT_UID.to_owned()]).collect();
    }
    if let Some(variant) = model.variant {
        variant.distorts(&mut seen);
    }
    (seen, version)
}

/// A replica does the next thing; returns what follows.
pub fn goes_on(
    model: &Loan,
    state: &mut State,
    replica: usize,
    work: Work,
    how: How,
    now: Timestamp,
) -> Option<Work> {
    let Work { next, record, .. } = work;
    match next {
        Next::Effect(effect) => {
            carry_out(model, state, replica, *effect, record, how, now);
            None
        }
        Next::Step(step) => {
            let step = perform(model, state, replica, step, record, how, now)?;
            match step {
                Step::Done(result) => {
                    note_attempt(state, replica, result, now);
                    None
                }
                step => Some(Work::new(Next::Step(step), record)),
            }
        }
    }
}

/// The leader looks and does everything that follows, without any trouble. Returns whether there
/// was anything to do.
pub fn works_on(model: &Loan, state: &mut State, now: Timestamp) -> bool {
    let leader = state.leader;
    let is_busy = look(model, state, Sight::Fresh, now);
    while let Some(work) = state.replicas[leader].work.take() {
        let how = How::Works(Sight::Fresh);
        state.replicas[leader].work = goes_on(model, state, leader, work, how, now);
    }
    is_busy
}

fn write_status(state: &mut State, status: AccessGrantStatus) {
    if let Some(grant) = &state.grant.now {
        let mut grant = AccessGrant::clone(grant);
        grant.status = Some(status);
        state.grant.put(Some(Object::new(grant)));
    }
}

fn note_attempt(state: &mut State, replica: usize, result: Result<(), Failure>, now: Timestamp) {
    let memory = &mut state.replicas[replica].memory;
    let count = memory.attempt.as_ref().map_or(0, |attempt| attempt.count);
    memory.attempt = result.err().map(|failure| Attempt {
        at: now,
        failure,
        count: count + 1,
    });
}

/// Changes the record if it still has this version.
fn swap(
    model: &Loan,
    state: &mut State,
    version: u8,
    change: impl FnOnce(&AccessRecordSpec) -> AccessRecordSpec,
) -> bool {
    let is_current = state.record.version == version;
    let Some(record) = &state.record.now else {
        return false;
    };
    if !is_current && model.variant != Some(Variant::OverwritesRecords) {
        return false;
    }
    let record = AccessRecord {
        metadata: record.metadata.clone(),
        spec: change(&record.spec),
    };
    state.record.put(Some(Object::new(record)));
    true
}

fn carry_out(
    model: &Loan,
    state: &mut State,
    replica: usize,
    effect: Effect,
    version: u8,
    how: How,
    now: Timestamp,
) {
    let fails = how == How::Fails;
    match effect {
        Effect::DeleteLink if fails => {
            let memory = &mut state.replicas[replica].memory;
            memory.undeleted = Some(Undeleted {
                at: now,
                why: "no answer".into(),
                is_passing: true,
                count: 1,
            });
        }
        Effect::DeleteLink => {
            state.replicas[replica].memory.undeleted = None;
            if state.secret.now.is_some() && model.variant != Some(Variant::KeepsTheSecret) {
                state.secret.put(None);
            }
        }
        Effect::EndLoan(end) if !fails => {
            swap(model, state, version, |spec| end.applied(spec));
        }
        Effect::FinishLink(closing) if !fails => {
            swap(model, state, version, |spec| AccessRecordSpec {
                links: closing.applied(&spec.links),
                ..spec.clone()
            });
        }
        Effect::RecordDenial(spec) if !fails && state.record.now.is_none() => {
            put_record(state, *spec, now);
        }
        Effect::DeleteGrant if !fails => state.grant.put(None),
        Effect::DeleteRecord if !fails => state.record.put(None),
        _ => {}
    }
}

fn put_record(state: &mut State, spec: AccessRecordSpec, now: Timestamp) {
    let mut record = AccessRecord::new(GRANT_UID, spec);
    record.metadata.creation_timestamp = Some(keyloan::api::Time(now));
    state.record.put(Some(Object::new(record)));
}

/// Performs a step; `None` if the pass ends without a result, because a write has failed.
fn perform(
    model: &Loan,
    state: &mut State,
    replica: usize,
    step: Step<InHand>,
    version: u8,
    how: How,
    now: Timestamp,
) -> Option<Step<InHand>> {
    let unavailable = || Failure::Unavailable;
    let sight = match how {
        How::Works(sight) => sight,
        How::Fails | How::AnswerLost => Sight::Fresh,
    };
    Some(match step {
        Step::WriteIntent(step) => {
            let written = write_intent(model, state, replica, &step, version, how, sight, now)?;
            step.written(written, now)
        }
        Step::Obtain(step) => {
            if how != How::Fails && model.variant != Some(Variant::CallsBeforeTheIntent) {
                make_share(state, &step.link.facts(now));
            }
            let answer = match how {
                How::Works(_) => Ok(()),
                How::Fails | How::AnswerLost => Err(NotObtained {
                    failure: unavailable(),
                    may_exist: how == How::AnswerLost,
                }),
            };
            step.obtained(answer, now)
        }
        Step::LookAgain(step) => {
            let (mut seen, _) = observe(model, state, replica, sight);
            // It uses what the watch tells of the Secret, because nobody else writes it.
            if let (Sight::OldSecret, Some(secret)) = (sight, &state.secret.before) {
                seen.link = secret.seen();
            }
            let is_to_end = how == How::Fails || plan(&seen, now).ends_issued();
            step.looked(is_to_end)
        }
        Step::HandOver(step) => {
            let facts = &step.facts;
            if how == How::Fails {
                return Some(step.handed_over(Err(Failure::NotKept("no answer".into()))));
            }
            state.secret.put(Some(Object::new(Secret {
                sequence: facts.sequence,
                issued_at: facts.issued_at,
                item_version: facts.item_version,
            })));
            step.handed_over(Ok(()))
        }
        Step::Close(step) => {
            let links = |spec: &AccessRecordSpec| AccessRecordSpec {
                links: step.closing().applied(&spec.links),
                ..spec.clone()
            };
            let is_written = how != How::Fails && swap(model, state, step.record, links);
            if !is_written || how == How::AnswerLost {
                return None;
            }
            step.closed()
        }
        step @ (Step::Inspect(_) | Step::MakePlace(_) | Step::Done(_)) => step,
    })
}

fn make_share(state: &mut State, facts: &keyloan::plan::delivery::steps::LinkFacts) {
    state.shares.push(Share {
        sequence: facts.sequence,
        made_at: facts.issued_at,
        opens_until: facts.expires_at,
    });
}

/// The item as 1Password has it.
fn inspect(model: &Loan, step: &Inspect) -> Inspected<()> {
    let terms = &step.issue.agreement.terms;
    let integration = model.surroundings.integration.as_ref();
    let inventory = integration.and_then(|integration| integration.inventory.as_ref());
    let item = match inventory.map(|inventory| inventory.vault(&terms.vault.id)) {
        Some(Lookup::One(vault)) => match vault.item(&terms.item.id) {
            Lookup::One(item) => Some(item.clone()),
            _ => None,
        },
        _ => None,
    };
    Inspected {
        held: (),
        item: item.unwrap_or_else(|| ItemSeen {
            id: String::new(),
            title: String::new(),
            tags: Vec::new(),
            updated_at: Timestamp::UNIX_EPOCH,
            active: false,
        }),
        version: 1,
        opens_for: SignedDuration::MAX,
        clock_ahead: SignedDuration::ZERO,
    }
}

#[expect(clippy::too_many_arguments, reason = "it is one step of `perform`")]
fn write_intent(
    model: &Loan,
    state: &mut State,
    replica: usize,
    step: &WriteIntent<InHand>,
    version: u8,
    how: How,
    sight: Sight,
    now: Timestamp,
) -> Option<Written<u8>> {
    let issue = &step.link.issue;
    let (seen, _) = observe(model, state, replica, sight);
    if now > issue.write_by || !issue.is_still(plan(&seen, now).issues()) {
        return Some(Written::NotDue);
    }
    if model.variant == Some(Variant::CallsBeforeTheIntent) {
        make_share(state, &step.link.facts(now));
    }
    if how == How::Fails {
        return Some(Written::No(Failure::NoRecord {
            why: "no answer".into(),
            refused: false,
        }));
    }
    if sight == Sight::Fresh && !is_agreed(state, issue.first) {
        state.broken = Some(AGREED);
    }
    if issue.first {
        if state.record.now.is_some() {
            return None;
        }
        let grant = state.grant.now.as_ref().map(Object::shared);
        let spec = step.applied(None, grant.as_deref(), None, now);
        put_record(state, spec, now);
    } else if !swap(model, state, version, |spec| {
        step.applied(Some(spec), None, None, now)
    }) {
        return None;
    }
    match how {
        How::AnswerLost => None,
        _ => Some(Written::Yes {
            record: state.record.version,
            intent_at: now,
        }),
    }
}

/// Whether somebody has approved, and nobody refused. A denial counts only before the first link.
fn is_agreed(state: &State, first: bool) -> bool {
    let decided = |what| state.decisions.iter().any(|d| d.spec.decision == what);
    let is_denied = first && decided(Decision::Deny);
    decided(Decision::Approve) && !is_denied && !decided(Decision::Revoke)
}
