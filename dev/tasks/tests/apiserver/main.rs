//! Commands that start a control plane, and what the docs have people apply.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cluster;
mod install;
