//! What needs no control plane: the plan, the SDK core, and what is generated or written beside the code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod architecture;
mod docs;
mod gitops;
mod manifests;
mod notify;
mod observability;
mod onepassword;
mod plan;
mod prose;
mod source;
