//! Keyloan: a Kubernetes operator that lends 1Password items by share links that only the named recipient can open.

pub mod api;
pub mod manifests;
pub mod onepassword;
pub mod plan;
