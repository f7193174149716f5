//! Makes states equal that differ only in what makes no difference from now on.

use keyloan::api::{
    APPROVED, AccessGrant, AccessGrantStatus, AccessRecordSpec, LinkOutcome, RENEW_ANNOTATION, Time,
};
use keyloan::plan::delivery::links::Links;

use crate::Loan;
use crate::left::Left;
use crate::object::Object;
use crate::start::time;
use crate::state::{Memory, State};

/// Leaves out what nobody sees from now on.
pub fn leave_out(model: &Loan, state: &mut State) {
    if model.is_plain {
        return;
    }
    if state.left.stale == 0 {
        state.grant.forget();
        state.record.forget();
        state.secret.forget();
    }
    let variant = model.variant;
    state.leader.work.take_if(|work| !work.goes_on(variant));
    // The other replica does not look again unless it leads again.
    if state.left.takeovers == 0 {
        state.other.memory = Memory::default();
        let other = &mut state.other.work;
        other.take_if(|work| !work.can_change_anything(variant));
    }
    leave_out_of_the_request(model, state);
    if !state.is_over() || state.secret.now.is_some() {
        return;
    }
    // People do nothing more about a loan that is over.
    (state.left.decisions, state.left.interventions) = (0, 0);
    let rests = state.leader.work.is_none() && state.other.work.is_none();
    if rests && state.left.stale == 0 {
        state.left = Left {
            renewals: state.left.renewals,
            ..Left::default()
        };
    }
}

fn leave_out_of_the_request(model: &Loan, state: &mut State) {
    let (now, before) = (state.grant.now, state.grant.before);
    state.grant.now = now.map(|grant| what_is_read(model, state, grant));
    state.grant.before = before.map(|grant| what_is_read(model, state, grant));
}

/// What is read of a request.
///
/// Once there is a record, a plan that sees it reads little of the request: of its status the
/// digest, and, before the loan has started, whether it says that the loan was approved and has
/// ended (`vet_word` in the plan); and of its metadata when another link was asked for, if that was
/// after the link that there is or may be.
pub fn what_is_read(
    model: &Loan,
    state: &State,
    grant: Object<AccessGrant>,
) -> Object<AccessGrant> {
    let Some(record) = state.record.now.filter(|_| !model.is_plain) else {
        return grant;
    };
    // A look out of date may see the record before.
    let sees_now = state.left.stale == 0;
    let all_see = |what: fn(&AccessRecordSpec) -> bool| {
        let before = state.record.before;
        what(&record.spec) && (sees_now || before.is_some_and(|before| what(&before.spec)))
    };
    let read = Read {
        renewal: !is_served(&grant, &record.spec),
        // A plan that sees no record reads all of the status.
        all: !all_see(|_| true),
        approval: !all_see(|spec| Links::of(spec).granted_at().is_some()),
    };
    model.memos.requests.answer((grant, read), || {
        let mut part = AccessGrant::clone(&grant);
        if !read.renewal
            && let Some(annotations) = &mut part.metadata.annotations
        {
            annotations.remove(RENEW_ANNOTATION);
            if annotations.is_empty() {
                part.metadata.annotations = None;
            }
        }
        if !read.all
            && let Some(status) = part.status
        {
            part.status = Some(read.of(status));
        }
        model.stores.grants.keep_object(part)
    })
}

/// Which parts of a request are read.
#[derive(Clone, Copy, Hash)]
struct Read {
    renewal: bool,
    all: bool,
    approval: bool,
}

impl Read {
    fn of(self, status: AccessGrantStatus) -> AccessGrantStatus {
        let mut conditions = status.conditions;
        conditions.retain(|condition| self.approval && condition.type_ == APPROVED);
        AccessGrantStatus {
            digest: status.digest,
            terms: status.terms,
            ended_at: status
                .ended_at
                .filter(|_| self.approval)
                .map(|_| Time(time(0))),
            conditions,
            ..AccessGrantStatus::default()
        }
    }
}

/// Whether the request for another link, if there is one, makes no difference: it was made before the
/// links that count for it, or at the time of their intents. Later links are even younger.
fn is_served(grant: &Object<AccessGrant>, record: &AccessRecordSpec) -> bool {
    let annotations = grant.metadata.annotations.as_ref();
    let asked = annotations.and_then(|all| all.get(RENEW_ANNOTATION));
    let asked: Option<jiff::Timestamp> = asked.and_then(|asked| asked.parse().ok());
    let counts = |outcome| matches!(outcome, None | Some(LinkOutcome::Issued));
    let mut links = record.links.iter().filter(|link| counts(link.outcome));
    links.all(|link| asked.is_none_or(|asked| asked.as_second() <= link.intent_at.0.as_second()))
}
