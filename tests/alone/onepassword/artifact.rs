//! The core as a file: only the right one is compiled, only what fits is loaded, and the refusal says what to do.

use std::fs;
use std::path::Path;

use keyloan::onepassword::core::artifact::{self, ArtifactError, CORE_SHA256};
use keyloan_core::{CompileError, TARGET};

use crate::onepassword::world;

#[test]
fn another_file_than_the_pinned_core_is_not_compiled() {
    let folder = tempfile::tempdir().expect("a folder");
    let wasm = folder.path().join("core.wasm");
    fs::write(&wasm, b"\0asm\x01\0\0\0").expect("written");
    let error = keyloan_core::compile(&wasm, &folder.path().join("core.cwasm"), TARGET)
        .expect_err("refused");
    assert!(matches!(
        &error,
        CompileError::Artifact(ArtifactError::WrongCore { .. })
    ));
    assert!(
        error.to_string().contains(CORE_SHA256) && error.to_string().contains("cargo xtask core"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = artifact::load(Path::new("/nowhere/core.cwasm"))
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains("/nowhere/core.cwasm.json") && error.contains("cargo xtask core --compile"),
        "{error}"
    );
}

#[tokio::test]
async fn what_was_compiled_is_not_compiled_again() {
    let compiled = world::compiled().await;
    let cache = compiled.parent().expect("a folder");
    let again = keyloan_core::ensure(Path::new("/nowhere/core.wasm"), cache).expect("it is there");
    assert_eq!(again, compiled);
    assert!(artifact::load(&again).is_ok());
}

/// A copy of the compiled core whose manifest or content is then changed.
async fn refused(change: impl FnOnce(&Path, &mut serde_json::Value)) -> String {
    let compiled = world::compiled().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (copy, manifest) = (
        folder.path().join("core.cwasm"),
        folder.path().join("core.cwasm.json"),
    );
    fs::copy(&compiled, &copy).expect("copied");
    let described = fs::read(compiled.with_extension("cwasm.json")).expect("a manifest");
    let mut described: serde_json::Value = serde_json::from_slice(&described).expect("JSON");
    change(&copy, &mut described);
    fs::write(&manifest, described.to_string()).expect("written");
    let error = artifact::load(&copy).err().expect("refused").to_string();
    error.replace(&*copy.to_string_lossy(), "core.cwasm")
}

#[tokio::test]
async fn a_compiled_core_that_does_not_fit_is_refused() {
    let wasmtime = refused(|_, manifest| manifest["wasmtime"] = "41".into()).await;
    assert!(
        wasmtime.contains("by wasmtime 41, but") && wasmtime.contains("cargo xtask core --compile"),
        "{wasmtime}"
    );
    let target = refused(|_, manifest| manifest["target"] = "s390x-unknown-linux-gnu".into()).await;
    assert!(
        target.contains("for s390x-unknown-linux-gnu, but"),
        "{target}"
    );
    let core = refused(|_, manifest| manifest["coreSha256"] = "00".into()).await;
    assert!(
        core.contains("is not the core that this version needs"),
        "{core}"
    );
}

#[tokio::test]
async fn a_compiled_core_that_was_changed_is_not_loaded() {
    let changed = refused(|copy, _| {
        let mut bytes = fs::read(copy).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(copy, bytes).expect("written");
    })
    .await;
    assert!(
        changed.contains("damaged") && changed.contains("cargo xtask core --compile"),
        "{changed}"
    );
    let cut = refused(|copy, _| fs::write(copy, b"").expect("written")).await;
    assert!(cut.contains("damaged"), "{cut}");
}
