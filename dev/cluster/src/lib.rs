//! The real parts that tests and the demo run against: a private Kubernetes control plane and the
//! 1Password SDK core.
//!
//! ```no_run
//! use keyloan_cluster::{ControlPlane, Options};
//!
//! # async fn example() -> Result<(), keyloan_cluster::ClusterError> {
//! let cluster = ControlPlane::start(Options::default()).await?;
//! let alice = cluster.client("alice").await?;
//! println!("KUBECONFIG={}", cluster.kubeconfig("admin").display());
//! cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Files that take long to fetch or build are kept in [`cache_dir`], outside `target/`.

mod binaries;
mod built;
mod cache;
mod charts;
mod control_plane;
mod forward_proxy;
mod gitops;
mod go_build;
mod go_programs;
mod go_toolchain;
mod helm;
mod krew;
mod mail_server;
mod manifests;
mod memory;
mod module_proxy;
mod operator;
mod pack;
mod packages;
mod policies;
mod prebuilt;
mod program;
mod progress;
mod promtool;
mod published;
mod random;
mod registry;
mod sdk_core;
mod wait;

pub use binaries::{Binaries, CHOICE, VERSIONS, admission_version, has_mutating_policies};
pub use built::BinariesError;
pub use cache::{CacheError, cache_dir};
pub use charts::{Chart, ChartError, chart_page, chart_rights};
pub use control_plane::{ClusterError, Component, ControlPlane, Lent, Options, Ports, Revision};
pub use forward_proxy::{ForwardProxy, ForwardProxyError, ProxyRules, free_address};
pub use gitops::GitopsTool;
pub use go_build::{BuildError, kubernetes_swagger};
pub use go_toolchain::GoError;
pub use helm::{Helm, HelmError, kubeconform};
pub use krew::krew;
pub use mail_server::{Mail, MailServer, MailServerError, MailServerOptions};
pub use manifests::{ManifestError, apply_folder, apply_yaml, read_folder};
pub use memory::Memory;
pub use module_proxy::ProxyError;
pub use operator::{
    GLIBC_SETTINGS, INTEGRATION_NAMESPACE, LINKS_NAMESPACE, OPERATOR_NAMESPACE,
    OPERATOR_SERVICE_ACCOUNT, operator_program,
};
pub use pack::pack_programs;
pub use packages::{Packages, PackagesError, python_packages};
pub use policies::PolicyError;
pub use prebuilt::PrebuiltError;
pub use program::{Program, signal};
pub use promtool::promtool;
pub use registry::{Registry, RegistryError};
pub use sdk_core::{CORE_MODULE, CORE_SHA256, CORE_VERSION, CoreError, core_license, core_wasm};
pub use wait::{TimedOut, wait_until};
