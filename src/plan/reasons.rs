//! The reasons of the conditions, each a constant: programs match on them, so they never change their meaning.

/// AccessGrant reasons.
pub mod grant {
    /// A flow covers the request.
    pub const FLOW_CHOSEN: &str = "FlowChosen";
    /// The object does not say who made it: the admission policies are not installed.
    pub const REQUESTER_UNKNOWN: &str = "RequesterUnknown";
    /// There is no such integration.
    pub const INTEGRATION_NOT_FOUND: &str = "IntegrationNotFound";
    /// The integration is suspended.
    pub const INTEGRATION_SUSPENDED: &str = "IntegrationSuspended";
    /// The integration cannot be used yet, or at the moment.
    pub const INTEGRATION_NOT_READY: &str = "IntegrationNotReady";
    /// No flow lets this person ask from this namespace.
    pub const NO_FLOW: &str = "NoFlow";
    /// Flows let this person ask, but none of them covers this request.
    pub const NO_FLOW_COVERS: &str = "NoFlowCoversRequest";
    /// The only flows that cover the request need approval, which is not supported yet.
    pub const APPROVAL_NOT_SUPPORTED: &str = "ApprovalNotSupported";
    /// The requester is blocked by the integration.
    pub const BLOCKED: &str = "Blocked";
    /// The vault is not among those that the integration lends from.
    pub const VAULT_NOT_ALLOWED: &str = "VaultNotAllowed";
    /// Several vaults have this title.
    pub const VAULT_AMBIGUOUS: &str = "VaultAmbiguous";
    /// The vault has no such item.
    pub const ITEM_NOT_FOUND: &str = "ItemNotFound";
    /// Several items of the vault have this title.
    pub const ITEM_AMBIGUOUS: &str = "ItemAmbiguous";
    /// The item is archived.
    pub const ITEM_ARCHIVED: &str = "ItemArchived";
    /// The item is being looked for in 1Password.
    pub const LOOKING_FOR_ITEM: &str = "LookingForItem";
    /// No address is known to which the link could go.
    pub const NO_RECIPIENT: &str = "NoRecipient";
    /// An address to which the link may not go.
    pub const RECIPIENT_NOT_ALLOWED: &str = "RecipientNotAllowed";
    /// The request came outside the flow's timeframe.
    pub const OUTSIDE_TIMEFRAME: &str = "OutsideTimeframe";
    /// The requester has as much by this flow as it allows at a time.
    pub const LIMIT_REACHED: &str = "LimitReached";
    /// The time in which the loan could have started is over.
    pub const LAPSED: &str = "Lapsed";
    /// The flow asks for nobody's approval.
    pub const AUTOMATIC: &str = "ApprovedAutomatically";
    /// Nothing has been approved yet.
    pub const NOT_APPROVED: &str = "NotApproved";
    /// The first link is being made.
    pub const ISSUING: &str = "Issuing";
    /// No link has been issued yet.
    pub const NOT_ISSUED: &str = "NotIssued";
    /// The current link opens.
    pub const LINK_ISSUED: &str = "LinkIssued";
    /// The current link has ended; the borrower can ask for the next one.
    pub const LINK_ENDED: &str = "LinkEnded";
    /// The current link has ended, and the loan ends too soon for another one.
    pub const NO_TIME_LEFT: &str = "NoTimeForAnotherLink";
    /// Somebody deleted the Secret with the link.
    pub const LINK_SECRET_MISSING: &str = "LinkSecretMissing";
    /// A Secret of the link's name is there, and it is not ours.
    pub const LINK_SECRET_TAKEN: &str = "LinkSecretTaken";
    /// Three links in a row were lost on the way.
    pub const LINKS_LOST: &str = "LinksLost";
    /// Renewals are stopped: the flow or the integration is suspended, or gone.
    pub const RENEWAL_STOPPED: &str = "RenewalStopped";
    /// 1Password refused the token.
    pub const UNAUTHORIZED: &str = "OnePasswordUnauthorized";
    /// 1Password does not let this service account share this item.
    pub const FORBIDDEN: &str = "OnePasswordForbidden";
    /// 1Password no longer has this item.
    pub const GONE: &str = "OnePasswordItemGone";
    /// 1Password asks us to wait.
    pub const THROTTLED: &str = "OnePasswordThrottled";
    /// The account's sharing policy does not allow this link.
    pub const REFUSED: &str = "RefusedByPolicy";
    /// 1Password cannot be reached, or does not answer as it should.
    pub const UNAVAILABLE: &str = "OnePasswordUnavailable";
    /// The item that was fetched is not the one that was agreed on; it is resolved again.
    pub const ITEM_DIFFERS: &str = "ItemDiffers";
    /// The loan runs.
    pub const RUNNING: &str = "Running";
    /// The loan is over, but a link that was handed out may still open.
    pub const LINK_MAY_OPEN: &str = "LinkMayStillOpen";
    /// The request has not come to a loan.
    pub const NOT_STARTED: &str = "NotStarted";
}
