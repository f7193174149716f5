//! The real parts that tests and the demo run against: a private Kubernetes control plane and the 1Password SDK core.
//!
//! Both are fetched or built once and then kept in [`cache_dir`], outside `target/`.

mod cache;
mod module_proxy;
mod progress;
mod sdk_core;

pub use cache::{CacheError, cache_dir};
pub use module_proxy::ProxyError;
pub use sdk_core::{CoreError, core_wasm};
