//! The types of the conditions that Keyloan writes.

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// OnePasswordIntegration and AccessFlow: it can be used.
pub const READY: &str = "Ready";
/// AccessFlow: each rule of its items matches something.
pub const MATCHES_ITEMS: &str = "MatchesItems";
/// OnePasswordIntegration: 1Password took the token.
pub const CREDENTIALS_VALID: &str = "CredentialsValid";
/// OnePasswordIntegration: the vaults and their items are known.
pub const DISCOVERED: &str = "Discovered";
/// OnePasswordIntegration: the account's policy lets items be shared with named people.
pub const SHAREABLE: &str = "Shareable";
/// OnePasswordIntegration: the admission policies guard who asks and who decides.
pub const BOUNDARY_IN_FORCE: &str = "BoundaryInForce";
/// OnePasswordIntegration: 1Password has asked us to wait.
pub const THROTTLED: &str = "Throttled";
/// AccessGrant: the request is well-formed and a flow covers it.
pub const ACCEPTED: &str = "Accepted";
/// AccessGrant: everyone who has to agree has agreed.
pub const APPROVED: &str = "Approved";
/// AccessGrant: a link is there and opens.
pub const ACTIVE: &str = "Active";
/// AccessGrant: over; nothing more will be issued.
pub const ENDED: &str = "Ended";
/// AccessGrant: nothing comes right by itself: a person has to do something, or the request has come to nothing.
pub const STALLED: &str = "Stalled";
