//! The bounds of a search: what may still happen.

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    /// Crashes of the replica that leads.
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
