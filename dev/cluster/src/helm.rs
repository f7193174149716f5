//! The real helm, helm-docs and kubeconform. They are built when something first needs them; only
//! the charts do.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::{fs, io};

use tempfile::TempDir;
use tokio::process::Command;

use crate::built::{BinariesError, Set};
use crate::go_programs::{
    HELM, HELM_DOCS, HELM_DOCS_VERSION, HELM_VERSION, KUBECONFORM, KUBECONFORM_VERSION,
};

/// Why a call of helm failed.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// Helm is not available.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// Helm could not be started.
    #[error("cannot run helm: {0}")]
    Run(#[from] io::Error),
    /// Helm returned an error.
    #[error("helm {arguments} failed:\n{said}")]
    Failed {
        /// The arguments of the call.
        arguments: String,
        /// The output of helm.
        said: String,
    },
}

/// Helm, with folders of its own: it ignores its user's configuration.
pub struct Helm {
    program: PathBuf,
    home: TempDir,
}

impl Helm {
    /// Finds helm in the cache; builds it if it is not there, which takes some minutes.
    pub async fn find() -> Result<Helm, HelmError> {
        let program = set().find().await?.join("helm");
        let home = tempfile::tempdir()?;
        Ok(Helm { program, home })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs helm and returns its output on stdout.
    pub async fn run(&self, arguments: &[&str]) -> Result<String, HelmError> {
        let output = self.output(arguments).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        Err(HelmError::Failed {
            arguments: arguments.join(" "),
            said: text(&output.stdout) + &text(&output.stderr),
        })
    }

    async fn output(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut helm = Command::new(&self.program);
        for (variable, name) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            let folder = self.home.path().join(name);
            fs::create_dir_all(&folder)?;
            helm.env(variable, folder);
        }
        helm.args(arguments)
            // Only an argument names a cluster.
            .env("KUBECONFIG", "/dev/null")
            .env_remove("HELM_NAMESPACE")
            .env_remove("HELM_KUBECONTEXT")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
    }
}

/// The path of kubeconform. Builds it if it is not in the cache.
pub async fn kubeconform() -> Result<PathBuf, BinariesError> {
    Ok(kubeconform_set().find().await?.join("kubeconform"))
}

pub(crate) fn set() -> Set {
    Set {
        place: "helm",
        version: HELM_VERSION.to_owned(),
        title: format!("helm {HELM_VERSION}"),
        programs: &HELM,
        prebuilt: true,
    }
}

/// The path of helm-docs. Builds it if it is not in the cache.
pub(crate) async fn helm_docs() -> Result<PathBuf, BinariesError> {
    Ok(helm_docs_set().find().await?.join("helm-docs"))
}

pub(crate) fn helm_docs_set() -> Set {
    Set {
        place: "helm-docs",
        version: HELM_DOCS_VERSION.to_owned(),
        title: format!("helm-docs {HELM_DOCS_VERSION}"),
        programs: &HELM_DOCS,
        prebuilt: true,
    }
}

pub(crate) fn kubeconform_set() -> Set {
    Set {
        place: "kubeconform",
        version: KUBECONFORM_VERSION.to_owned(),
        title: format!("kubeconform {KUBECONFORM_VERSION}"),
        programs: &KUBECONFORM,
        prebuilt: true,
    }
}
