//! Finds the programs of the control plane, or builds them from their pinned Go modules.
//!
//! Taken in this order:
//! 1. `KUBEBUILDER_ASSETS`, the folder that envtest uses, if it has all four programs;
//! 2. the cache, and 3. a build from Go modules, which takes some minutes, once ([`built`](crate::built)).
//!
//! The ready-made archives of envtest are not used: they lack kube-controller-manager, without which nothing is garbage
//! collected and no namespace ends.

use std::env;
use std::path::{Path, PathBuf};

use crate::built::{BinariesError, Set};
use crate::go_build::{CONTROL_PLANE, ETCD_VERSION, KUBERNETES_VERSION};
use crate::progress;

/// The folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds the programs; builds them if they are nowhere.
    ///
    /// Once they are in the cache nothing is asked of the network.
    pub async fn find() -> Result<Binaries, BinariesError> {
        if let Some(folder) = from_environment() {
            return Ok(Binaries { folder });
        }
        let set = Set {
            place: "controlplane",
            version: format!("kubernetes-{KUBERNETES_VERSION}-etcd-{ETCD_VERSION}"),
            title: format!("Kubernetes {KUBERNETES_VERSION} and etcd {ETCD_VERSION}"),
            programs: &CONTROL_PLANE,
        };
        let folder = set.find().await?;
        Ok(Binaries { folder })
    }

    /// The path of etcd.
    pub fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    /// The path of kube-apiserver.
    pub fn kube_apiserver(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    /// The path of kube-controller-manager.
    pub fn kube_controller_manager(&self) -> PathBuf {
        self.folder.join("kube-controller-manager")
    }

    /// The path of kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }
}

/// The folder that `KUBEBUILDER_ASSETS` names, if it has what is needed.
fn from_environment() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS").filter(|path| !path.is_empty())?);
    let missing = missing_in(&folder);
    if missing.is_empty() {
        return Some(folder);
    }
    progress::say(&format!(
        "KUBEBUILDER_ASSETS={} is not used: it has no {}",
        folder.display(),
        missing.join(", ")
    ));
    None
}

fn missing_in(folder: &Path) -> Vec<&'static str> {
    let names = CONTROL_PLANE.iter().map(|program| program.name);
    names.filter(|name| !folder.join(name).is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envtest_ships_is_not_enough() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            std::fs::write(folder.path().join(name), "a program").unwrap();
        }
        assert_eq!(missing_in(folder.path()), ["kube-controller-manager"]);
        std::fs::write(folder.path().join("kube-controller-manager"), "a program").unwrap();
        assert!(missing_in(folder.path()).is_empty());
    }
}
