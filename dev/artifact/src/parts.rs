//! What a program contains besides crates: the libraries of Rust, of the C compiler and of the
//! system, where they become part of the program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::program::output;
use crate::target::{Os, Target};
use crate::zig::{self, Zig};

/// A library.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its version, if it has one of its own.
    pub version: Option<String>,
    /// Its license, as an SPDX expression.
    pub license: &'static str,
    /// The name under which the text of its license is shipped.
    pub notice: &'static str,
    /// Where that text is on this machine.
    pub text: PathBuf,
}

/// The libraries in a program for a target.
pub async fn parts_of(target: Target, zig: &Zig) -> Result<Vec<Part>> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"])).await?;
    let version = output(Command::new("rustc").arg("--version")).await?;
    let mut parts = vec![
        Part {
            name: "rust-std",
            version: version.split(' ').nth(1).map(str::to_owned),
            license: "MIT OR Apache-2.0",
            notice: "rust-library.html",
            text: Path::new(&sysroot).join("share/doc/rust/COPYRIGHT-library.html"),
        },
        Part {
            name: "zig-compiler-rt",
            version: Some(zig::version()?.to_owned()),
            license: "MIT",
            notice: "compiler-library.txt",
            text: zig.file("LICENSE"),
        },
    ];
    match target.os() {
        Os::Linux => parts.push(Part {
            name: "musl",
            version: Some(version_of_musl(zig)?),
            license: "MIT",
            notice: "c-library.txt",
            text: zig.file("lib/libc/musl/COPYRIGHT"),
        }),
        Os::Windows => parts.push(Part {
            name: "mingw-w64",
            version: None,
            license: "ZPL-2.1",
            notice: "c-library.txt",
            text: zig.file("lib/libc/mingw/COPYING"),
        }),
        // macOS has both as libraries of its own.
        Os::Darwin => return Ok(parts),
    }
    parts.push(Part {
        name: "llvm-libunwind",
        version: None,
        license: "Apache-2.0 WITH LLVM-exception",
        notice: "unwinder.txt",
        text: zig.file("lib/libunwind/LICENSE.TXT"),
    });
    Ok(parts)
}

/// `#define VERSION "1.2.5"`.
fn version_of_musl(zig: &Zig) -> Result<String> {
    let path = zig.file("lib/libc/musl/src/internal/version.h");
    let text = fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let version = text.split('"').nth(1);
    let version = version.with_context(|| format!("{} has no version", path.display()))?;
    Ok(version.to_owned())
}
