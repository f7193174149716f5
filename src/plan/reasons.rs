//! The reasons of the conditions, each a constant: programs match on them, so they never change their meaning.

/// AccessGrant reasons.
pub mod grant {
    /// A flow covers the request.
    pub const FLOW_CHOSEN: &str = "FlowChosen";
    /// The object does not say who made it: the admission policies are not installed.
    pub const REQUESTER_UNKNOWN: &str = "RequesterUnknown";
    /// There is no such integration.
    pub const INTEGRATION_NOT_FOUND: &str = "IntegrationNotFound";
    /// The integration's token belongs to another account than the one that was agreed on.
    pub const ACCOUNT_CHANGED: &str = "AccountChanged";
    /// The integration is suspended.
    pub const INTEGRATION_SUSPENDED: &str = "IntegrationSuspended";
    /// The flow that a loan was made by is gone.
    pub const FLOW_NOT_FOUND: &str = "FlowNotFound";
    /// The flow is suspended.
    pub const FLOW_SUSPENDED: &str = "FlowSuspended";
    /// The integration cannot be used yet, or at the moment.
    pub const INTEGRATION_NOT_READY: &str = "IntegrationNotReady";
    /// No flow lets this person ask from this namespace.
    pub const NO_FLOW: &str = "NoFlow";
    /// Flows let this person ask, but none of them covers this request.
    pub const NO_FLOW_COVERS: &str = "NoFlowCoversRequest";
    /// Approvals are missing; `waitingFor` says whose.
    pub const WAITING_FOR_APPROVAL: &str = "WaitingForApproval";
    /// All who had to agree have agreed.
    pub const APPROVED: &str = "Approved";
    /// Somebody who decides said no.
    pub const DENIED: &str = "Denied";
    /// The request was taken back, or the loan ended, by somebody entitled to.
    pub const REVOKED: &str = "Revoked";
    /// The admission policies that vouch for who asks and who decides are not in force: nothing new is approved or issued.
    pub const BOUNDARY_NOT_IN_FORCE: &str = "BoundaryNotInForce";
    /// The request was made before the admission policies that vouch for its maker were last changed; ask again.
    pub const IDENTITY_UNVERIFIED: &str = "IdentityUnverified";
    /// The requester or a recipient is blocked by the integration.
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
    /// The record of this loan is gone: nothing is lent twice.
    pub const RECORD_MISSING: &str = "RecordMissing";
    /// The requester has as much by this flow as it allows at a time.
    pub const LIMIT_REACHED: &str = "LimitReached";
    /// The requester has so many open requests that this one is not even looked at.
    pub const TOO_MANY_REQUESTS: &str = "TooManyRequests";
    /// The requester has used their share of the account's request limits.
    pub const REQUESTER_SHARE_USED: &str = "RequesterShareUsed";
    /// What is left of the account's request limits is kept for renewals.
    pub const KEPT_FOR_RENEWALS: &str = "KeptForRenewals";
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
    /// The Secret with the link should be gone, and cannot be deleted.
    pub const LINK_SECRET_STAYS: &str = "LinkSecretStays";
    /// The API server does not take the objects that would carry the link: a quota, a policy, a webhook or a missing right refuses them.
    pub const NO_PLACE_FOR_LINK: &str = "NoPlaceForLink";
    /// The API server does not take the loan's record, or what is to be noted in it.
    pub const RECORD_REFUSED: &str = "RecordRefused";
    /// The API server refuses something else that the operator has to write.
    pub const WRITE_REFUSED: &str = "WriteRefused";
    /// A link was made, but the API server did not take the Secret that carries it.
    pub const LINK_NOT_KEPT: &str = "LinkNotKept";
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
    /// The account's sharing policy has each link open just once, and the request does not ask for that.
    pub const VIEW_ONCE_REQUIRED: &str = "ViewOnceRequired";
    /// 1Password cannot be reached, or does not answer as it should.
    pub const UNAVAILABLE: &str = "OnePasswordUnavailable";
    /// The item that was fetched is not the one that was agreed on; it is resolved again.
    pub const ITEM_DIFFERS: &str = "ItemDiffers";
    /// What the record says was agreed is not what the request, its flow and its approvals come to: nothing is lent by it.
    pub const TERMS_NOT_CONFIRMED: &str = "TermsNotConfirmed";
    /// The loan runs.
    pub const RUNNING: &str = "Running";
    /// The loan is over, but a link that was handed out may still open.
    pub const LINK_MAY_OPEN: &str = "LinkMayStillOpen";
    /// The request has not come to a loan.
    pub const NOT_STARTED: &str = "NotStarted";
}

/// Reasons of a OnePasswordIntegration's conditions.
pub mod integration {
    /// It can be used.
    pub const READY: &str = "Ready";
    /// There is no Secret of this name.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// The Secret lacks the label that lets the operator read it.
    pub const SECRET_NOT_LABELLED: &str = "SecretNotLabelled";
    /// The Secret's label gives it to another integration.
    pub const SECRET_OF_ANOTHER: &str = "SecretOfAnotherIntegration";
    /// The Secret could not be read.
    pub const SECRET_UNREADABLE: &str = "SecretUnreadable";
    /// The Secret has no such key.
    pub const KEY_MISSING: &str = "KeyMissing";
    /// What the Secret holds is no token.
    pub const TOKEN_MALFORMED: &str = "TokenMalformed";
    /// The token leads elsewhere than to 1Password.
    pub const FOREIGN_ORIGIN: &str = "ForeignOrigin";
    /// 1Password refused the token.
    pub const TOKEN_REJECTED: &str = "TokenRejected";
    /// 1Password forbids signing in from here.
    pub const SIGN_IN_FORBIDDEN: &str = "SignInForbidden";
    /// 1Password took the token.
    pub const TOKEN_ACCEPTED: &str = "TokenAccepted";
    /// The token expires soon.
    pub const TOKEN_EXPIRES_SOON: &str = "TokenExpiresSoon";
    /// By the spec the token has expired, though 1Password still takes it.
    pub const TOKEN_PAST_EXPIRY: &str = "TokenPastExpiry";
    /// The first sign-in is under way.
    pub const SIGNING_IN: &str = "SigningIn";
    /// The token cannot be used, so nothing is known.
    pub const TOKEN_UNUSABLE: &str = "TokenUnusable";
    /// It is switched off.
    pub const SUSPENDED: &str = "Suspended";
    /// The vaults are being listed.
    pub const DISCOVERING: &str = "Discovering";
    /// The vaults and their items are known.
    pub const DISCOVERED: &str = "Discovered";
    /// The service account can read no vault.
    pub const NO_VAULT: &str = "NoVault";
    /// A vault of the allow-list is not there.
    pub const VAULT_NOT_FOUND: &str = "VaultNotFound";
    /// A title of the allow-list names several vaults.
    pub const VAULT_AMBIGUOUS: &str = "VaultAmbiguous";
    /// 1Password does not let the service account list a vault.
    pub const VAULT_UNREADABLE: &str = "VaultUnreadable";
    /// Items can be shared with named people.
    pub const SHARING_ALLOWED: &str = "SharingAllowed";
    /// The account's policy does not allow links for named people.
    pub const NAMED_PEOPLE_NOT_ALLOWED: &str = "NamedPeopleNotAllowed";
    /// 1Password does not let the service account share.
    pub const SHARING_FORBIDDEN: &str = "SharingForbidden";
    /// There is no item for which the policy could be read.
    pub const NO_ITEM: &str = "NoItem";
    /// 1Password asks us to wait.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// 1Password does not ask us to wait.
    pub const NOT_THROTTLED: &str = "NotThrottled";
    /// The account's request limits are nearly used up; discovery waits for room.
    pub const QUOTA_LOW: &str = "QuotaLow";
    /// 1Password cannot be reached, or does not answer.
    pub const UNAVAILABLE: &str = "OnePasswordUnavailable";
    /// 1Password's answers, or the core, are not as expected.
    pub const BROKEN: &str = "OnePasswordBroken";
    /// The admission policies guard who asks and who decides.
    pub const BOUNDARY_IN_FORCE: &str = "BoundaryInForce";
    /// The admission policies do not guard who asks and who decides, so nothing new is approved or issued.
    pub const BOUNDARY_NOT_IN_FORCE: &str = "BoundaryNotInForce";
    /// Our clock and 1Password's differ.
    pub const CLOCK_SKEW: &str = "ClockSkew";
}

/// Reasons of an AccessFlow's conditions.
pub mod flow {
    /// It can be used.
    pub const VALID: &str = "Valid";
    /// There is no such integration in the flow's namespace.
    pub const INTEGRATION_NOT_FOUND: &str = "IntegrationNotFound";
    /// It is switched off.
    pub const SUSPENDED: &str = "Suspended";
    /// The timeframe cannot be understood.
    pub const INVALID_TIMEFRAME: &str = "InvalidTimeframe";
    /// A duration cannot be understood, or the default is longer than the longest.
    pub const INVALID_DURATION: &str = "InvalidDuration";
    /// The flow can lend with fewer approvals than the integration asks for.
    pub const TOO_FEW_APPROVALS: &str = "TooFewApprovals";
    /// The selector of namespaces cannot be understood.
    pub const INVALID_SELECTOR: &str = "InvalidSelector";
    /// A rule of what is excluded names a vault that is not there, so nothing is lent.
    pub const EXCLUDE_NAMES_NO_VAULT: &str = "ExcludeNamesNoVault";
    /// The account has not been listed yet.
    pub const NOT_LISTED: &str = "NotListedYet";
    /// Each rule matches something.
    pub const RULES_MATCH: &str = "RulesMatch";
    /// A rule matches nothing.
    pub const RULE_MATCHES_NOTHING: &str = "RuleMatchesNothing";
    /// A wildcard of a pattern may have been meant as the character itself.
    pub const WILDCARD_IN_TITLE: &str = "WildcardInTitle";
}
