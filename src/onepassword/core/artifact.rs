//! The compiled core as a file, loaded in a millisecond.
//!
//! Next to the compiled `core.cwasm` is `core.cwasm.json`, which names its source and compiler. A
//! file that does not fit is refused before it is mapped.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module};

use super::sandbox;

/// `core.wasm` of 1Password's Go SDK 0.4.1, the version that this adapter was built and tested with.
pub const CORE_SHA256: &str = "23d115f4ac7519b48172df3e8615945572dbda7033d51b44c9490fd533ae0f23";

/// The wasmtime version whose compiled files are understood: its major version (a test compares it
/// with Cargo.lock).
pub const WASMTIME: &str = "48";

/// The target of the compilation: this kind of machine, without the extras of this particular
/// processor.
pub const TARGET: &str = if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    "aarch64-apple-darwin"
} else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
    "x86_64-apple-darwin"
} else if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};

/// The remedy for a file that does not fit.
const COMPILE_AGAIN: &str = "compile it again with `cargo xtask core --compile core.cwasm`";

/// The compiled core, loaded; all sandboxes share it.
#[derive(Clone)]
pub struct CompiledCore {
    pub(super) module: Module,
}

/// The reason why the core could not be compiled or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// A file could not be read.
    #[error(
        "cannot read {path}: {source}; fetch the core with `cargo xtask core`, and {COMPILE_AGAIN}"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The WebAssembly is not the pinned one.
    #[error(
        "{path} is not the core that this version needs (sha256 {found}, expected {CORE_SHA256}): fetch it with `cargo xtask core`"
    )]
    WrongCore {
        /// The file, or the one that was compiled from it.
        path: PathBuf,
        /// Its checksum.
        found: String,
    },
    /// The core was compiled by another wasmtime, for another kind of machine, or with other settings.
    #[error("{path} was compiled {found}, but this program needs it {needed}: {COMPILE_AGAIN}")]
    Unfit {
        /// The compiled file.
        path: PathBuf,
        /// Its properties.
        found: String,
        /// The needed properties.
        needed: String,
    },
    /// The compiled file is not the one that its manifest describes.
    #[error("{path} is damaged or does not belong to its manifest: {COMPILE_AGAIN}")]
    Damaged {
        /// The compiled file.
        path: PathBuf,
    },
    /// wasmtime cannot run here.
    #[error("wasmtime cannot run on this machine: {0}")]
    Engine(wasmtime::Error),
}

/// The file next to the compiled one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    core_sha256: String,
    wasmtime: String,
    target: String,
    cwasm_sha256: String,
}

impl Manifest {
    /// The manifest of a file that this program's wasmtime compiled from the pinned core for a
    /// target.
    pub fn of(compiled: &[u8], target: &str) -> Self {
        Self {
            core_sha256: CORE_SHA256.to_owned(),
            wasmtime: WASMTIME.to_owned(),
            target: target.to_owned(),
            cwasm_sha256: hex(Sha256::digest(compiled).as_slice()),
        }
    }

    /// The written form.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

/// Loads a compiled core after checking that it is the one that this program needs.
pub fn load(path: &Path) -> Result<CompiledCore, ArtifactError> {
    let manifest = read_manifest(path)?;
    let unfit = |found: String, needed: String| ArtifactError::Unfit {
        path: path.to_owned(),
        found,
        needed,
    };
    if manifest.core_sha256 != CORE_SHA256 {
        return Err(ArtifactError::WrongCore {
            path: path.to_owned(),
            found: manifest.core_sha256,
        });
    }
    if manifest.wasmtime != WASMTIME {
        return Err(unfit(
            format!("by wasmtime {}", manifest.wasmtime),
            format!("by wasmtime {WASMTIME}"),
        ));
    }
    if manifest.target != TARGET {
        return Err(unfit(
            format!("for {}", manifest.target),
            format!("for {TARGET}"),
        ));
    }
    let read = |source| ArtifactError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(read)?;
    if digest(&mut file).map_err(read)? != manifest.cwasm_sha256 {
        return Err(ArtifactError::Damaged {
            path: path.to_owned(),
        });
    }
    let engine = sandbox::engine().map_err(ArtifactError::Engine)?;
    let module = map(&engine, file).map_err(|error| {
        unfit(
            format!("with other settings ({error})"),
            "compiled with its own settings".to_owned(),
        )
    })?;
    Ok(CompiledCore { module })
}

fn read_manifest(compiled: &Path) -> Result<Manifest, ArtifactError> {
    let path = manifest_path(compiled);
    let bytes = fs::read(&path).map_err(|source| ArtifactError::Read { path, source })?;
    serde_json::from_slice(&bytes).map_err(|_| ArtifactError::Damaged {
        path: compiled.to_owned(),
    })
}

/// The path of a compiled file's manifest.
pub fn manifest_path(compiled: &Path) -> PathBuf {
    let mut path = compiled.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

/// Read in small pieces, because the file is larger than everything else that the operator holds.
fn digest(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(hash.finalize().as_slice())),
            length => hash.update(&piece[..length]),
        }
    }
}

/// Hexadecimal digits, as in checksums.
pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Maps the compiled file into memory, without a copy.
#[allow(
    unsafe_code,
    reason = "the only way to load what was compiled before; its safety is argued below"
)]
fn map(engine: &Engine, file: File) -> wasmtime::Result<Module> {
    // SAFETY: the file must be one that wasmtime itself has written, and must not change while it
    // is mapped. Its checksum, taken from this very open file, is the one that the compiler put
    // into the manifest. Both files come from our own image or cache and are only ever replaced by
    // renaming, and anyone who can write there can replace the program itself.
    unsafe { Module::deserialize_open_file(engine, file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wasmtime_that_manifests_name_is_the_one_we_use() {
        let lock = include_str!("../../../Cargo.lock");
        let expected = format!("name = \"wasmtime\"\nversion = \"{WASMTIME}.");
        assert!(
            lock.contains(&expected),
            "set WASMTIME to the major version in Cargo.lock"
        );
    }
}
