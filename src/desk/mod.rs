//! The desk: what a person sees of requests, loans and decisions, and what the person may do.
//!
//! It is pure and independent of any user interface: it returns structured text ([`text`]) and
//! actions as data ([`action`]). The user interface, so far only `kubectl keyloan`, makes the
//! calls, lays out the text, and turns actions into commands. A call that fails returns an error of
//! the desk ([`failed_call`]), which has words for it.

pub mod action;
pub mod approvers;
pub mod checkup;
pub mod cloud_event;
pub mod decision;
pub mod explanation;
pub mod export;
pub mod exposed;
pub mod failed_call;
pub mod link;
pub mod list;
pub mod notice;
pub mod recognition;
pub mod report;
pub mod request;
#[cfg(test)]
pub(crate) mod samples;
pub mod selector;
pub mod signature;
pub mod standing;
pub mod terms;
pub mod text;
pub mod times;
pub mod visible;
pub mod watched_list;
