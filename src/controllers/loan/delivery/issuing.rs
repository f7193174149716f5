//! What each step of issuing a link has at hand.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::api::LinkLifetime;
use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::Loans;
use crate::controllers::loan::memory::Memory;
use crate::onepassword::{Item, OnePassword, Recipients, SharePolicy};
use crate::plan::observed::Observed;

/// What a pass that issues a link has at hand.
pub struct Issuing {
    /// The controller.
    pub loans: Arc<Loans>,
    /// Which loan.
    pub key: LoanKey,
    /// What the plan was made from.
    pub seen: Observed,
    /// What is remembered of the loan.
    pub memory: Arc<Memory>,
}

/// All that 1Password has to tell before a link is shared.
pub(super) struct Ready {
    pub(super) account: Arc<dyn OnePassword>,
    /// How far 1Password's clock is known to be ahead of ours.
    pub(super) clock_ahead: SignedDuration,
    pub(super) item: Item,
    pub(super) policy: Arc<SharePolicy>,
    pub(super) lifetime: LinkLifetime,
    pub(super) recipients: Recipients,
}

impl Issuing {
    /// For this loan, of which this is known.
    pub fn of(loans: &Arc<Loans>, key: &LoanKey, seen: Observed) -> Self {
        Self {
            loans: loans.clone(),
            key: key.clone(),
            seen,
            memory: loans.memories.of(&key.uid),
        }
    }
}
