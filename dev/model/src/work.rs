//! What a replica is in the middle of.

use std::fmt;

use keyloan::plan::delivery::closing::Outcome;
use keyloan::plan::delivery::steps::{Held, Step};
use keyloan::plan::effect::Effect;

use crate::kept::Kept;
use crate::memo::number;
use crate::{Loan, Variant};

/// What a replica is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Work {
    /// What is done next.
    pub next: Next,
    /// Whether the record is still the one from which this was decided.
    pub is_current: bool,
    /// Whether it has looked that its intent stands, and is about to write the Secret.
    pub has_looked: bool,
}

/// What is done next, shared between states.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Next(Kept<What>);

/// What is done next.
#[expect(clippy::large_enum_variant, reason = "a replica has one at a time")]
pub enum What {
    /// Carry out this effect.
    Effect {
        /// The effect.
        effect: Effect,
        /// Whether it was decided from a record.
        from_record: bool,
    },
    /// Perform this step of issuing a link.
    Step(Step<InHand>),
}

/// What the steps hold: the model does not need any of it.
#[derive(Clone, Debug)]
pub enum InHand {}

impl Held for InHand {
    type Item = ();
    type Place = ();
    type Record = ();
    type Link = ();
}

impl Work {
    /// Whether the work of a replica that no longer leads can still change anything. What was
    /// decided from an older record writes no record, and a link's Secret only if the last look
    /// before was at that record.
    pub fn can_change_anything(&self, variant: Option<Variant>) -> bool {
        let acts = ["Obtain", "DeleteLink", "DeleteGrant"];
        self.is_current
            || self.has_looked
            || writes_anyway(variant)
            || acts.contains(&self.next.name())
    }

    /// Whether the work of the leader does anything but end at once, because all that it does is to
    /// write a record that somebody has changed.
    pub fn goes_on(&self, variant: Option<Variant>) -> bool {
        let writes = ["WriteIntent", "Close", "EndLoan", "FinishLink"];
        self.is_current || writes_anyway(variant) || !writes.contains(&self.next.name())
    }
}

/// Whether this variant does something in spite of a changed record.
fn writes_anyway(variant: Option<Variant>) -> bool {
    matches!(
        variant,
        Some(
            Variant::CallsBeforeTheIntent
                | Variant::OverwritesRecords
                | Variant::HandsOverUnchecked
        )
    )
}

impl Next {
    /// To be done next.
    pub fn new(model: &Loan, what: What) -> Self {
        let print = number(&what.text());
        Self(model.stores.works.keep(print, || what))
    }

    /// What has this number.
    pub fn numbered(model: &Loan, number: u32) -> Option<Self> {
        model.stores.works.numbered(number).map(Self)
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.0.number()
    }

    /// A number that equal ones share.
    pub fn print(&self) -> u64 {
        self.0.print()
    }

    /// What it is.
    pub fn what(&self) -> &What {
        &self.0
    }

    /// Whether it begins with a look at what there is.
    pub fn looks(&self) -> bool {
        matches!(self.name(), "WriteIntent" | "LookAgain")
    }

    /// Whether this is the step with this name.
    pub fn is_step(&self, name: &str) -> bool {
        matches!(self.what(), What::Step(_)) && self.name() == name
    }

    /// Whether it ends an attempt that has failed.
    pub fn ends_a_failure(&self) -> bool {
        match self.what() {
            What::Step(Step::Close(step)) => {
                !matches!(step.closing().outcome, Outcome::Issued { .. })
            }
            _ => false,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        match self.what() {
            What::Step(step) => step.name(),
            What::Effect { effect, .. } => match effect {
                Effect::ListVault { .. } => "ListVault",
                Effect::IssueLink(_) => "IssueLink",
                Effect::FinishLink(_) => "FinishLink",
                Effect::CheckBoundary => "CheckBoundary",
                Effect::DeleteLink => "DeleteLink",
                Effect::EndLoan(_) => "EndLoan",
                Effect::RecordUnlent(_) => "RecordUnlent",
                Effect::DeleteGrant => "DeleteGrant",
                Effect::DeleteRecord => "DeleteRecord",
            },
        }
    }
}

impl What {
    fn text(&self) -> String {
        match self {
            Self::Effect {
                effect,
                from_record,
            } => format!("{effect:?} {from_record}"),
            Self::Step(Step::Inspect(step)) => format!("{step:?}"),
            Self::Step(Step::MakePlace(step)) => format!("{step:?}"),
            Self::Step(Step::WriteIntent(step)) => format!("{step:?}"),
            Self::Step(Step::Obtain(step)) => format!("{step:?}"),
            Self::Step(Step::LookAgain(step)) => format!("{step:?}"),
            Self::Step(Step::HandOver(step)) => format!("{step:?}"),
            Self::Step(Step::Close(step)) => format!("{step:?}"),
            Self::Step(Step::Done(result)) => format!("{result:?}"),
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
