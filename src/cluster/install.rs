//! This install of Keyloan: its name, and the namespaces in which it may touch Secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::key::Key;
use crate::api::link_name;

/// One install. Several installs in a cluster serve different namespaces and leave each other's
/// alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// Its name: the value of the label [`INSTALL_LABEL`](crate::api::INSTALL_LABEL) on all objects
    /// that it creates.
    pub name: String,
    /// The namespace of its links: the only one in which it writes Secrets.
    pub links_namespace: String,
    /// The namespaces of the integrations that it serves: it reads their tokens there.
    pub integration_namespaces: BTreeSet<String>,
    /// Further labels for all objects in the links namespace, such as those that a cluster's
    /// policies require.
    pub link_labels: BTreeMap<String, String>,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            name: "keyloan".into(),
            links_namespace: "keyloan-system-links".into(),
            integration_namespaces: ["keyloan".into()].into(),
            link_labels: BTreeMap::new(),
        }
    }
}

impl Install {
    /// Whether this install serves the integrations in this namespace.
    pub fn serves(&self, namespace: &str) -> bool {
        self.integration_namespaces.contains(namespace)
    }

    /// The Secret, Role and RoleBinding with the link of the grant with this uid.
    pub fn link(&self, grant_uid: &str) -> Key {
        Key::new(&self.links_namespace, link_name(grant_uid))
    }
}

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = Vec::from_iter(self.integration_namespaces.iter().cloned()).join(", ");
        let Self {
            name,
            links_namespace,
            ..
        } = self;
        write!(
            f,
            "{name}: integrations in {served}, links in {links_namespace}"
        )
    }
}
