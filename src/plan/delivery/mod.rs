//! How a loan is delivered: 1Password share links, each in the loan's Secret. The schedule of the links, the links that may still open
//! after the end, a Secret that stays behind, and the failures on the way.

pub mod failure;
pub(super) mod first_link;
pub mod links;
pub(super) mod next_link;
pub mod orphaned_secret;
