//! The reasons of the conditions, as constants. Programs match on them, so their meaning never
//! changes.

/// AccessGrant reasons.
pub mod grant {
    /// A flow covers the request.
    pub const FLOW_CHOSEN: &str = "FlowChosen";
    /// The request does not identify its requester: the admission policies are not installed.
    pub const REQUESTER_UNKNOWN: &str = "RequesterUnknown";
    /// The integration does not exist.
    pub const INTEGRATION_NOT_FOUND: &str = "IntegrationNotFound";
    /// The integration's token belongs to another account than the agreed one.
    pub const ACCOUNT_CHANGED: &str = "AccountChanged";
    /// The integration is suspended.
    pub const INTEGRATION_SUSPENDED: &str = "IntegrationSuspended";
    /// The flow of a loan no longer exists.
    pub const FLOW_NOT_FOUND: &str = "FlowNotFound";
    /// The flow is suspended.
    pub const FLOW_SUSPENDED: &str = "FlowSuspended";
    /// The integration cannot be used yet, or at present.
    pub const INTEGRATION_NOT_READY: &str = "IntegrationNotReady";
    /// No flow lets this person request from this namespace.
    pub const NO_FLOW: &str = "NoFlow";
    /// Flows let this person request, but none of them covers this request.
    pub const NO_FLOW_COVERS: &str = "NoFlowCoversRequest";
    /// Approvals are missing; `waitingFor` names them.
    pub const WAITING_FOR_APPROVAL: &str = "WaitingForApproval";
    /// All required approvals have been given.
    pub const APPROVED: &str = "Approved";
    /// An approver or owner denied the request.
    pub const DENIED: &str = "Denied";
    /// A person entitled to do so withdrew the request or ended the loan.
    pub const REVOKED: &str = "Revoked";
    /// The admission policies that verify requesters and approvers are not in force: nothing new is
    /// approved or issued.
    pub const BOUNDARY_NOT_IN_FORCE: &str = "BoundaryNotInForce";
    /// The request was made before the last change of the admission policies that verify its
    /// requester; it has to be made again.
    pub const IDENTITY_UNVERIFIED: &str = "IdentityUnverified";
    /// The requester or a recipient is blocked by the integration.
    pub const BLOCKED: &str = "Blocked";
    /// The integration does not lend from the vault.
    pub const VAULT_NOT_ALLOWED: &str = "VaultNotAllowed";
    /// Several vaults have this title.
    pub const VAULT_AMBIGUOUS: &str = "VaultAmbiguous";
    /// The vault has no such item.
    pub const ITEM_NOT_FOUND: &str = "ItemNotFound";
    /// Several items of the vault have this title.
    pub const ITEM_AMBIGUOUS: &str = "ItemAmbiguous";
    /// The item is archived.
    pub const ITEM_ARCHIVED: &str = "ItemArchived";
    /// The item is being looked up in 1Password.
    pub const LOOKING_FOR_ITEM: &str = "LookingForItem";
    /// No recipient address is known for the link.
    pub const NO_RECIPIENT: &str = "NoRecipient";
    /// The link may not go to one of the addresses.
    pub const RECIPIENT_NOT_ALLOWED: &str = "RecipientNotAllowed";
    /// The request came outside the flow's timeframe.
    pub const OUTSIDE_TIMEFRAME: &str = "OutsideTimeframe";
    /// The record of this loan is missing; a request is never granted twice.
    pub const RECORD_MISSING: &str = "RecordMissing";
    /// The requester has reached the flow's limit.
    pub const LIMIT_REACHED: &str = "LimitReached";
    /// The requester has so many open requests that this one is not processed.
    pub const TOO_MANY_REQUESTS: &str = "TooManyRequests";
    /// The requester has used their share of the account's request limits.
    pub const REQUESTER_SHARE_USED: &str = "RequesterShareUsed";
    /// The remaining requests of the account are reserved for renewals.
    pub const KEPT_FOR_RENEWALS: &str = "KeptForRenewals";
    /// The time in which the loan could have started is over.
    pub const LAPSED: &str = "Lapsed";
    /// The flow does not require approval.
    pub const AUTOMATIC: &str = "ApprovedAutomatically";
    /// No approval has been given yet.
    pub const NOT_APPROVED: &str = "NotApproved";
    /// The first link is being issued.
    pub const ISSUING: &str = "Issuing";
    /// No link has been issued yet.
    pub const NOT_ISSUED: &str = "NotIssued";
    /// The current link opens.
    pub const LINK_ISSUED: &str = "LinkIssued";
    /// The current link has ended; the borrower can request the next one.
    pub const LINK_ENDED: &str = "LinkEnded";
    /// The current link has ended, and too little time remains for another one.
    pub const NO_TIME_LEFT: &str = "NoTimeForAnotherLink";
    /// The Secret with the link was deleted, not by the operator.
    pub const LINK_SECRET_MISSING: &str = "LinkSecretMissing";
    /// A Secret with the link's name exists and is not Keyloan's.
    pub const LINK_SECRET_TAKEN: &str = "LinkSecretTaken";
    /// The Secret with the link should be gone but cannot be deleted.
    pub const LINK_SECRET_STAYS: &str = "LinkSecretStays";
    /// The API server does not accept the objects for the link: a quota, a policy, a webhook or a
    /// missing permission refuses them.
    pub const NO_PLACE_FOR_LINK: &str = "NoPlaceForLink";
    /// The API server does not accept the loan's record, or a change to it.
    pub const RECORD_REFUSED: &str = "RecordRefused";
    /// The API server refuses something else that the operator has to write.
    pub const WRITE_REFUSED: &str = "WriteRefused";
    /// 1Password issued a link, but the API server did not accept the Secret for it.
    pub const LINK_NOT_KEPT: &str = "LinkNotKept";
    /// Three links in a row were lost.
    pub const LINKS_LOST: &str = "LinksLost";
    /// Renewals are stopped: the flow or the integration is suspended or no longer exists.
    pub const RENEWAL_STOPPED: &str = "RenewalStopped";
    /// 1Password refused the token.
    pub const UNAUTHORIZED: &str = "OnePasswordUnauthorized";
    /// 1Password does not let this service account share this item.
    pub const FORBIDDEN: &str = "OnePasswordForbidden";
    /// 1Password no longer has this item.
    pub const GONE: &str = "OnePasswordItemGone";
    /// 1Password asks the operator to wait.
    pub const THROTTLED: &str = "OnePasswordThrottled";
    /// The account's sharing policy does not allow this link.
    pub const REFUSED: &str = "RefusedByPolicy";
    /// The account's sharing policy allows single-view links only, and the request does not ask for
    /// one.
    pub const VIEW_ONCE_REQUIRED: &str = "ViewOnceRequired";
    /// 1Password cannot be reached, or does not answer as expected.
    pub const UNAVAILABLE: &str = "OnePasswordUnavailable";
    /// The fetched item is not the agreed one; it is resolved again.
    pub const ITEM_DIFFERS: &str = "ItemDiffers";
    /// The agreement in the record does not follow from the request, its flow and its approvals:
    /// nothing is lent.
    pub const TERMS_NOT_CONFIRMED: &str = "TermsNotConfirmed";
    /// The loan is running.
    pub const RUNNING: &str = "Running";
    /// The loan is over, but an issued link may still open.
    pub const LINK_MAY_OPEN: &str = "LinkMayStillOpen";
    /// The request has not become a loan.
    pub const NOT_STARTED: &str = "NotStarted";
}

/// Reasons of a OnePasswordIntegration's conditions.
pub mod integration {
    /// The integration can be used.
    pub const READY: &str = "Ready";
    /// The Secret does not exist.
    pub const SECRET_MISSING: &str = "SecretMissing";
    /// The Secret lacks the label that lets the operator read it.
    pub const SECRET_NOT_LABELLED: &str = "SecretNotLabelled";
    /// The Secret's label gives it to another integration.
    pub const SECRET_OF_ANOTHER: &str = "SecretOfAnotherIntegration";
    /// The Secret could not be read.
    pub const SECRET_UNREADABLE: &str = "SecretUnreadable";
    /// The Secret has no such key.
    pub const KEY_MISSING: &str = "KeyMissing";
    /// The Secret does not hold a token.
    pub const TOKEN_MALFORMED: &str = "TokenMalformed";
    /// The token signs in at an origin that is not 1Password's.
    pub const FOREIGN_ORIGIN: &str = "ForeignOrigin";
    /// 1Password refused the token.
    pub const TOKEN_REJECTED: &str = "TokenRejected";
    /// 1Password forbids signing in from here.
    pub const SIGN_IN_FORBIDDEN: &str = "SignInForbidden";
    /// 1Password accepted the token.
    pub const TOKEN_ACCEPTED: &str = "TokenAccepted";
    /// The token expires soon.
    pub const TOKEN_EXPIRES_SOON: &str = "TokenExpiresSoon";
    /// According to the spec, the token has expired, but 1Password still accepts it.
    pub const TOKEN_PAST_EXPIRY: &str = "TokenPastExpiry";
    /// The first sign-in is in progress.
    pub const SIGNING_IN: &str = "SigningIn";
    /// The token cannot be used, so nothing is known.
    pub const TOKEN_UNUSABLE: &str = "TokenUnusable";
    /// The integration is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// The vaults are being listed.
    pub const DISCOVERING: &str = "Discovering";
    /// The vaults and their items are known.
    pub const DISCOVERED: &str = "Discovered";
    /// The service account cannot read any vault.
    pub const NO_VAULT: &str = "NoVault";
    /// A vault in the allow-list does not exist.
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
    /// 1Password asks the operator to wait.
    pub const RATE_LIMITED: &str = "RateLimited";
    /// 1Password does not ask the operator to wait.
    pub const NOT_THROTTLED: &str = "NotThrottled";
    /// The account's request limits are nearly used up; the discovery waits.
    pub const QUOTA_LOW: &str = "QuotaLow";
    /// 1Password cannot be reached, or does not answer.
    pub const UNAVAILABLE: &str = "OnePasswordUnavailable";
    /// 1Password's answers, or the core, are not as expected.
    pub const BROKEN: &str = "OnePasswordBroken";
    /// The admission policies verify requesters and approvers.
    pub const BOUNDARY_IN_FORCE: &str = "BoundaryInForce";
    /// The admission policies do not verify requesters and approvers, so nothing new is approved or
    /// issued.
    pub const BOUNDARY_NOT_IN_FORCE: &str = "BoundaryNotInForce";
    /// The operator's clock and 1Password's differ.
    pub const CLOCK_SKEW: &str = "ClockSkew";
}

/// Reasons of an AccessFlow's conditions.
pub mod flow {
    /// The flow can be used.
    pub const VALID: &str = "Valid";
    /// The integration does not exist in the flow's namespace.
    pub const INTEGRATION_NOT_FOUND: &str = "IntegrationNotFound";
    /// The flow is suspended.
    pub const SUSPENDED: &str = "Suspended";
    /// The timeframe cannot be parsed.
    pub const INVALID_TIMEFRAME: &str = "InvalidTimeframe";
    /// A duration cannot be parsed, or the default exceeds the maximum.
    pub const INVALID_DURATION: &str = "InvalidDuration";
    /// The flow can lend with fewer approvals than the integration requires.
    pub const TOO_FEW_APPROVALS: &str = "TooFewApprovals";
    /// The namespace selector cannot be parsed.
    pub const INVALID_SELECTOR: &str = "InvalidSelector";
    /// An exclude rule names a vault that does not exist, so nothing is lent.
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
