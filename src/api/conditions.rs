//! The types of the conditions that Keyloan writes.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// OnePasswordIntegration and AccessFlow: the object can be used.
pub const READY: &str = "Ready";
/// AccessFlow: each rule of its items has a match.
pub const MATCHES_ITEMS: &str = "MatchesItems";
/// OnePasswordIntegration: 1Password accepted the token.
pub const CREDENTIALS_VALID: &str = "CredentialsValid";
/// OnePasswordIntegration: the vaults and their items are known.
pub const DISCOVERED: &str = "Discovered";
/// OnePasswordIntegration: the account's policy lets items be shared with named people.
pub const SHAREABLE: &str = "Shareable";
/// OnePasswordIntegration: the admission policies verify requesters and approvers.
pub const BOUNDARY_IN_FORCE: &str = "BoundaryInForce";
/// OnePasswordIntegration: 1Password has asked the operator to wait.
pub const THROTTLED: &str = "Throttled";
/// AccessGrant: the request is well-formed and a flow covers it.
pub const ACCEPTED: &str = "Accepted";
/// AccessGrant: everyone who has to approve has approved.
pub const APPROVED: &str = "Approved";
/// AccessGrant: the current link is in its Secret and opens.
pub const ACTIVE: &str = "Active";
/// AccessGrant: the loan is over; no further link is issued.
pub const ENDED: &str = "Ended";
/// AccessNotifier: the receiver takes notices.
pub const DELIVERING: &str = "Delivering";
/// AccessGrant: the request will not progress without intervention, or has failed permanently.
/// OnePasswordIntegration and AccessFlow: nothing is lent until a person acts.
pub const STALLED: &str = "Stalled";
