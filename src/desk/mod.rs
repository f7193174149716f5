//! The desk: what a person sees of requests, loans and decisions, and what they may do about them.
//!
//! It is pure and knows no way to show anything: it returns text as structure ([`text`]) and what can be done as data ([`action`]). Whoever
//! shows it (so far `kubectl keyloan`) makes the calls, lays the text out, and turns actions into commands.

pub mod action;
pub mod approvers;
pub mod decision;
pub mod explanation;
pub mod export;
pub mod link;
pub mod list;
#[cfg(test)]
pub(crate) mod samples;
pub mod standing;
pub mod terms;
pub mod text;
pub mod times;
pub mod visible;
