//! The conclusions of Argo CD and Flux from the statuses that the plan writes: the files of
//! `examples/gitops` are run on them.

mod expressions;
mod health;
mod states;

use std::path::{Path, PathBuf};

/// The folder with the examples.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops")
}

/// Compares a file that follows from the code, or writes it if `KEYLOAN_WRITE_EXAMPLES` is set.
fn compare_or_write(path: &Path, text: &str) {
    if std::env::var_os("KEYLOAN_WRITE_EXAMPLES").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is out of date: run `KEYLOAN_WRITE_EXAMPLES=1 cargo test --test alone gitops`",
        path.display()
    );
}
