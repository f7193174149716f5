//! What there is: the objects of one loan, what 1Password has made, and two replicas of the
//! operator with what each remembers and is in the middle of.

use jiff::Timestamp;
use keyloan::api::{AccessDecision, AccessGrant, AccessRecord, Phase};
use keyloan::plan::delivery::failure::{Attempt, Failure, Undeleted};
use keyloan::plan::delivery::links::Links;
use keyloan::plan::observed::LinkSeen;

use crate::Loan;
use crate::kept::Kept;
use crate::left::Left;
use crate::memo::number;
use crate::object::Object;
use crate::start::{MINUTES, grant};
use crate::work::Work;

/// Everything at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The time, by its place in the list of times.
    pub time: u8,
    /// The request.
    pub grant: Stored<Object<AccessGrant>>,
    /// The record.
    pub record: Stored<Object<AccessRecord>>,
    /// The Secret.
    pub secret: Stored<Kept<Secret>>,
    /// The decisions, in the order of their creation.
    pub decisions: Kept<Vec<Object<AccessDecision>>>,
    /// The links that 1Password has made.
    pub shares: Kept<Vec<Share>>,
    /// The replica that leads. Only it begins passes.
    pub leader: Replica,
    /// The other replica, which may still be in the middle of a pass that it began as the leader.
    pub other: Replica,
    /// What may still happen.
    pub left: Left,
    /// Links that may be handed over beyond those that were asked for: one for each that was handed
    /// over although the record had changed since the look before, and one for each whose Secret
    /// was deleted before the record said that it was handed over: by hand, or by a leader that saw
    /// a record out of date.
    pub excepted: u8,
    /// The promise that the last action has broken, if it did.
    pub broken: Option<&'static str>,
}

impl State {
    /// The request was just made, and nobody has looked at it.
    pub fn first(model: &Loan) -> Self {
        let stores = &model.stores;
        Self {
            time: 0,
            grant: Stored::new(Some(stores.grants.keep_object(grant()))),
            record: Stored::new(None),
            secret: Stored::new(None),
            decisions: stores.decided(Vec::new()),
            shares: stores.shared(Vec::new()),
            leader: Replica::default(),
            other: Replica::default(),
            left: model.bounds,
            excepted: 0,
            broken: None,
        }
    }

    /// One of the replicas.
    pub fn replica(&self, who: Who) -> &Replica {
        match who {
            Who::Leader => &self.leader,
            Who::Other => &self.other,
        }
    }

    /// The same, to change it.
    pub fn replica_mut(&mut self, who: Who) -> &mut Replica {
        match who {
            Who::Leader => &mut self.leader,
            Who::Other => &mut self.other,
        }
    }

    /// Whether this is the last time of the search.
    pub fn is_late(&self) -> bool {
        usize::from(self.time) + 1 == MINUTES.len()
    }

    /// Changes the record. What anybody decided from the one before is out of date.
    pub fn put_record(&mut self, record: Option<Object<AccessRecord>>) {
        self.record.put(record);
        for who in [Who::Leader, Who::Other] {
            if let Some(work) = &mut self.replica_mut(who).work {
                work.is_current = false;
            }
        }
    }

    /// When the loan started, if it did.
    pub fn started_at(&self) -> Option<Timestamp> {
        let record = self.record.now.as_ref()?;
        Links::of(&record.spec).granted_at()
    }

    /// A number for what there is besides the request: the time, the record and the Secret.
    pub fn lasting(&self) -> u64 {
        number(&(self.time, self.record.now, self.secret.now))
    }

    /// Whether the Secret holds a link that the record does not say to be handed over.
    pub fn is_unnoted(&self) -> bool {
        let (Some(secret), Some(record)) = (self.secret.now, self.record.now) else {
            return false;
        };
        let open = Links::of(&record.spec).open();
        open.is_some_and(|open| open.sequence == secret.sequence)
    }

    /// Whether the loan has ended, or will never begin.
    pub fn is_over(&self) -> bool {
        match (&self.record.now, &self.grant.now) {
            (Some(record), _) => record.spec.end.is_some(),
            (None, Some(grant)) => {
                let phase = grant.status.as_ref().and_then(|status| status.phase);
                matches!(phase, Some(Phase::Denied | Phase::Lapsed))
            }
            (None, None) => true,
        }
    }
}

/// One of the two replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one that leads.
    Leader,
    /// The one that led before.
    Other,
}

/// Something as it is stored, and as a watch that lags may still show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stored<T> {
    /// What is stored.
    pub now: Option<T>,
    /// What was stored before the last change.
    pub before: Option<T>,
}

impl<T: Copy> Stored<T> {
    /// Something, or its absence, that was never changed.
    pub fn new(now: Option<T>) -> Self {
        Self { before: now, now }
    }

    /// Changes it.
    pub fn put(&mut self, now: Option<T>) {
        self.before = std::mem::replace(&mut self.now, now);
    }

    /// Forgets what was stored before.
    pub fn forget(&mut self) {
        self.before = self.now;
    }
}

/// A link's Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub fn seen(secret: Option<Kept<Self>>) -> LinkSeen {
        secret.map_or(LinkSeen::Absent, |secret| LinkSeen::Present {
            sequence: secret.sequence,
            issued_at: secret.issued_at,
            item_version: secret.item_version,
        })
    }
}

/// A link that 1Password has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share {
    /// The number that it has in its loan.
    pub sequence: u32,
    /// Until when it opens.
    pub opens_until: Timestamp,
    /// Whether it was in the Secret, so that the borrower may have it.
    pub is_handed: bool,
}

/// One replica of the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Replica {
    /// What it remembers of the loan until it crashes.
    pub memory: Memory,
    /// What it is in the middle of.
    pub work: Option<Work>,
}

/// What a replica remembers. The times between two places in the list of times are longer than any
/// wait after a failure, so a replica waits if the failure was at the present time, and only then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// An attempt to issue a link that failed at the present time.
    pub attempt: Option<Failed>,
    /// An attempt to delete the Secret that failed.
    pub undeleted: Option<FailedAt>,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failed {
    /// 1Password gave no answer.
    Unavailable,
    /// The Secret was not written.
    NotKept,
    /// The record was not written.
    NoRecord,
}

/// When an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailedAt {
    /// At the present time.
    Now,
    /// Before.
    Earlier,
}

impl Memory {
    /// Time has passed.
    pub fn grows_older(&mut self) {
        self.attempt = None;
        self.undeleted = self.undeleted.map(|_| FailedAt::Earlier);
    }

    /// The failed attempt, as the plan knows it.
    pub fn attempt(self, now: Timestamp) -> Option<Attempt> {
        let why = || "no answer".into();
        let failure = match self.attempt? {
            Failed::Unavailable => Failure::Unavailable,
            Failed::NotKept => Failure::NotKept(why()),
            Failed::NoRecord => Failure::NoRecord {
                why: why(),
                refused: false,
            },
        };
        Some(Attempt {
            at: now,
            failure,
            count: 1,
        })
    }

    /// The failed deletion, as the plan knows it.
    pub fn undeleted(self, now: Timestamp) -> Option<Undeleted> {
        Some(Undeleted {
            at: match self.undeleted? {
                FailedAt::Now => now,
                FailedAt::Earlier => Timestamp::UNIX_EPOCH,
            },
            why: "no answer".into(),
            is_passing: true,
            count: 1,
        })
    }
}

impl Failed {
    /// What a step has failed with.
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Unavailable => Self::Unavailable,
            Failure::NotKept(_) => Self::NotKept,
            Failure::NoRecord { .. } => Self::NoRecord,
            other => panic!("nothing in the model fails with {other:?}"),
        }
    }
}
