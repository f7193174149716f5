//! Commands that start a control plane, and the manifests that the docs tell people to apply.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cluster;
mod install;
