//! What a replica sees, and what the plan decides about it, as `observe.rs` and `pass.rs` of the
//! operator's controllers have it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keyloan::api::{AccessGrant, AccessGrantStatus, AccessRecord};
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::delivery::links::Links;
use keyloan::plan::delivery::steps::{Inspect, Inspected, IssueLink, Step};
use keyloan::plan::effect::{Effect, Plan};
use keyloan::plan::grant::plan;
use keyloan::plan::inventory::{ItemSeen, Lookup};
use keyloan::plan::observed::Observed;

use crate::Loan;
use crate::happens::Sight;
use crate::kept::Kept;
use crate::memo::number;
use crate::object::Object;
use crate::start::GRANT_UID;
use crate::state::{Memory, Secret, State};
use crate::work::{InHand, Next, What};

/// What a replica sees.
pub struct View<'a> {
    state: &'a State,
    grant: Option<Object<AccessGrant>>,
    record: Option<Object<AccessRecord>>,
    secret: Option<Kept<Secret>>,
    decisions: usize,
    memory: Memory,
}

/// What the plan has decided.
pub struct Decided {
    /// What begins.
    pub begins: Begins,
    /// The link to issue, if any.
    pub issues: Option<IssueLink>,
    /// Whether a loan whose link was just issued ends.
    pub ends_issued: bool,
}

/// What begins.
pub enum Begins {
    /// Nothing.
    Nothing,
    /// The status is written.
    Status {
        /// The status.
        status: Kept<AccessGrantStatus>,
    },
    /// This is done.
    Work(Next),
    /// An attempt to issue a link, which has failed.
    Failed(Failure),
}

impl<'a> View<'a> {
    /// What a replica with this memory sees in a pass.
    pub fn of(state: &'a State, memory: Memory, sight: Sight) -> Self {
        let told = Self::told(state, memory, sight);
        // What the watch says of the Secret counts only if it fits the record.
        let is_expected = told.record.is_none_or(|record| {
            let spec = &record.spec;
            spec.end.is_some() || Secret::seen(told.secret).agrees_with(Links::of(spec))
        });
        Self {
            secret: match is_expected {
                true => told.secret,
                false => state.secret.now,
            },
            ..told
        }
    }

    /// The same if it believes what the watch says of the Secret.
    pub fn told(state: &'a State, memory: Memory, sight: Sight) -> Self {
        let record = match sight {
            Sight::OldRecord => state.record.before,
            _ => state.record.now,
        };
        let runs = record.as_ref().is_some_and(|r| r.spec.end.is_none());
        let grant = match sight {
            Sight::OldRequest => state.grant.before,
            _ => state.grant.now,
        };
        // A request that seems to be gone is read from the API server itself.
        let grant = match grant {
            None if runs => state.grant.now,
            grant => grant,
        };
        Self {
            state,
            grant,
            record,
            secret: match sight {
                Sight::OldSecret => state.secret.before,
                _ => state.secret.now,
            },
            decisions: match sight {
                Sight::OldDecisions => state.decisions.len() - 1,
                _ => state.decisions.len(),
            },
            memory,
        }
    }

    /// Whether it sees the record as it is.
    pub fn sees_the_record(&self) -> bool {
        self.record == self.state.record.now
    }

    /// A value that two views share if the plan cannot tell them apart.
    pub fn print(&self, now: Timestamp) -> impl std::hash::Hash + use<> {
        let decisions = (self.state.decisions, self.decisions);
        let at = now.as_second();
        let objects = (self.grant, self.record, self.secret);
        (objects, decisions, self.memory, at)
    }

    /// What the plan decides.
    pub fn decide(&self, model: &Loan, now: Timestamp) -> Arc<Decided> {
        let find = || Arc::new(self.find(model, now));
        model.memos.decided.answer(self.print(now), find)
    }

    /// The check of the boundary takes no time, and always passes: it is a part of the look.
    fn find(&self, model: &Loan, now: Timestamp) -> Decided {
        let mut decided = plan(&self.observed(model, now, false), now);
        if decided.effect == Some(Effect::CheckBoundary) {
            decided = plan(&self.observed(model, now, true), now);
        }
        let ends_issued = decided.ends_issued();
        let Plan {
            mut effect, status, ..
        } = decided;
        if let (Some(variant), Some(effect)) = (model.variant, &mut effect) {
            variant.spoils(effect);
        }
        let from_record = self.record.is_some();
        let mut issues = None;
        let begins = match effect {
            None => match status {
                Some(status) => {
                    let print = number(&format!("{status:?}"));
                    let status = model.stores.statuses.keep(print, || status);
                    Begins::Status { status }
                }
                None => Begins::Nothing,
            },
            Some(Effect::IssueLink(issue)) => {
                issues = Some(IssueLink::clone(&issue));
                match prepared(model, *issue) {
                    Step::Done(Err(failure)) => Begins::Failed(failure),
                    Step::Done(Ok(())) => Begins::Nothing,
                    step => Begins::Work(Next::new(model, What::Step(step))),
                }
            }
            Some(effect) => Begins::Work(Next::new(
                model,
                What::Effect {
                    effect,
                    from_record,
                },
            )),
        };
        Decided {
            begins,
            issues,
            ends_issued,
        }
    }

    fn observed(&self, model: &Loan, now: Timestamp, is_checked: bool) -> Observed {
        let decisions = self.state.decisions.iter().take(self.decisions);
        let mut seen = Observed {
            grant: self.grant.map(|grant| grant.shared()),
            record: self.record.map(|record| record.shared()),
            link: Secret::seen(self.secret),
            decisions: decisions.map(Object::shared).collect(),
            attempt: self.memory.attempt(now),
            undeleted: self.memory.undeleted(now),
            ..model.surroundings.clone()
        };
        if is_checked {
            let made = seen.decisions.iter();
            let made = made.filter_map(|decision| decision.metadata.uid.clone());
            seen.checked = made.chain([GRANT_UID.to_owned()]).collect();
        }
        if let Some(variant) = model.variant {
            variant.distorts(&mut seen);
        }
        seen
    }
}

/// The steps up to the intent. The item never changes, and the place is not modeled, because the
/// plan does not see it.
fn prepared(model: &Loan, issue: IssueLink) -> Step<InHand> {
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
