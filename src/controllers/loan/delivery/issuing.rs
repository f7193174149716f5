//! What a pass that issues a link has in hand between two steps.

use std::sync::Arc;

use crate::api::AccessRecord;
use crate::cluster::link_objects::SecretVersion;
use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::Loans;
use crate::controllers::loan::memory::Memory;
use crate::onepassword::{Item, OnePassword, Recipients, SharePolicy, ShareUrl};
use crate::plan::delivery::steps::Held;
use crate::plan::observed::Observed;

/// The data of a pass that issues a link.
pub struct Issuing {
    /// The controller.
    pub loans: Arc<Loans>,
    /// The loan.
    pub key: LoanKey,
    /// The observed state from which the plan was made.
    pub seen: Observed,
    /// The memory of the loan.
    pub memory: Arc<Memory>,
}

/// What is held between two steps.
pub(super) enum InHand {}

impl Held for InHand {
    type Item = ToShare;
    type Place = LinkPlace;
    type Record = Arc<AccessRecord>;
    type Link = ShareUrl;
}

/// Everything that a share needs.
pub(super) struct ToShare {
    pub(super) account: Arc<dyn OnePassword>,
    pub(super) item: Item,
    pub(super) policy: Arc<SharePolicy>,
    pub(super) recipients: Recipients,
}

/// A place in which a link's Secret can be written.
#[derive(Debug)]
pub(super) struct LinkPlace {
    /// The Role that owns the Secret.
    pub(super) role_uid: String,
    /// The Secret, if one with an earlier link of the loan exists.
    pub(super) secret: Option<SecretVersion>,
}

impl Issuing {
    /// Creates it for this loan, with this observed state.
    pub fn of(loans: &Arc<Loans>, key: &LoanKey, seen: Observed) -> Self {
        Self {
            loans: loans.clone(),
            key: key.clone(),
            seen,
            memory: loans.memories.of(&key.uid),
        }
    }
}
