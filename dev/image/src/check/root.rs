//! The root file system of a container: the files of the image, and what an engine mounts there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use keyloan_artifact::{EMULATOR, emulator};
use keyloan_cluster::GLIBC_SETTINGS;

use super::pod::Pod;
use crate::layout::ENTRYPOINT;
use crate::platform::Platform;

/// Where a pod finds the token of its ServiceAccount.
const SERVICE_ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";
/// The folders in which Linux distributions keep the C library.
const LIBRARIES: [&str; 3] = ["lib", "lib64", "usr/lib"];
/// A folder with the files of an image.
pub struct Root {
    /// The folder.
    pub folder: PathBuf,
    /// What is mounted there: from where, to where in the folder.
    pub mounts: Vec<(PathBuf, String)>,
    /// The program and its first arguments.
    pub program: Vec<String>,
    /// Variables of the environment besides the pod's.
    pub environment: &'static [(&'static str, &'static str)],
}

impl Root {
    /// The unpacked image, as it is.
    pub fn of_image(folder: &Path, platform: Platform, pod: &Pod) -> Result<Self> {
        let mut root = Self {
            folder: folder.to_owned(),
            mounts: vec![
                (pod.service_account.clone(), SERVICE_ACCOUNT.to_owned()),
                ("/dev".into(), "dev".to_owned()),
            ],
            program: vec![ENTRYPOINT.to_owned()],
            environment: &[],
        };
        if platform != Platform::HERE {
            root.emulate()?;
        }
        // An engine, too, makes what it mounts something on.
        for (_, to) in &root.mounts {
            make_folder(&folder.join(to))?;
        }
        make_folder(&folder.join("proc"))?;
        Ok(root)
    }

    /// The unpacked image, with another program that uses this machine's C library.
    pub fn with_program(folder: &Path, program: &Path, pod: &Pod) -> Result<Self> {
        let mut root = Self::of_image(folder, Platform::HERE, pod)?;
        root.environment = &GLIBC_SETTINGS;
        let replaced = folder.join(ENTRYPOINT.trim_start_matches('/'));
        fs::copy(program, &replaced)
            .with_context(|| format!("cannot replace {}", replaced.display()))?;
        for library in LIBRARIES {
            // A link in one of them leads to another one.
            let from = Path::new("/").join(library).canonicalize();
            if let Ok(from) = from {
                make_folder(&folder.join(library))?;
                root.mounts.push((from, library.to_owned()));
            }
        }
        Ok(root)
    }

    fn emulate(&mut self) -> Result<()> {
        let emulator = emulator()?;
        fs::copy(&emulator, self.folder.join(EMULATOR))?;
        self.program.insert(0, format!("/{EMULATOR}"));
        Ok(())
    }
}

/// Fails where no other user and no other root can be had.
pub fn ensure_possible() -> Result<()> {
    let id = Command::new("id").arg("-u").output();
    let is_root = id.is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    ensure!(
        is_root,
        "only root can run the image as another user in a root file system of its own: run `sudo cargo xtask image --check`, or leave out --check"
    );
    for program in ["unshare", "setpriv", "chroot"] {
        let found = Command::new(program).arg("--version").output();
        found.with_context(|| format!("cannot run {program}: install util-linux and coreutils"))?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}
