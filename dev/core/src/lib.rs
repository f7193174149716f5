//! Compiles the core: checks its WebAssembly against the pinned checksum, and writes a file that loads in a millisecond.
//!
//! The operator does not contain this code: it loads the compiled core, and a program that holds tokens needs no compiler.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use keyloan::onepassword::core::artifact::{self, ArtifactError, CORE_SHA256, Manifest, WASMTIME};
use keyloan::onepassword::core::engine_config;
use sha2::{Digest, Sha256};
use wasmtime::Engine;

pub use keyloan::onepassword::core::artifact::TARGET;

/// Why the core could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The WebAssembly is missing, or is not the pinned one.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The compiler failed.
    #[error("cannot compile the core: {0}")]
    Compiler(wasmtime::Error),
    /// The core could not be fetched.
    #[error(transparent)]
    Fetch(#[from] keyloan_cluster::CoreError),
    /// There is no cache folder.
    #[error(transparent)]
    Cache(#[from] keyloan_cluster::CacheError),
}

/// The compiled core in the cache folder; fetches and compiles it unless a matching one exists.
pub async fn compiled_core() -> Result<PathBuf, CompileError> {
    let wasm = keyloan_cluster::core_wasm().await?;
    let cache = keyloan_cluster::cache_dir()?.join("compiled");
    let compiling = tokio::task::spawn_blocking(move || ensure(&wasm, &cache));
    match compiling.await {
        Ok(compiled) => compiled,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// Compiles the core (a few seconds and some 100 MB of memory) into `out`, with its manifest beside it. `target` is the
/// operator's machine, [`TARGET`] or another of the targets that the operator knows.
pub fn compile(wasm: &Path, out: &Path, target: &str) -> Result<(), CompileError> {
    let bytes = fs::read(wasm).map_err(|source| ArtifactError::Read {
        path: wasm.to_owned(),
        source,
    })?;
    let found = artifact::hex(Sha256::digest(&bytes).as_slice());
    if found != CORE_SHA256 {
        let path = wasm.to_owned();
        return Err(ArtifactError::WrongCore { path, found }.into());
    }
    let compiled = compiler(target)
        .and_then(|engine| engine.precompile_module(&bytes))
        .map_err(CompileError::Compiler)?;
    write(out, &compiled)?;
    write(
        &artifact::manifest_path(out),
        &Manifest::of(&compiled, target).to_json(),
    )
}

/// The operator's own settings, for any processor of this architecture instead of only the one that compiles: images are built on
/// one machine and run on others.
fn compiler(target: &str) -> wasmtime::Result<Engine> {
    let mut config = engine_config();
    config.target(target)?;
    Engine::new(&config)
}

/// The compiled core in `cache`; compiles `wasm` unless a matching one exists. Several processes may call this at the same time.
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
        compile(wasm, &compiled, TARGET)?;
    }
    Ok(compiled)
}

/// Replaces the file atomically: a running operator may have the old one mapped.
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

/// Only their owner can read temporary files; in an image, another user runs the operator.
fn make_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
