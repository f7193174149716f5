//! A finding: something in a ledger that cannot be.

use std::fmt;

use serde::Serialize;

/// A broken rule in one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The record as namespace/name, or what there is instead of one.
    pub record: String,
    /// What is wrong.
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
}

impl Finding {
    /// A finding about a record.
    pub fn new(rule: Rule, record: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            rule,
            record: record.into(),
            what: what.into(),
            why: rule.why(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            record,
            what,
            why,
        } = self;
        write!(f, "{record}: {what} ({rule:?}: {why})")
    }
}

/// Declares the rules, each with the reason why it matters.
macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident => $why:literal,)*) => {
        /// The rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Why the rule matters.
            pub fn why(self) -> &'static str {
                match self {
                    $(Self::$name => $why,)*
                }
            }
        }
    };
}

rules! {
    /// A record is named by the uid of its grant, and is the only one of this grant.
    OneRecord => "one request lends once",
    /// The record of a request that was not granted has no links, and ends with its outcome.
    UnlentHasNoLinks => "denied means denied",
    /// Links are numbered from 1 without a gap or a repetition.
    Sequence => "a link that is missing in the record may open without anybody knowing it",
    /// The times of a link fit together.
    LinkTimes => "the record would not say until when the link may open",
    /// A link opens for a lifetime that the terms allow.
    Lifetime => "the link opens for longer than was agreed",
    /// No link opens after the end of its loan.
    OutlivesLoan => "no link outlives its loan",
    /// No link begins after the loan has ended, or could have lasted.
    AfterEnd => "an ended loan issues nothing",
    /// A link begins with the approvals that the terms ask for.
    Unapproved => "nothing is lent without approval",
    /// No link begins after a denial or a revocation.
    AfterRefusal => "what was refused or taken back is not lent",
    /// Each link of an ended loan has an outcome, and at most one link at a time has none.
    NoOutcome => "a link whose outcome nobody will ever write down is not accounted for",
    /// The residual of an ended loan is the latest end of what may still open.
    Residual => "people rely on the record to know until when a link may open",
    /// A loan without renewals has one link.
    OneLinkOnly => "a loan without renewals opens one link",
    /// The next link begins no sooner than a minute after the one before.
    TooSoon => "each link is one more that may still open",
    /// A loan without a link gives up after three lost ones.
    TooManyLost => "each lost link is one more that may exist",
    /// All links of a loan show the same version of the item.
    ItemVersion => "a changed item ends the loan",
    /// No link begins after a restore, which ends the loan.
    Restored => "a restored record is history, and lends nothing",
    /// A loan ends on time.
    Overdue => "a loan that is over must not stay open",
    /// Each share that exists is in exactly one record.
    UncountedShare => "a link exists that no record accounts for",
    /// Each issued link exists in 1Password.
    MissingShare => "the record tells of a link that was never made",
    /// A share is for the recipients only.
    PublicShare => "a public link opens for everybody who has it",
    /// A share opens no longer than its record says.
    LongerThanRecorded => "the record says too early an end",
    /// A loan that is over has no Secret.
    SecretStays => "the requester can still read the link of a loan that is over",
    /// A loan has one Secret, with its current link.
    OneSecret => "a requester has one link at a time",
    /// A request for another link is answered or told why not.
    Gap => "a running loan has no link although its requester asked for one",
    /// A record is kept for 90 days after its loan and last link.
    RecordGone => "the history of a loan is lost",
    /// The agreement, the decisions and the links of a record stay.
    Rewritten => "a record that can be rewritten proves nothing",
    /// An end is final.
    Unended => "an ended loan does not begin again",
    /// Only the operator writes records and links.
    ForeignWrite => "what others write into the ledger proves nothing",
    /// No link is handed over after the end of its loan.
    HandedOverLate => "an ended loan hands nothing over",
    /// No more links are handed over than the record says were issued.
    HandedOverUnsaid => "the record calls a link lost that its requester could read",
}
