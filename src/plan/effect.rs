//! The parts of a plan: at most one effect, a status, a time for the next look, and notes for
//! people.

use jiff::Timestamp;

use crate::api::{
    AccessGrantStatus, AccessRecordSpec, CountedDecision, EndRecord, LinkLifetime, Time,
};

use super::terms::Agreement;

/// What to do about one loan now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The next action, if any. Afterwards the loan is looked at again.
    pub effect: Option<Effect>,
    /// The grant's status; `None` if there is no grant or nothing to report. It is written only
    /// without an effect, because an effect changes the state.
    pub status: Option<AccessGrantStatus>,
    /// The time of the next look if nothing happens before.
    pub wake: Option<Timestamp>,
    /// Notes for people: one event each.
    pub notes: Vec<Note>,
}

impl Plan {
    /// A plan that only does this.
    pub fn effect(effect: Effect) -> Self {
        Self {
            effect: Some(effect),
            ..Self::default()
        }
    }
}

/// A note for people, sent once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The reason of the condition that changed.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// Whether a person may have to act.
    pub warning: bool,
}

/// One effect on the outside. Every effect can be repeated: a crash at any point leaves a state
/// that the plan knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// List one vault's items again, because the inventory does not contain a name.
    ListVault {
        /// The vault's id.
        vault: String,
        /// The name to find. It is remembered if the new list does not contain it exactly once
        /// either.
        looking_for: String,
    },
    /// Issue a link: fetch the item, write the intent, share, write Secret, Role, RoleBinding, close the intent.
    IssueLink(Box<IssueLink>),
    /// Complete an interrupted [`Effect::IssueLink`] whose Secret exists: write the missing parts
    /// and close the intent.
    FinishLink {
        /// The number of the link.
        sequence: u32,
        /// The time at which the answer arrived, as the Secret says, within the limits of the
        /// intent.
        issued_at: Time,
        /// The link's end, computed from that time and the requested lifetime.
        expires_at: Time,
        /// The item's version, from the intent or otherwise from the Secret.
        item_version: u32,
    },
    /// Check whether the API server verifies requesters and approvers, with a dry run that starts
    /// now.
    CheckBoundary,
    /// Delete the Secret. The Role and the RoleBinding go with it.
    DeleteLink,
    /// Write the loan's end into its record.
    EndLoan {
        /// The reason and the time of the end.
        end: EndRecord,
        /// An intent that is still open and counts as lost from now on.
        lost: Option<u32>,
        /// The time until which a link may still open.
        residual_until: Option<Time>,
        /// The decision that ended it, if one did.
        decision: Option<CountedDecision>,
    },
    /// Create the record of a denied request.
    RecordDenial(Box<AccessRecordSpec>),
    /// Delete a grant that ended long enough ago.
    DeleteGrant,
    /// Delete a record whose retention has ended.
    DeleteRecord,
}

/// The data for issuing one link.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueLink {
    /// The number of the link in this loan, starting at 1.
    pub sequence: u32,
    /// The agreement.
    pub agreement: Agreement,
    /// The decisions that approved it, for the record.
    pub decisions: Vec<CountedDecision>,
    /// Whether to create the record with the intent.
    pub first: bool,
    /// An interrupted intent to mark as lost in the same write.
    pub lost: Option<u32>,
    /// The longest lifetime that the link may have.
    pub lifetime: LinkLifetime,
    /// The deadline for writing the intent. Later, the link could outlive the loan or start it too
    /// late.
    pub write_by: Timestamp,
    /// The version of the item that was lent first; another version ends the loan. `None` for the
    /// first link.
    pub item_version: Option<u32>,
}
