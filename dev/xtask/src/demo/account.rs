//! What is in the demo's 1Password account, and whether it is what a recipient saw.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use keyloan_simulator::account::Item;
use keyloan_simulator::{Account, OpenedItem};

use crate::workspace;

/// The service account whose token the integration gets.
pub const SERVICE_ACCOUNT: &str = "keyloan";

/// The account's file.
pub fn file() -> PathBuf {
    workspace::folder().join("dev/xtask/demo/account.yaml")
}

/// An item as the file has it.
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

/// An error unless what was seen is the item, all of it and nothing else.
pub fn compare(seen: &OpenedItem, item: &Item) -> Result<()> {
    let mut shown: Vec<_> = seen
        .fields
        .iter()
        .map(|field| (&*field.label, &*field.value))
        .collect();
    let mut kept: Vec<_> = item
        .fields
        .iter()
        .map(|field| (&*field.label, &*field.value))
        .collect();
    shown.sort_unstable();
    kept.sort_unstable();
    ensure!(
        seen.title == item.title && shown == kept && seen.notes == item.notes,
        "the link shows another item than the account has"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyloan_simulator::OpenedField;
    use keyloan_simulator::account::FieldKind;

    fn seen(password: &str) -> OpenedItem {
        let field = |label: &str, value: &str| OpenedField {
            label: label.into(),
            value: value.into(),
            kind: FieldKind::Text,
        };
        OpenedItem {
            title: "web console".into(),
            fields: vec![field("password", password), field("username", "admin")],
            notes: String::new(),
        }
    }

    #[test]
    fn only_the_whole_item_as_it_is_will_do() {
        let item = item("Infra", "web console").unwrap();
        compare(&seen("tiger-stripe-window"), &item).unwrap();
        compare(&seen("another"), &item).unwrap_err();
        let mut partly = seen("tiger-stripe-window");
        partly.fields.pop();
        compare(&partly, &item).unwrap_err();
    }
}
