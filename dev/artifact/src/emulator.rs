//! Runs Linux programs for another processor than this machine's.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The name of the emulator of 64-bit ARM, which is one static program.
pub const EMULATOR: &str = "qemu-aarch64-static";

/// The emulator, if it is installed.
pub fn emulator() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = std::env::split_paths(&path).map(|folder| folder.join(EMULATOR));
    let found = programs.find(|program| program.is_file());
    found.with_context(|| {
        format!(
            "the program is for another processor: install {EMULATOR} (Debian's package qemu-user-static)"
        )
    })
}
