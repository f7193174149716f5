//! Compiles the core: its WebAssembly checked against the pinned checksum, and written as a file that loads in a millisecond.
//!
//! The operator in a cluster is built without this: there the core comes compiled, and a program that holds tokens needs no
//! compiler.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::artifact::{
    ArtifactError, CORE_SHA256, Manifest, TARGET, WASMTIME, hex, load, manifest_path,
};
use super::sandbox;

/// Compiles the core (a few seconds and some 100 MB of memory) into `out`, with its manifest beside it.
pub fn compile(wasm: &Path, out: &Path) -> Result<(), ArtifactError> {
    let bytes = fs::read(wasm).map_err(|source| ArtifactError::Read {
        path: wasm.to_owned(),
        source,
    })?;
    let found = hex(Sha256::digest(&bytes).as_slice());
    if found != CORE_SHA256 {
        return Err(ArtifactError::WrongCore {
            path: wasm.to_owned(),
            found,
        });
    }
    let engine = sandbox::engine().map_err(ArtifactError::Engine)?;
    let compiled = engine
        .precompile_module(&bytes)
        .map_err(ArtifactError::Compile)?;
    let manifest = Manifest {
        core_sha256: found,
        wasmtime: WASMTIME.to_owned(),
        target: TARGET.to_owned(),
        cwasm_sha256: hex(Sha256::digest(&compiled).as_slice()),
    };
    let described = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    write(out, &compiled)?;
    write(&manifest_path(out), &described)
}

/// The compiled core in `cache`, compiled from `wasm` unless a fitting one is there. Safe to be called by many processes at once.
pub fn ensure(wasm: &Path, cache: &Path) -> Result<PathBuf, ArtifactError> {
    let write = |source| ArtifactError::Write {
        path: cache.to_owned(),
        source,
    };
    fs::create_dir_all(cache).map_err(write)?;
    let lock = File::create(cache.join("core.lock")).map_err(write)?;
    lock.lock().map_err(write)?;
    let compiled = cache.join(format!("core-wasmtime{WASMTIME}-{TARGET}.cwasm"));
    if load(&compiled).is_err() {
        compile(wasm, &compiled)?;
    }
    Ok(compiled)
}

/// Nobody ever sees half a file: a running operator may have the old one mapped.
fn write(path: &Path, content: &[u8]) -> Result<(), ArtifactError> {
    let failed = |source| ArtifactError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    io::Write::write_all(&mut file, content).map_err(failed)?;
    make_readable(file.as_file()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Temporary files are for their owner alone; in an image, another user runs the operator.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
