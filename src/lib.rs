//! Keyloan: a Kubernetes operator that lends 1Password items by share links that only the named recipient can open.

pub mod api;
pub mod desk;
pub mod plan;

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "cluster")]
pub mod network;
#[cfg(feature = "cluster")]
pub mod runtime;
#[cfg(feature = "cluster")]
pub mod telemetry;

#[cfg(feature = "operator")]
pub mod controllers;
#[cfg(any(feature = "operator", feature = "plugin"))]
pub mod manifests;
#[cfg(feature = "operator")]
pub mod notify;
#[cfg(feature = "operator")]
pub mod onepassword;
#[cfg(feature = "operator")]
pub mod operator;

#[cfg(feature = "plugin")]
pub mod plugin;
