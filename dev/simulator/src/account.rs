//! The account that is simulated, as its YAML file describes it: people, vaults, items, share policy, service accounts.
//!
//! `account.example.yaml` beside this package shows every field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::encoding::is_uuid;

/// One 1Password account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// The account's own address, such as `acme.1password.com`. Only shown: clients connect to the simulator.
    pub domain: String,
    /// Decides the request limits.
    pub plan: Plan,
    /// The people of the account. With `policy.membersOnly` they alone can receive shares.
    #[serde(default)]
    pub users: Vec<User>,
    /// The vaults with all that is in them.
    #[serde(default)]
    pub vaults: Vec<Vault>,
    /// What may be shared with whom, and for how long.
    #[serde(default)]
    pub policy: SharePolicy,
    /// Who can sign in with a token.
    #[serde(default)]
    pub service_accounts: Vec<ServiceAccount>,
}

/// The plans that 1Password publishes request limits for.
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
    /// The address that a share can be made out to.
    pub email: String,
}

/// A vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vault {
    /// 26 base32 characters; made up where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Titles need not be unique.
    pub title: String,
    /// What is in the vault.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// 26 base32 characters; made up where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Titles need not be unique.
    pub title: String,
    /// What kind of item it is.
    #[serde(default)]
    pub category: Category,
    /// Tags, in order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Web addresses that the item belongs to.
    #[serde(default)]
    pub urls: Vec<String>,
    /// What the item holds.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Free text.
    #[serde(default)]
    pub notes: String,
    /// Archived items are listed as such and cannot be shared.
    #[serde(default)]
    pub archived: bool,
}

/// A field of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// The label where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// As people see it.
    pub label: String,
    /// The value in plain text.
    pub value: String,
    /// Whether it is shown or hidden.
    #[serde(default)]
    pub kind: FieldKind,
}

impl Field {
    /// The id on the wire.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.label)
    }
}

/// Whether a field's value is shown or hidden at first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FieldKind {
    #[default]
    Text,
    Concealed,
}

/// The item categories, by the names that the SDK gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Category {
    #[default]
    Login,
    CreditCard,
    SecureNote,
    Password,
    Document,
    SoftwareLicense,
    BankAccount,
    Database,
    DriverLicense,
    OutdoorLicense,
    Membership,
    Passport,
    Rewards,
    SocialSecurityNumber,
    Router,
    Server,
    Email,
    ApiCredentials,
    MedicalRecord,
    SshKey,
    CryptoWallet,
}

impl Category {
    /// The number that stands for the category on the wire.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Login => "001",
            Self::CreditCard => "002",
            Self::SecureNote => "003",
            Self::Password => "005",
            Self::Document => "006",
            Self::SoftwareLicense => "100",
            Self::BankAccount => "101",
            Self::Database => "102",
            Self::DriverLicense => "103",
            Self::OutdoorLicense => "104",
            Self::Membership => "105",
            Self::Passport => "106",
            Self::Rewards => "107",
            Self::SocialSecurityNumber => "108",
            Self::Router => "109",
            Self::Server => "110",
            Self::Email => "111",
            Self::ApiCredentials => "112",
            Self::MedicalRecord => "113",
            Self::SshKey => "114",
            Self::CryptoWallet => "115",
        }
    }
}

/// What the account's administrators allow to be shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SharePolicy {
    /// No share lives longer.
    pub max_lifetime: Lifetime,
    /// What the apps propose.
    pub default_lifetime: Lifetime,
    /// Shares to named recipients, or to whoever holds the link.
    pub allowed_types: Vec<ShareType>,
    /// How recipients may be named.
    pub recipient_kinds: Vec<RecipientKind>,
    /// Recipients must be of one of these domains; empty: of any.
    pub allowed_domains: Vec<String>,
    /// Recipients must be `users` of the account.
    pub members_only: bool,
    /// Every share can be viewed so often at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_views: Option<u32>,
}

impl Default for SharePolicy {
    fn default() -> Self {
        Self {
            max_lifetime: Lifetime::ThirtyDays,
            default_lifetime: Lifetime::SevenDays,
            allowed_types: vec![ShareType::Authenticated, ShareType::Public],
            recipient_kinds: vec![RecipientKind::Email, RecipientKind::Domain],
            allowed_domains: Vec::new(),
            members_only: false,
            max_views: None,
        }
    }
}

/// The five lifetimes that a share can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Lifetime {
    #[serde(rename = "1h")]
    OneHour,
    #[serde(rename = "1d")]
    OneDay,
    #[serde(rename = "7d")]
    SevenDays,
    #[serde(rename = "14d")]
    FourteenDays,
    #[serde(rename = "30d")]
    ThirtyDays,
}

impl Lifetime {
    const ALL: [Self; 5] = [
        Self::OneHour,
        Self::OneDay,
        Self::SevenDays,
        Self::FourteenDays,
        Self::ThirtyDays,
    ];

    /// As a length of time.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds().into())
    }

    /// As on the wire.
    pub(crate) fn seconds(self) -> u32 {
        const HOUR: u32 = 3600;
        match self {
            Self::OneHour => HOUR,
            Self::OneDay => 24 * HOUR,
            Self::SevenDays => 7 * 24 * HOUR,
            Self::FourteenDays => 14 * 24 * HOUR,
            Self::ThirtyDays => 30 * 24 * HOUR,
        }
    }

    /// From the wire; any other number of seconds is no lifetime.
    pub(crate) fn from_seconds(seconds: u32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|lifetime| lifetime.seconds() == seconds)
    }
}

/// Whether a share asks its viewer who they are. The variants' names on the wire are `A` and `P`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ShareType {
    Authenticated,
    Public,
}

/// How a recipient is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RecipientKind {
    Email,
    Domain,
}

/// A service account: it signs in with a token and has its rights vault by vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// Unique within the account.
    pub name: String,
    /// Vault title or id -> what may be done there. A vault that is not named is out of reach.
    #[serde(default)]
    pub vaults: BTreeMap<String, Vec<Right>>,
}

/// What a service account may do in a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// See the vault and read its items.
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
        /// As given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not YAML, an unknown field, or a missing one.
    #[error("the account file is not valid: {0}; compare it with account.example.yaml")]
    Malformed(String),
    /// An id that is not one.
    #[error(
        "`{0}` is not an id: use 26 characters a-z, 2-7, the last one of a e i m q u y 4, or leave it out"
    )]
    BadId(String),
    /// Two things of one id or name.
    #[error("`{0}` stands for two {1}; give each its own")]
    Duplicate(String, &'static str),
    /// Rights on a vault that is not there, or on a title that two vaults have.
    #[error(
        "service account `{account}` names the vault `{vault}`, which {problem}; name a vault's title or id"
    )]
    BadVault {
        /// The service account.
        account: String,
        /// What it names.
        vault: String,
        /// Why it cannot be told which vault is meant.
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

    /// What YAML's shape cannot express: ids are ids and unique, rights name vaults that exist.
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
        let yaml = include_str!("../account.example.yaml");
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

    #[test]
    fn only_the_five_lifetimes_are_lifetimes() {
        assert_eq!(
            Lifetime::from_seconds(1_209_600),
            Some(Lifetime::FourteenDays)
        );
        assert_eq!(Lifetime::from_seconds(3601), None);
    }
}
