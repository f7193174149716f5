//! What each step of issuing a link has at hand.

use std::sync::Arc;

use jiff::SignedDuration;

use crate::api::LinkLifetime;
use crate::controllers::loan::key::LoanKey;
use crate::controllers::loan::loans::Loans;
use crate::controllers::loan::memory::Memory;
use crate::onepassword::{Item, OnePassword, Recipients, SharePolicy};
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

/// Everything that 1Password has to provide before a link is shared.
pub(super) struct Ready {
    pub(super) account: Arc<dyn OnePassword>,
    /// How far 1Password's clock is known to be ahead of the operator's.
    pub(super) clock_ahead: SignedDuration,
    pub(super) item: Item,
    pub(super) policy: Arc<SharePolicy>,
    pub(super) lifetime: LinkLifetime,
    pub(super) recipients: Recipients,
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
