//! Keyloan: a Kubernetes operator that lends 1Password items by share links that only the named recipient can open.

pub mod api;
pub mod cluster;
pub mod controllers;
pub mod desk;
pub mod manifests;
pub mod onepassword;
pub mod operator;
pub mod plan;
pub mod plugin;
pub mod runtime;
pub mod telemetry;
