//! Keyloan's parts on a real API server: schemas, defaults, admission policies, who is who, the boundary, tokens, the process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod admission;
mod boundary;
mod defaults;
mod egress;
mod gitops;
mod identity;
mod integration;
mod process;
mod schema;
mod support;
mod token;
