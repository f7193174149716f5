//! The reasons of the conditions: programs match on them, so they never change their meaning.

use std::fmt;

use crate::api::Condition;

/// The reason of a condition, and its message.
pub type Why = (GrantReason, String);

/// Declares reasons: each is written as its variant is called.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $reason:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$about])* $reason,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$reason,)*];

            /// The reason of a condition, if it is one of these.
            pub fn of(condition: &Condition) -> Option<Self> {
                let mut reasons = Self::ALL.iter().copied();
                reasons.find(|reason| condition.reason == *reason)
            }

            /// As it stands in a condition.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => stringify!($reason),)*
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl PartialEq<$name> for String {
            fn eq(&self, reason: &$name) -> bool {
                self == reason.as_str()
            }
        }
    };
}

reasons! {
    /// AccessGrant reasons.
    GrantReason {
        /// A flow covers the request.
        FlowChosen,
        /// The request does not identify its requester: the admission policies are not installed.
        RequesterUnknown,
        /// The integration does not exist.
        IntegrationNotFound,
        /// The integration's token belongs to another account than the agreed one.
        AccountChanged,
        /// The integration is suspended.
        IntegrationSuspended,
        /// The flow of a loan no longer exists.
        FlowNotFound,
        /// The flow is suspended.
        FlowSuspended,
        /// The integration cannot be used yet, or at present.
        IntegrationNotReady,
        /// No flow lets this person request from this namespace.
        NoFlow,
        /// Flows let this person request, but none of them covers this request.
        NoFlowCoversRequest,
        /// Approvals are missing; `waitingFor` names them.
        WaitingForApproval,
        /// All required approvals have been given.
        Approved,
        /// An approver or owner denied the request.
        Denied,
        /// A person entitled to do so withdrew the request or ended the loan.
        Revoked,
        /// The admission policies that verify requesters and approvers are not in force: nothing new is
        /// approved or issued.
        BoundaryNotInForce,
        /// The request was made before the last change of the admission policies that verify its
        /// requester; it has to be made again.
        IdentityUnverified,
        /// The requester or a recipient is blocked by the integration.
        Blocked,
        /// The integration does not lend from the vault.
        VaultNotAllowed,
        /// Several vaults have this title.
        VaultAmbiguous,
        /// The vault has no such item.
        ItemNotFound,
        /// Several items of the vault have this title.
        ItemAmbiguous,
        /// The item is archived.
        ItemArchived,
        /// The item is being looked up in 1Password.
        LookingForItem,
        /// No recipient address is known for the link.
        NoRecipient,
        /// The link may not go to one of the addresses.
        RecipientNotAllowed,
        /// The request came outside the flow's timeframe.
        OutsideTimeframe,
        /// The record of this loan is missing; a request is never granted twice.
        RecordMissing,
        /// The requester has reached the flow's limit.
        LimitReached,
        /// The requester has so many open requests that this one is not processed.
        TooManyRequests,
        /// The requester has used their share of the account's request limits.
        RequesterShareUsed,
        /// The remaining requests of the account are reserved for renewals.
        KeptForRenewals,
        /// The time in which the loan could have started is over.
        Lapsed,
        /// The flow does not require approval.
        ApprovedAutomatically,
        /// No approval has been given yet.
        NotApproved,
        /// The first link is being issued.
        Issuing,
        /// No link has been issued yet.
        NotIssued,
        /// The current link opens.
        LinkIssued,
        /// The current link has ended; the borrower can request the next one.
        LinkEnded,
        /// The current link has ended, and too little time remains for another one.
        NoTimeForAnotherLink,
        /// The Secret with the link was deleted, not by the operator.
        LinkSecretMissing,
        /// A Secret with the link's name exists and is not Keyloan's.
        LinkSecretTaken,
        /// The Secret with the link should be gone but cannot be deleted.
        LinkSecretStays,
        /// The API server does not accept the objects for the link: a quota, a policy, a webhook or a
        /// missing permission refuses them.
        NoPlaceForLink,
        /// The API server does not accept the loan's record, or a change to it.
        RecordRefused,
        /// The API server refuses something else that the operator has to write.
        WriteRefused,
        /// 1Password issued a link, but the API server did not accept the Secret for it.
        LinkNotKept,
        /// Three links in a row were lost.
        LinksLost,
        /// Renewals are stopped: the flow or the integration is suspended or no longer exists.
        RenewalStopped,
        /// 1Password refused the token.
        OnePasswordUnauthorized,
        /// 1Password does not let this service account share this item.
        OnePasswordForbidden,
        /// 1Password no longer has this item.
        OnePasswordItemGone,
        /// 1Password asks the operator to wait.
        OnePasswordThrottled,
        /// The account's sharing policy does not allow this link.
        RefusedByPolicy,
        /// The account's sharing policy allows single-view links only, and the request does not ask for
        /// one.
        ViewOnceRequired,
        /// 1Password cannot be reached, or does not answer as expected.
        OnePasswordUnavailable,
        /// The fetched item is not the agreed one; it is resolved again.
        ItemDiffers,
        /// The agreement in the record does not follow from the request, its flow and its approvals:
        /// nothing is lent.
        TermsNotConfirmed,
        /// The loan is running.
        Running,
        /// The loan is over, but an issued link may still open.
        LinkMayStillOpen,
        /// The request has not become a loan.
        NotStarted,
        /// The loan's time is over.
        Expired,
        /// The grant was deleted.
        Deleted,
        /// The item was changed in 1Password.
        ItemChanged,
        /// The record was restored from a backup: the request lends nothing.
        Restored,
    }
}

impl GrantReason {
    /// Whether a request that fails for this reason never becomes a loan.
    pub fn is_for_good(self) -> bool {
        matches!(
            self,
            Self::OutsideTimeframe
                | Self::RecordMissing
                | Self::IdentityUnverified
                | Self::TooManyRequests
        )
    }
}

reasons! {
    /// Reasons of a OnePasswordIntegration's conditions.
    IntegrationReason {
        /// The integration can be used.
        Ready,
        /// The Secret does not exist.
        SecretMissing,
        /// The Secret lacks the label that lets the operator read it.
        SecretNotLabelled,
        /// The Secret's label gives it to another integration.
        SecretOfAnotherIntegration,
        /// The Secret could not be read.
        SecretUnreadable,
        /// The Secret has no such key.
        KeyMissing,
        /// The Secret does not hold a token.
        TokenMalformed,
        /// The token signs in at an origin that is not 1Password's.
        ForeignOrigin,
        /// 1Password refused the token.
        TokenRejected,
        /// 1Password forbids signing in from here.
        SignInForbidden,
        /// 1Password accepted the token.
        TokenAccepted,
        /// The token expires soon.
        TokenExpiresSoon,
        /// According to the spec, the token has expired, but 1Password still accepts it.
        TokenPastExpiry,
        /// The first sign-in is in progress.
        SigningIn,
        /// The token cannot be used, so nothing is known.
        TokenUnusable,
        /// The integration is suspended.
        Suspended,
        /// The vaults are being listed.
        Discovering,
        /// The vaults and their items are known.
        Discovered,
        /// The service account cannot read any vault.
        NoVault,
        /// A vault in the allow-list does not exist.
        VaultNotFound,
        /// A title of the allow-list names several vaults.
        VaultAmbiguous,
        /// 1Password does not let the service account list a vault.
        VaultUnreadable,
        /// Items can be shared with named people.
        SharingAllowed,
        /// The account's policy does not allow links for named people.
        NamedPeopleNotAllowed,
        /// 1Password does not let the service account share.
        SharingForbidden,
        /// There is no item for which the policy could be read.
        NoItem,
        /// 1Password asks the operator to wait.
        RateLimited,
        /// 1Password does not ask the operator to wait.
        NotThrottled,
        /// The account's request limits are nearly used up; the discovery waits.
        QuotaLow,
        /// 1Password cannot be reached, or does not answer.
        OnePasswordUnavailable,
        /// 1Password's answers, or the core, are not as expected.
        OnePasswordBroken,
        /// The admission policies verify requesters and approvers.
        BoundaryInForce,
        /// The admission policies do not verify requesters and approvers, so nothing new is approved or
        /// issued.
        BoundaryNotInForce,
        /// The operator's clock and 1Password's differ.
        ClockSkew,
    }
}

reasons! {
    /// Reasons of an AccessFlow's conditions.
    FlowReason {
        /// The flow can be used.
        Valid,
        /// The integration does not exist in the flow's namespace.
        IntegrationNotFound,
        /// The flow is suspended.
        Suspended,
        /// The timeframe cannot be parsed.
        InvalidTimeframe,
        /// A duration cannot be parsed, or the default exceeds the maximum.
        InvalidDuration,
        /// The flow can lend with fewer approvals than the integration requires.
        TooFewApprovals,
        /// The namespace selector cannot be parsed.
        InvalidSelector,
        /// An exclude rule names a vault that does not exist, so nothing is lent.
        ExcludeNamesNoVault,
        /// The account has not been listed yet.
        NotListedYet,
        /// Each rule matches something.
        RulesMatch,
        /// A rule matches nothing.
        RuleMatchesNothing,
        /// A wildcard of a pattern may have been meant as the character itself.
        WildcardInTitle,
    }
}

reasons! {
    /// Reasons of an AccessNotifier's conditions.
    NotifierReason {
        /// The notifier can be used.
        Ready,
        /// A Secret does not exist.
        SecretMissing,
        /// A Secret lacks the label that lets the operator read it.
        SecretNotLabelled,
        /// A Secret's label gives it to another notifier.
        SecretOfAnotherNotifier,
        /// A Secret could not be read.
        SecretUnreadable,
        /// A Secret has no such key.
        KeyMissing,
        /// A value in a Secret is not what it has to be.
        SecretUnusable,
        /// The admission policies are not in force, so a new or changed notifier is not used.
        BoundaryNotInForce,
        /// The receiver takes notices.
        Delivering,
        /// The receiver does not take notices.
        DeliveryFails,
    }
}
