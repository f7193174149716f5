//! Finds the programs of the control plane, or builds them from their pinned Go modules.
//!
//! Taken in this order:
//! 1. `KUBEBUILDER_ASSETS`, the folder that envtest uses, if it has all four programs, and the API server is of the pinned version;
//! 2. the cache; 3. what [somebody else has built](crate::prebuilt); and 4. a build from Go modules, which takes some minutes, once.
//!
//! The ready-made archives of envtest are not used: they lack kube-controller-manager, without which nothing is garbage
//! collected and no namespace ends.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let folder = set().find().await?;
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

pub(crate) fn set() -> Set {
    Set {
        place: "controlplane",
        version: format!("kubernetes-{KUBERNETES_VERSION}-etcd-{ETCD_VERSION}"),
        title: format!("Kubernetes {KUBERNETES_VERSION} and etcd {ETCD_VERSION}"),
        programs: &CONTROL_PLANE,
    }
}

/// The folder that `KUBEBUILDER_ASSETS` names, if it has what is needed.
fn from_environment() -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS").filter(|path| !path.is_empty())?);
    match unfit(&folder) {
        None => Some(folder),
        Some(why) => {
            let folder = folder.display();
            progress::say(&format!("KUBEBUILDER_ASSETS={folder} is not used: {why}"));
            None
        }
    }
}

/// Why the programs in a folder will not do.
fn unfit(folder: &Path) -> Option<String> {
    let missing = missing_in(folder);
    if !missing.is_empty() {
        return Some(format!("it has no {}", missing.join(", ")));
    }
    let asked = Command::new(folder.join("kube-apiserver"))
        .arg("--version")
        .output();
    match asked {
        Ok(answer) => is_another(String::from_utf8_lossy(&answer.stdout).trim()),
        Err(error) => Some(format!("its kube-apiserver cannot be started ({error})")),
    }
}

/// What is wrong about an API server that says this of its version.
fn is_another(says: &str) -> Option<String> {
    let wanted = format!("Kubernetes {KUBERNETES_VERSION}");
    (says != wanted).then(|| format!("its kube-apiserver is {says:?}, not {wanted:?}"))
}

fn missing_in(folder: &Path) -> Vec<&'static str> {
    let names = CONTROL_PLANE.iter().map(|program| program.name);
    names.filter(|name| !folder.join(name).is_file()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_envtest_ships_is_not_enough() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["etcd", "kube-apiserver", "kubectl"] {
            fs::write(folder.path().join(name), "a program").unwrap();
        }
        let why = unfit(folder.path());
        assert_eq!(why.unwrap(), "it has no kube-controller-manager");
        fs::write(folder.path().join("kube-controller-manager"), "a program").unwrap();
        let why = unfit(folder.path()).unwrap();
        assert!(why.contains("cannot be started"), "{why}");
    }

    #[test]
    fn another_version_will_not_do() {
        let why = is_another("Kubernetes v1.2.3").unwrap();
        assert!(why.contains("is \"Kubernetes v1.2.3\", not"), "{why}");
        assert_eq!(
            is_another(&format!("Kubernetes {KUBERNETES_VERSION}")),
            None
        );
    }
}
