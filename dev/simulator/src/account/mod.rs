//! The simulated account as described by its YAML file: people, vaults, items, share policy,
//! service accounts.
//!
//! `account.example.yaml` beside this package shows every field.

mod contents;
mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use contents::{Category, Field, FieldKind, Item, Vault, Wire};
pub use policy::{Lifetime, RecipientKind, SharePolicy, ShareType};

use crate::encoding::is_uuid;

/// One 1Password account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// The account's own address, such as `acme.1password.com`. Only shown: clients connect to the simulator.
    pub domain: String,
    /// The plan, which determines the request limits.
    pub plan: Plan,
    /// The people of the account. With `policy.membersOnly`, only they can receive shares.
    #[serde(default)]
    pub users: Vec<User>,
    /// The vaults and their items.
    #[serde(default)]
    pub vaults: Vec<Vault>,
    /// The share policy.
    #[serde(default)]
    pub policy: SharePolicy,
    /// The service accounts, which sign in with tokens.
    #[serde(default)]
    pub service_accounts: Vec<ServiceAccount>,
}

/// The plans with published request limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Plan {
    Business,
    Teams,
    Families,
    Individual,
}

/// A person of the account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// For the reader.
    pub name: String,
    /// The address for shares.
    pub email: String,
}

/// A service account: it signs in with a token and has rights per vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// Unique within the account.
    pub name: String,
    /// The rights by vault title or id. The account cannot access any other vault.
    #[serde(default)]
    pub vaults: BTreeMap<String, Vec<Right>>,
}

/// A right in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// List the vault and read its items.
    Read,
    /// Create share links of its items.
    Share,
}

/// Why an account's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The file is missing or cannot be read.
    #[error("cannot read the account file {path}: {source}; name a readable file")]
    Unreadable {
        /// The given path.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// Not YAML, an unknown field, or a missing one.
    #[error("the account file is not valid: {0}; compare it with account.example.yaml")]
    Malformed(String),
    /// An invalid id.
    #[error(
        "`{0}` is not a valid id: use 26 characters a-z, 2-7, ending in one of a e i m q u y 4, or leave it out"
    )]
    BadId(String),
    /// A duplicate id or name.
    #[error("two {1} have `{0}`; give each its own")]
    Duplicate(String, &'static str),
    /// A right in a vault that does not exist, or with an ambiguous title.
    #[error(
        "service account `{account}` names the vault `{vault}`, which {problem}; name a vault's title or id"
    )]
    BadVault {
        /// The service account.
        account: String,
        /// The named vault.
        vault: String,
        /// Why the name is not usable.
        problem: &'static str,
    },
}

impl Account {
    /// Reads and checks a YAML file.
    pub fn load(path: &Path) -> Result<Self, AccountError> {
        let yaml = std::fs::read_to_string(path).map_err(|source| AccountError::Unreadable {
            path: path.display().to_string(),
            source,
        })?;
        Self::parse(&yaml)
    }

    /// Reads and checks YAML.
    pub fn parse(yaml: &str) -> Result<Self, AccountError> {
        let account: Self = serde_saphyr::from_str(yaml)
            .map_err(|error| AccountError::Malformed(error.to_string()))?;
        account.check()?;
        Ok(account)
    }

    /// Checks that YAML cannot express: ids are valid and unique, and rights name existing vaults.
    pub(crate) fn check(&self) -> Result<(), AccountError> {
        let mut ids = BTreeSet::new();
        let items = self.vaults.iter().flat_map(|vault| &vault.items);
        let declared = self
            .vaults
            .iter()
            .map(|vault| &vault.id)
            .chain(items.map(|item| &item.id));
        for id in declared.flatten() {
            if !is_uuid(id) {
                return Err(AccountError::BadId(id.clone()));
            }
            if !ids.insert(id.to_ascii_lowercase()) {
                return Err(AccountError::Duplicate(id.clone(), "vaults or items"));
            }
        }
        self.vaults
            .iter()
            .flat_map(|vault| &vault.items)
            .try_for_each(Item::check)?;
        let mut names = BTreeSet::new();
        for account in &self.service_accounts {
            if !names.insert(&account.name) {
                return Err(AccountError::Duplicate(
                    account.name.clone(),
                    "service accounts",
                ));
            }
            for vault in account.vaults.keys() {
                self.check_vault_is_one(account, vault)?;
            }
        }
        Ok(())
    }

    fn check_vault_is_one(
        &self,
        account: &ServiceAccount,
        named: &str,
    ) -> Result<(), AccountError> {
        let meant = |vault: &&Vault| {
            vault.title == named
                || vault
                    .id
                    .as_deref()
                    .is_some_and(|id| id.eq_ignore_ascii_case(named))
        };
        let problem = match self.vaults.iter().filter(meant).count() {
            1 => return Ok(()),
            0 => "does not exist",
            _ => "is ambiguous",
        };
        Err(AccountError::BadVault {
            account: account.name.clone(),
            vault: named.to_owned(),
            problem,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vaults_and_more: &str) -> Result<Account, AccountError> {
        Account::parse(&format!(
            "domain: acme.1password.com\nplan: Business\n{vaults_and_more}"
        ))
    }

    #[test]
    fn the_example_is_valid_and_shows_every_field() {
        let yaml = include_str!("../../account.example.yaml");
        let account = Account::parse(yaml).unwrap();
        let written = serde_json::to_value(&account).unwrap();
        let mut fields = BTreeSet::new();
        collect_keys(&written, &mut fields);
        for field in fields {
            assert!(
                yaml.contains(&format!("{field}:")),
                "the example does not show `{field}`"
            );
        }
    }

    fn collect_keys(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    into.insert(key.clone());
                    collect_keys(value, into);
                }
            }
            serde_json::Value::Array(list) => list.iter().for_each(|one| collect_keys(one, into)),
            _ => {}
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(matches!(
            with("vautls: []"),
            Err(AccountError::Malformed(_))
        ));
    }

    #[test]
    fn ids_must_be_ids_and_unique() {
        let bad = with("vaults: [{title: Infra, id: hello}]");
        assert!(matches!(bad, Err(AccountError::BadId(id)) if id == "hello"));
        let id = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
        let twice = with(&format!(
            "vaults: [{{title: Infra, id: {id}}}, {{title: Other, id: {}}}]",
            id.to_ascii_uppercase()
        ));
        assert!(matches!(twice, Err(AccountError::Duplicate(..))));
    }

    #[test]
    fn fields_of_an_item_have_ids_of_their_own() {
        let fields = |second: &str| {
            with(&format!(
                "vaults: [{{title: V, items: [{{title: I, fields: [{{label: a, value: x}}, {second}]}}]}}]"
            ))
        };
        let twice = fields("{label: a, value: y}");
        assert!(matches!(twice, Err(AccountError::Duplicate(id, _)) if id == "a"));
        assert!(fields("{id: b, label: a, value: y}").is_ok());
    }

    #[test]
    fn rights_name_a_vault_that_exists_once() {
        let accounts = "serviceAccounts: [{name: reader, vaults: {Infra: [read]}}]";
        let problem = |vaults: &str| match with(&format!("{vaults}\n{accounts}")) {
            Err(AccountError::BadVault { problem, .. }) => problem,
            other => panic!("{other:?}"),
        };
        assert_eq!(problem("vaults: []"), "does not exist");
        assert_eq!(
            problem("vaults: [{title: Infra}, {title: Infra}]"),
            "is ambiguous"
        );
        assert!(with(&format!("vaults: [{{title: Infra}}]\n{accounts}")).is_ok());
    }
}
