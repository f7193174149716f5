//! What there is: the objects of one loan, what 1Password has made, and two replicas of the
//! operator with what each remembers and is in the middle of.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use keyloan::api::{AccessDecision, AccessGrant, AccessRecord};
use keyloan::plan::delivery::failure::{Attempt, Undeleted};
use keyloan::plan::delivery::steps::{Held, Step};
use keyloan::plan::effect::Effect;
use keyloan::plan::observed::LinkSeen;

use crate::object::Object;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The time, by its place in the list of times.
    pub time: usize,
    /// The request.
    pub grant: Stored<AccessGrant>,
    /// The record.
    pub record: Stored<AccessRecord>,
    /// The Secret.
    pub secret: Stored<Secret>,
    /// The decisions, in the order of their creation.
    pub decisions: Vec<Object<AccessDecision>>,
    /// The links that 1Password has made.
    pub shares: Vec<Share>,
    /// The replicas. Only the one that leads begins passes; another one may be in the middle of
    /// one.
    pub replicas: [Replica; 2],
    /// The replica that leads.
    pub leader: usize,
    /// What may still happen.
    pub left: Left,
    /// The leader has looked, and found nothing to do.
    pub rests: bool,
    /// The promise that the last action has broken, if it did.
    pub broken: Option<&'static str>,
}

/// An object as it is stored, and as a watch that lags may still show it.
#[derive(Debug)]
pub struct Stored<T> {
    /// The object.
    pub now: Option<Object<T>>,
    /// The object before its last change.
    pub before: Option<Object<T>>,
    /// The number of changes.
    pub version: u8,
}

impl State {
    /// Makes states equal that only differ in what no replica can see any longer: objects before
    /// their last change, and how often an object was changed.
    pub fn forget_what_nobody_sees(&mut self) {
        if self.left.stale == 0 {
            self.grant.before = self.grant.now.clone();
            self.record.before = self.record.now.clone();
            self.secret.before = self.secret.now.clone();
        }
        (self.grant.version, self.secret.version) = (0, 0);
    }
}

impl<T> Clone for Stored<T> {
    fn clone(&self) -> Self {
        Self {
            now: self.now.clone(),
            before: self.before.clone(),
            version: self.version,
        }
    }
}

impl<T> PartialEq for Stored<T> {
    fn eq(&self, other: &Self) -> bool {
        (&self.now, &self.before, self.version) == (&other.now, &other.before, other.version)
    }
}

impl<T> Eq for Stored<T> {}

impl<T> Hash for Stored<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.now, &self.before, self.version).hash(state);
    }
}

impl<T> Stored<T> {
    /// An object, or its absence, that was never changed.
    pub fn new(object: Option<Object<T>>) -> Self {
        Self {
            before: object.clone(),
            now: object,
            version: 0,
        }
    }

    /// Changes the object.
    pub fn put(&mut self, object: Option<Object<T>>) {
        self.before = std::mem::replace(&mut self.now, object);
        self.version += 1;
    }
}

/// A link's Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Secret {
    /// The number of its link.
    pub sequence: u32,
    /// When the link was issued.
    pub issued_at: Timestamp,
    /// The item's version.
    pub item_version: u32,
}

impl Secret {
    /// As the plan sees it.
    pub fn seen(self) -> LinkSeen {
        LinkSeen::Present {
            sequence: self.sequence,
            issued_at: self.issued_at,
            item_version: self.item_version,
        }
    }
}

/// A link that 1Password has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    /// The number that it has in its loan.
    pub sequence: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// Until when it opens.
    pub opens_until: Timestamp,
}

/// What may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// Crashes of a replica.
    pub crashes: u8,
    /// Changes of the leader while it is in the middle of something.
    pub takeovers: u8,
    /// Looks at something out of date.
    pub stale: u8,
    /// Writes whose answer is lost.
    pub lost: u8,
    /// Calls that fail.
    pub failed: u8,
    /// Approvals and denials.
    pub decisions: u8,
    /// A revocation, the deletion of the request, or of its Secret by hand.
    pub interventions: u8,
    /// Requests for another link.
    pub renewals: u8,
}

/// One replica of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replica {
    /// What it remembers of the loan until it crashes.
    pub memory: Memory,
    /// What it is in the middle of.
    pub work: Option<Work>,
}

/// What a replica remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The last attempt to issue a link, if it failed.
    pub attempt: Option<Attempt>,
    /// The last attempt to delete the Secret, if it failed.
    pub undeleted: Option<Undeleted>,
    /// How many decisions existed when the requester and their makers were last verified.
    pub checked: Option<usize>,
}

impl Eq for Memory {}

impl Hash for Memory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        format!("{self:?}").hash(state);
    }
}

/// What a replica is in the middle of: it has seen this version of the record.
#[derive(Clone)]
pub struct Work {
    /// What is done next.
    pub next: Next,
    /// The version of the record from which this was decided.
    pub record: u8,
    print: u64,
}

/// What is done next.
#[derive(Clone)]
pub enum Next {
    /// Carry out this effect.
    Effect(Box<Effect>),
    /// Perform this step of issuing a link.
    Step(Step<InHand>),
}

/// What the steps hold.
#[derive(Clone, Debug)]
pub enum InHand {}

impl Held for InHand {
    type Item = ();
    type Place = ();
    /// The version of the record.
    type Record = u8;
    type Link = ();
}

impl Work {
    /// Work that was decided from this version of the record.
    pub fn new(next: Next, record: u8) -> Self {
        let mut hasher = DefaultHasher::new();
        (next.text(), record).hash(&mut hasher);
        let print = hasher.finish();
        Self {
            next,
            record,
            print,
        }
    }
}

impl Next {
    fn text(&self) -> String {
        match self {
            Self::Effect(effect) => format!("{effect:?}"),
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

    /// For people who read a counterexample.
    pub fn name(&self) -> String {
        match self {
            Self::Effect(effect) => {
                let text = format!("{effect:?}");
                text.split(['(', ' ']).next().unwrap_or_default().to_owned()
            }
            Self::Step(step) => step.name().into(),
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.next.name())
    }
}

impl PartialEq for Work {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Eq for Work {}

impl Hash for Work {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.print.hash(state);
    }
}

impl Left {
    /// What a test can search in a minute.
    pub const SMALL: Self = Self {
        crashes: 1,
        takeovers: 1,
        stale: 0,
        lost: 0,
        failed: 0,
        decisions: 1,
        interventions: 1,
        renewals: 1,
    };

    /// What is searched now and then.
    pub const DEEP: Self = Self {
        crashes: 2,
        takeovers: 1,
        stale: 1,
        lost: 1,
        failed: 1,
        decisions: 2,
        interventions: 1,
        renewals: 1,
    };
}
