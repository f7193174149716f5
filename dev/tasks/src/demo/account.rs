//! The contents of the demo's 1Password account.

use std::path::PathBuf;

use anyhow::{Context, Result};
use keyloan_simulator::Account;
use keyloan_simulator::account::Item;

use crate::workspace;

/// The service account whose token the integration gets.
pub const SERVICE_ACCOUNT: &str = "keyloan";

/// The account's file.
pub fn file() -> PathBuf {
    workspace::folder().join("dev/tasks/demo/account.yaml")
}

/// An item as it is in the file.
pub fn item(vault: &str, title: &str) -> Result<Item> {
    let account = Account::load(&file())?;
    let vaults = account
        .vaults
        .into_iter()
        .filter(|known| known.title == vault);
    let item = vaults
        .flat_map(|vault| vault.items)
        .find(|item| item.title == title);
    item.with_context(|| {
        format!(
            "{} has no item `{title}` in a vault `{vault}`",
            file().display()
        )
    })
}
