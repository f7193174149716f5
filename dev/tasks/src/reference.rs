//! `cargo xtask reference`: writes the reference of the kinds, from the CRDs in `crds/`.

use anyhow::Context as _;
use keyloan_book::{REFERENCE, reference};

use crate::workspace;

/// Runs the command.
pub fn run() -> anyhow::Result<()> {
    let page = reference(&workspace::folder())?;
    let path = workspace::folder().join(REFERENCE);
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}
