//! What a plan consists of: at most one effect, a status, a time to look again, and notes for people.

use jiff::Timestamp;

use crate::api::{
    AccessGrantStatus, AccessRecordSpec, CountedDecision, EndRecord, LinkLifetime, Time,
};

use super::terms::Agreement;

/// What to do about one loan now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The one thing to do, if any; then look again.
    pub effect: Option<Effect>,
    /// What the grant's status should say; `None` where there is no grant, or nothing to say.
    /// It is written only when there is no effect: after an effect the world is another one.
    pub status: Option<AccessGrantStatus>,
    /// When to look again if nothing happens before.
    pub wake: Option<Timestamp>,
    /// What to tell people: one event each.
    pub notes: Vec<Note>,
}

/// Something to tell people, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The reason of the condition that changed.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// Whether somebody may have to do something.
    pub warning: bool,
}

/// One effect on the world outside. All of them can be repeated: each crash leaves a state that the plan knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// List one vault's items anew, because a name could not be found in what is known of it.
    ListVault {
        /// The vault's id.
        vault: String,
        /// The name that could not be found, to remember if the new list has not exactly one of it either.
        looking_for: String,
    },
    /// Issue a link: fetch the item, write the intent, share, write Secret, Role, RoleBinding, close the intent.
    IssueLink(Box<IssueLink>),
    /// An interrupted [`Effect::IssueLink`] whose Secret is there: write what is missing and close the intent.
    FinishLink {
        /// Which link.
        sequence: u32,
        /// When the answer arrived: as noted at the Secret, within what the intent allows.
        issued_at: Time,
        /// The link's end, reckoned from that and the lifetime that was asked for.
        expires_at: Time,
        /// The item's version: the intent's, or else as noted at the Secret.
        item_version: u32,
    },
    /// See whether the API server vouches for who asked and who decided: a dry run that begins now.
    CheckBoundary,
    /// Delete the Secret; Role and RoleBinding go with it.
    DeleteLink,
    /// Write the loan's end into its record.
    EndLoan {
        /// How and when it ended.
        end: EndRecord,
        /// An intent that is still open: it counts as lost from now on.
        lost: Option<u32>,
        /// Until when a link may still open.
        residual_until: Option<Time>,
        /// The decision that ended it, if one did.
        decision: Option<CountedDecision>,
    },
    /// Create the record of a request that was denied.
    RecordDenial(Box<AccessRecordSpec>),
    /// Delete a grant that has been over for a while.
    DeleteGrant,
    /// Delete a record whose retention is over.
    DeleteRecord,
}

/// All that is needed to issue one link.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueLink {
    /// Which link of this loan, from 1.
    pub sequence: u32,
    /// What was agreed.
    pub agreement: Agreement,
    /// The decisions that made it so, for the record.
    pub decisions: Vec<CountedDecision>,
    /// Whether the record is to be created with the intent.
    pub first: bool,
    /// An interrupted intent, to be marked as lost in the same write.
    pub lost: Option<u32>,
    /// The longest life that the link may have.
    pub lifetime: LinkLifetime,
    /// The intent has to be written by then: later, the link could outlive the loan, or start it too late.
    pub write_by: Timestamp,
    /// The item's version that was lent first; another one ends the loan. `None` for the first link.
    pub item_version: Option<u32>,
}
