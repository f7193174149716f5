//! The contents of vaults.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::AccountError;

/// A vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vault {
    /// 26 base32 characters; generated if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Titles need not be unique.
    pub title: String,
    /// The vault's items.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// 26 base32 characters; generated if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Titles need not be unique.
    pub title: String,
    /// The kind of the item.
    #[serde(default)]
    pub category: Category,
    /// Tags, in order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Web addresses of the item.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The item's fields.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Free text.
    #[serde(default)]
    pub notes: String,
    /// Archived items are listed as such and cannot be shared.
    #[serde(default)]
    pub archived: bool,
}

impl Item {
    /// Checks the fields' ids: the core refuses to share an item that has two fields with the same
    /// id.
    pub(crate) fn check(&self) -> Result<(), AccountError> {
        let mut ids = BTreeSet::new();
        match self
            .fields
            .iter()
            .map(Field::id)
            .find(|id| !ids.insert(*id))
        {
            Some(id) => Err(AccountError::Duplicate(id.to_owned(), "fields of one item")),
            None => Ok(()),
        }
    }
}

/// A field of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Field {
    /// Defaults to the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The name that people see.
    pub label: String,
    /// The value in plain text.
    pub value: String,
    /// Whether the value is shown or hidden.
    #[serde(default)]
    pub kind: FieldKind,
}

impl Field {
    /// The id on the wire.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.label)
    }
}

/// Whether a field's value is shown or hidden by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FieldKind {
    #[default]
    Text,
    Concealed,
}

/// The item categories, with the SDK's names. `Document` is not among them: documents are files,
/// and the simulator has no files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Category {
    #[default]
    Login,
    CreditCard,
    SecureNote,
    Password,
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
