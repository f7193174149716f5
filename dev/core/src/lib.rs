//! Compiles the core. Its WebAssembly is checked against the pinned checksum; the compiled file
//! loads in a millisecond.
//!
//! The operator does not contain this crate: it gets the core compiled, and a program that holds
//! tokens needs no compiler.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use keyloan::onepassword::core::artifact::{
    self, ArtifactError, CORE_SHA256, Manifest, TARGET, WASMTIME,
};
use keyloan::onepassword::core::engine_config;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

/// Why the core could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The WebAssembly does not exist, or is not the pinned one.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The compiler failed.
    #[error("the core cannot be compiled: {0}")]
    Compiler(wasmtime::Error),
    /// The core could not be fetched.
    #[error(transparent)]
    Fetch(#[from] keyloan_cluster::CoreError),
    /// The cache folder could not be determined.
    #[error(transparent)]
    Cache(#[from] keyloan_cluster::CacheError),
}

/// The compiled core in the cache folder. Fetches and compiles it, unless a matching one is there.
pub async fn compiled_core() -> Result<PathBuf, CompileError> {
    let wasm = keyloan_cluster::core_wasm().await?;
    let cache = keyloan_cluster::cache_dir()?.join("compiled");
    let compiling = tokio::task::spawn_blocking(move || ensure(&wasm, &cache));
    match compiling.await {
        Ok(compiled) => compiled,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Compiles the core (a few seconds and some 100 MB of memory) into `out`, with its manifest beside it.
pub fn compile(wasm: &Path, out: &Path) -> Result<(), CompileError> {
    let bytes = fs::read(wasm).map_err(|source| ArtifactError::Read {
        path: wasm.to_owned(),
        source,
    })?;
    let found = artifact::hex(Sha256::digest(&bytes).as_slice());
    if found != CORE_SHA256 {
        let path = wasm.to_owned();
        return Err(ArtifactError::WrongCore { path, found }.into());
    }
    let compiled = compiler()
        .and_then(|engine| engine.precompile_module(&bytes))
        .map_err(CompileError::Compiler)?;
    write(out, &compiled)?;
    write(
        &artifact::manifest_path(out),
        &Manifest::of(&compiled).to_json(),
    )
}

/// The operator's configuration, but for any processor of this kind, not just the one that
/// compiles: images are built on one machine and run on others.
fn compiler() -> wasmtime::Result<Engine> {
    let mut config = engine_config();
    config.target(TARGET)?;
    Engine::new(&config)
}

/// The compiled core in `cache`. Compiles it from `wasm`, unless a matching one is there. Many
/// processes may call this at once.
pub fn ensure(wasm: &Path, cache: &Path) -> Result<PathBuf, CompileError> {
    let write = |source| CompileError::Write {
        path: cache.to_owned(),
        source,
    };
    fs::create_dir_all(cache).map_err(write)?;
    let lock = File::create(cache.join("core.lock")).map_err(write)?;
    lock.lock().map_err(write)?;
    let compiled = cache.join(format!("core-wasmtime{WASMTIME}-{TARGET}.cwasm"));
    if artifact::load(&compiled).is_err() {
        compile(wasm, &compiled)?;
    }
    Ok(compiled)
}

/// Nobody ever sees an incomplete file, and the old one stays intact: a running operator may have
/// mapped it.
fn write(path: &Path, content: &[u8]) -> Result<(), CompileError> {
    let failed = |source| CompileError::Write {
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

/// Only their owner can read temporary files, but in an image another user runs the operator.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
