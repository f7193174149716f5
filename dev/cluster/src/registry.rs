//! A real registry of images and charts, and the client that pushes images to it and pulls them.
//! Each is built when something first needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::built::{BinariesError, Set};
use crate::forward_proxy::free_address;
use crate::go_programs::{CRANE, CRANE_VERSION, REGISTRY, REGISTRY_VERSION};
use crate::program::Program;
use crate::wait::{TimedOut, wait_until};

/// The time limit for starting.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no registry, or why an image was not moved.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The programs could not be built.
    #[error(transparent)]
    Binaries(#[from] BinariesError),
    /// A program could not be started.
    #[error("cannot run the registry or crane: {0}")]
    Run(#[from] io::Error),
    /// The registry does not answer.
    #[error("{source}; the end of its log:\n{log}")]
    NotReady {
        /// The state that was not reached.
        source: TimedOut,
        /// The end of its log.
        log: String,
    },
    /// Crane returned an error.
    #[error("crane {arguments} failed:\n{said}")]
    Failed {
        /// The arguments of the call.
        arguments: String,
        /// The output of crane.
        said: String,
    },
}

/// A registry that runs, on the loopback interface and without encryption. It ends when this is
/// dropped.
pub struct Registry {
    address: String,
    crane: PathBuf,
    _program: Program,
}

impl Registry {
    /// Starts a registry that keeps everything in a folder.
    pub async fn start(folder: &Path) -> Result<Self, RegistryError> {
        let program = registry_set().find().await?.join("registry");
        let crane = crane_set().find().await?.join("crane");
        std::fs::create_dir_all(folder)?;
        let address = free_address()?;
        let settings = folder.join("config.yml");
        std::fs::write(&settings, settings_of(&address, &folder.join("storage")))?;
        let mut command = Command::new(program);
        command.arg("serve").arg(&settings);
        let program = Program::start(&command, &folder.join("registry.log"))?;
        let answers = async || tokio::net::TcpStream::connect(&address).await.ok();
        let ready = wait_until("the registry answers", STARTS_WITHIN, answers).await;
        if let Err(source) = ready {
            let log = program.log_tail(15);
            return Err(RegistryError::NotReady { source, log });
        }
        Ok(Self {
            address,
            crane,
            _program: program,
        })
    }

    /// The address, as `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Pushes an OCI layout, which is a folder, and returns the image's name with its digest.
    pub async fn push(&self, layout: &Path, image: &str) -> Result<String, RegistryError> {
        let image = format!("{}/{image}", self.address);
        let layout = layout.display().to_string();
        self.crane(&["push", "--insecure", &layout, &image]).await
    }

    /// Pulls an image with all its platforms, as an OCI layout into a folder.
    pub async fn pull(&self, image: &str, folder: &Path) -> Result<(), RegistryError> {
        let folder = folder.display().to_string();
        self.crane(&["pull", "--insecure", "--format=oci", image, &folder])
            .await
            .map(drop)
    }

    async fn crane(&self, arguments: &[&str]) -> Result<String, RegistryError> {
        let output = tokio::process::Command::new(&self.crane)
            .args(arguments)
            // It reads no credentials of its user.
            .env("DOCKER_CONFIG", "/nonexistent")
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(RegistryError::Failed {
            arguments: arguments.join(" "),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn settings_of(address: &str, storage: &Path) -> String {
    let settings = serde_json::json!({
        "version": "0.1",
        "log": { "level": "warn", "accesslog": { "disabled": true } },
        "storage": { "filesystem": { "rootdirectory": storage } },
        "http": { "addr": address },
    });
    settings.to_string()
}

fn registry_set() -> Set {
    Set {
        place: "registry",
        version: REGISTRY_VERSION.to_owned(),
        title: format!("a registry of distribution {REGISTRY_VERSION}"),
        programs: &REGISTRY,
        prebuilt: true,
    }
}

fn crane_set() -> Set {
    Set {
        place: "crane",
        version: CRANE_VERSION.to_owned(),
        title: format!("crane {CRANE_VERSION}"),
        programs: &CRANE,
        prebuilt: true,
    }
}
