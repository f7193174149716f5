//! People as the API server identified them, and how rules name them.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Email, LABEL_PATTERN};

/// A username or a group, exactly as the API server knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PrincipalName(#[schemars(length(min = 1, max = 256))] pub String);

/// The beginning of an admission message that tells people which e-mail address their identity must
/// have. The address follows in quotation marks.
pub const ADDRESS_TOLD: &str =
    "email must be the address that this cluster knows you by: set it to ";

/// The beginning of an admission message that tells people that their request needs an end; more
/// words follow.
pub const END_TOLD: &str = "spec.notAfter is required of";

/// The longest group name that a rule can use. Longer names are left out of identities.
pub const LONGEST_GROUP: usize = 256;
/// The maximum number of groups in an identity.
pub const MOST_GROUPS: usize = 1000;

/// The identity of an object's creator as the API server saw it. Admission sets and verifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The username with which the API server authenticated the request.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// The user's groups, without system groups (`system:...`) and without names of more than 256
    /// characters, which no rule can name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub groups: Vec<PrincipalName>,
    /// The user's e-mail address, as the cluster's admission policy derives it from the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// The kind of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// One person, by username or e-mail address.
    User,
    /// Every member of a group.
    Group,
    /// A ServiceAccount of this cluster.
    ServiceAccount,
}

/// A person, a group or a ServiceAccount that may request items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !self.name.startsWith('system:')")
    .message("system groups (system:...) are removed from identities and match nobody; name a \
              group of your own"))]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == has(self.namespace)")
    .message("namespace is required for a ServiceAccount, and not allowed otherwise"))]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The kind of subject.
    pub kind: SubjectKind,
    /// The username, e-mail address, group name or ServiceAccount name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The namespace of the ServiceAccount. Required for `ServiceAccount`, and not allowed
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL_PATTERN))]
    pub namespace: Option<String>,
}

/// The kind of a person or group.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum PersonKind {
    /// One person, by username or e-mail address.
    User,
    /// Every member of a group.
    Group,
}

/// A person or a group of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.kind != 'Group' || !self.name.startsWith('system:')")
    .message("system groups (system:...) are removed from identities and match nobody; name a \
              group of your own"))]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Whether the name is a user's or a group's.
    pub kind: PersonKind,
    /// The username, e-mail address or group name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}
