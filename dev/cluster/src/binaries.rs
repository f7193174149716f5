//! Finds the programs of the control plane, or builds them from their pinned Go modules.
//!
//! It takes them from the first of these:
//! 1. `KUBEBUILDER_ASSETS`, the folder that envtest uses, if it has all four programs and the API
//!    server is of the pinned version;
//! 2. the cache;
//! 3. what [somebody else has built](crate::prebuilt);
//! 4. a build from Go modules, which takes some minutes, once.
//!
//! `KEYLOAN_KUBERNETES` chooses another [version](VERSIONS) of Kubernetes, which is always built: the
//! oldest that the charts admit.
//!
//! The ready-made archives of envtest are not used: they lack kube-controller-manager. Without it
//! nothing is garbage collected, and no namespace is ever fully deleted.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::built::{BinariesError, Set};
use crate::go_programs::{
    CONTROL_PLANE, ETCD_VERSION, KUBERNETES_VERSION, OLDEST_CONTROL_PLANE,
    OLDEST_KUBERNETES_VERSION, Program,
};
use crate::progress;

/// The folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
#[derive(Clone, Debug)]
pub struct Binaries {
    folder: PathBuf,
    kubernetes: &'static Kubernetes,
}

/// The variable that chooses one of the [versions](VERSIONS) of Kubernetes.
pub const CHOICE: &str = "KEYLOAN_KUBERNETES";

/// The versions of Kubernetes that can be chosen; the first one is the usual one.
pub const VERSIONS: [&str; 2] = [USUAL.version, OLDEST.version];

/// A version of Kubernetes that can be chosen.
#[derive(Debug)]
struct Kubernetes {
    version: &'static str,
    pinned: &'static str,
    programs: fn() -> &'static [Program],
    /// The version in which its API server serves mutating admission policies.
    mutating_policies: &'static str,
}

const USUAL: Kubernetes = Kubernetes {
    version: "1.37",
    pinned: KUBERNETES_VERSION,
    programs: || &CONTROL_PLANE,
    mutating_policies: STABLE,
};

const OLDEST: Kubernetes = Kubernetes {
    version: "1.33",
    pinned: OLDEST_KUBERNETES_VERSION,
    programs: || &OLDEST_CONTROL_PLANE,
    mutating_policies: "v1alpha1",
};

static KUBERNETES: [Kubernetes; 2] = [USUAL, OLDEST];

/// The version of kinds that each API server serves.
const STABLE: &str = "v1";

/// The version in which the chosen Kubernetes serves a kind of `admissionregistration.k8s.io`. Before
/// 1.36 it has mutating policies only in a version of their own, and only if its API server is told
/// so; their fields are the same.
pub fn admission_version(kind: &str) -> &'static str {
    let chosen = env::var(CHOICE).unwrap_or_default();
    let chosen = KUBERNETES.iter().find(|known| known.version == chosen);
    match kind.starts_with("MutatingAdmissionPolicy") {
        true => chosen.unwrap_or(&USUAL).mutating_policies,
        false => STABLE,
    }
}

/// Whether the API server of one of the [versions](VERSIONS) has mutating admission policies without
/// being told so, and Keyloan's charts install them.
pub fn has_mutating_policies(version: &str) -> bool {
    let known = KUBERNETES.iter().find(|known| known.version == version);
    known.is_some_and(Kubernetes::has_mutating_policies)
}

impl Kubernetes {
    fn has_mutating_policies(&self) -> bool {
        self.mutating_policies == STABLE
    }
}

impl Binaries {
    /// Finds the programs of the version that the environment chooses; builds them if they are
    /// nowhere.
    ///
    /// Once they are in the cache, this uses no network.
    pub async fn find() -> Result<Binaries, BinariesError> {
        let chosen = env::var(CHOICE).unwrap_or_default();
        Binaries::of(if chosen.is_empty() {
            USUAL.version
        } else {
            &chosen
        })
        .await
    }

    /// The same for one of the [versions](VERSIONS).
    pub async fn of(version: &str) -> Result<Binaries, BinariesError> {
        let known = KUBERNETES.iter().find(|known| known.version == version);
        let kubernetes = known.ok_or_else(|| BinariesError::Version {
            wanted: version.to_owned(),
            versions: VERSIONS.to_vec(),
        })?;
        if let Some(folder) = from_environment(kubernetes.pinned) {
            return Ok(Binaries { folder, kubernetes });
        }
        let folder = set_of(kubernetes).find().await?;
        Ok(Binaries { folder, kubernetes })
    }

    /// Whether the API server has mutating admission policies without being told so.
    pub(crate) fn has_mutating_policies(&self) -> bool {
        self.kubernetes.has_mutating_policies()
    }

    /// The API server's arguments that switch these policies on.
    pub(crate) fn switch_mutating_policies_on(&self) -> [String; 2] {
        let version = self.kubernetes.mutating_policies;
        [
            "--feature-gates=MutatingAdmissionPolicy=true".to_owned(),
            format!("--runtime-config=admissionregistration.k8s.io/{version}=true"),
        ]
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
    set_of(&USUAL)
}

fn set_of(kubernetes: &Kubernetes) -> Set {
    let pinned = kubernetes.pinned;
    Set {
        place: "controlplane",
        version: format!("kubernetes-{pinned}-etcd-{ETCD_VERSION}"),
        title: format!("Kubernetes {pinned} and etcd {ETCD_VERSION}"),
        programs: (kubernetes.programs)(),
        prebuilt: kubernetes.version == USUAL.version,
    }
}

/// The folder that `KUBEBUILDER_ASSETS` names, if it has the programs that are needed.
fn from_environment(kubernetes: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env::var_os("KUBEBUILDER_ASSETS").filter(|path| !path.is_empty())?);
    match unfit(&folder, kubernetes) {
        None => Some(folder),
        Some(why) => {
            let folder = folder.display();
            progress::say(&format!("KUBEBUILDER_ASSETS={folder} is not used: {why}"));
            None
        }
    }
}

/// Why the programs in a folder cannot be used.
fn unfit(folder: &Path, kubernetes: &str) -> Option<String> {
    let missing = missing_in(folder);
    if !missing.is_empty() {
        return Some(format!("it has no {}", missing.join(", ")));
    }
    let asked = Command::new(folder.join("kube-apiserver"))
        .arg("--version")
        .output();
    match asked {
        Ok(answer) => is_another(String::from_utf8_lossy(&answer.stdout).trim(), kubernetes),
        Err(error) => Some(format!("its kube-apiserver cannot be started ({error})")),
    }
}

/// The reason why an API server that reports this version is not the wanted one.
fn is_another(says: &str, kubernetes: &str) -> Option<String> {
    let wanted = format!("Kubernetes {kubernetes}");
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
        let why = unfit(folder.path(), KUBERNETES_VERSION);
        assert_eq!(why.unwrap(), "it has no kube-controller-manager");
        fs::write(folder.path().join("kube-controller-manager"), "a program").unwrap();
        let why = unfit(folder.path(), KUBERNETES_VERSION).unwrap();
        assert!(why.contains("cannot be started"), "{why}");
    }

    #[test]
    fn another_version_will_not_do() {
        let why = is_another("Kubernetes v1.2.3", KUBERNETES_VERSION).unwrap();
        assert!(why.contains("is \"Kubernetes v1.2.3\", not"), "{why}");
        assert_eq!(
            is_another("Kubernetes v1.33.13", OLDEST_KUBERNETES_VERSION),
            None
        );
    }

    #[test]
    fn the_versions_to_choose_from_are_those_that_are_pinned() {
        for Kubernetes {
            version, pinned, ..
        } in &KUBERNETES
        {
            assert!(pinned.starts_with(&format!("v{version}.")), "{pinned}");
        }
    }
}
