//! A private control plane, as tests and the demo use it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod killed;
mod launcher;
mod manifests;
mod operator;
