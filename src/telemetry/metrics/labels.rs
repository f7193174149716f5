//! The values of labels that are known in advance, so that each is served from the start.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// Declares the values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $value:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$about])* $value,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// As it stands on the page.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)*
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    };
}

label! {
    /// The outcome of a request.
    RequestLabel {
        /// Its first link reached the requester.
        Lent => "lent",
        /// An approver or owner denied it.
        Denied => "denied",
        /// It was not approved or not started in time.
        Lapsed => "lapsed",
        /// It cannot be granted at present, or no first link could be issued.
        Failed => "failed",
        /// It was withdrawn or deleted before anything was lent.
        TakenBack => "taken_back",
    }
}

label! {
    /// The outcome of an attempt to deliver a notice.
    NoticeLabel {
        /// The receiver took it.
        Delivered => "delivered",
        /// It failed, and is tried again.
        Failed => "failed",
        /// The receiver refused it for good.
        Refused => "refused",
    }
}

label! {
    /// The last decision that a request needed.
    DecisionLabel {
        /// An approval.
        Approved => "approved",
        /// A denial.
        Denied => "denied",
    }
}

label! {
    /// The outcome of a link whose issue has begun.
    LinkLabel {
        /// The link is in its Secret.
        Issued => "issued",
        /// Nobody receives the link; if 1Password has made it, it opens.
        Lost => "lost",
        /// 1Password refused it.
        Refused => "refused",
    }
}

label! {
    /// The cause of a failure, as a class.
    CauseLabel {
        /// There is none.
        None => "none",
        /// 1Password refused the token.
        Unauthorized => "unauthorized",
        /// The service account may not read or share the item.
        Forbidden => "forbidden",
        /// 1Password no longer has the item, or it is archived.
        ItemGone => "item_gone",
        /// The item differs from the one in the terms.
        ItemChanged => "item_changed",
        /// 1Password asks the operator to wait.
        Throttled => "throttled",
        /// The account's sharing policy, or the service, does not accept the link.
        Policy => "policy",
        /// 1Password cannot be reached, or did not answer as expected.
        Unavailable => "unavailable",
        /// The operator holds no usable token.
        NotConnected => "not_connected",
        /// The API server does not accept the objects for the link.
        NoPlace => "no_place",
        /// The API server does not accept the loan's record.
        NoRecord => "no_record",
        /// 1Password issued the link, but the API server did not accept its Secret.
        NotStored => "not_stored",
        /// The requester has reached the flow's limit.
        Limit => "limit",
        /// The operator was interrupted between the intent and the end of it.
        Interrupted => "interrupted",
        /// The loan was to end by the time that the link was there.
        LoanEnded => "loan_ended",
    }
}

label! {
    /// The phase of a grant.
    PhaseLabel {
        /// The operator has not processed it.
        New => "new",
        /// It is being processed, or is waiting.
        Pending => "pending",
        /// It was denied or withdrawn.
        Denied => "denied",
        /// It was not approved or not started in time.
        Lapsed => "lapsed",
        /// The first link is being issued.
        Issuing => "issuing",
        /// The loan runs.
        Active => "active",
        /// The loan is over, but a link may still open.
        Ending => "ending",
        /// The loan is over, and no link opens.
        Ended => "ended",
        /// It cannot be granted at present, or no first link could be issued.
        Failed => "failed",
    }
}

impl CauseLabel {
    /// The causes for which 1Password refuses a link.
    pub(super) const OF_REFUSALS: [Self; 6] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::ItemGone,
        Self::Throttled,
        Self::Policy,
        Self::Unavailable,
    ];

    /// The causes for which a link is lost.
    pub(super) const OF_LOSSES: [Self; 4] = [
        Self::Unavailable,
        Self::NotStored,
        Self::Interrupted,
        Self::LoanEnded,
    ];

    /// The causes for which an attempt to issue a link fails.
    pub(super) fn of_failures() -> impl Iterator<Item = Self> {
        let no_failure = [Self::None, Self::Interrupted, Self::LoanEnded];
        let all = Self::ALL.iter().copied();
        all.filter(move |cause| !no_failure.contains(cause))
    }
}
