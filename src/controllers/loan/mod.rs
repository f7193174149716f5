//! The loan controller: looks at a grant and its record, lets the plan decide, takes at most one
//! action, and writes the status.
//!
//! A loan is identified by its grant's uid and stays known when the grant is gone, so that its end
//! never depends on the grant.
//! `pass.rs` is one pass, `delivery/` how a link comes to its recipients and is taken back, and
//! `metrics.rs` what is counted of all that.

mod counting;
mod deleted;
mod delivery;
mod key;
mod loans;
mod memory;
mod metrics;
mod observe;
mod pass;
mod places;
mod waiting;
mod wake;

pub use delivery::LINK_HELD_FOR;
pub use key::LoanKey;
pub use loans::Loans;

#[cfg(test)]
mod tests;
