//! The content of vaults.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// The item's category.
    #[serde(default)]
    pub category: Category,
    /// Tags, in order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The item's web addresses.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The item's fields.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// Free text.
    #[serde(default)]
    pub notes: String,
    /// Archived items are listed as archived and cannot be shared.
    #[serde(default)]
    pub archived: bool,
    /// What the protocol says of the item beyond or instead of the above: for items that clients
    /// other than today's have made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<Wire>,
}

/// Parts of an item as the protocol has them. Each field in them replaces the simulator's own field
/// of that name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wire {
    /// In the item itself, such as `templateUuid`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub item: Map<String, Value>,
    /// In the encrypted overview, such as `title`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub overview: Map<String, Value>,
    /// In the encrypted details, such as `sections`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

impl Item {
    /// The core refuses to share an item in which two fields have the same id.
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
    /// Default: the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The label that people see.
    pub label: String,
    /// The value in plain text.
    pub value: String,
    /// Whether the value is shown or hidden.
    #[serde(default)]
    pub kind: FieldKind,
}

impl Field {
    /// The id in the protocol.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.label)
    }
}

/// Whether a field's value is initially shown or hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum FieldKind {
    #[default]
    Text,
    Concealed,
}

/// The item categories, by the names that the SDK gives them. `Document` is not among them: documents are files, and
/// files are not simulated.
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
    /// The category's number in the protocol.
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
