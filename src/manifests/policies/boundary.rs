//! What the policies have to know of the installation and of the cluster.

use super::policy::{list_literal, string_literal};

/// What belongs to an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// Who runs the operator, and where it keeps links: one for each install in the cluster.
    pub operators: Vec<Operator>,
    /// The usernames under which the cluster's own controllers delete: garbage collection and the
    /// end of a namespace. Were they refused, namespaces would never end.
    pub deleters: Vec<String>,
    /// A CEL expression over `request.userInfo` that yields the person's e-mail address, or a bare
    /// name if there is an `email_domain`. What is neither counts as no address, and so does an empty
    /// expression. One that reads a field which may be absent has to test that with `has()`.
    pub email: String,
    /// The domain of the addresses of those for whom the expression yields a bare name: `alice` is
    /// then `alice@DOMAIN`. Without it, bare names are no addresses.
    pub email_domain: Option<String>,
}

/// An operator, as the policies know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The username under which it runs, that of its ServiceAccount.
    pub username: String,
    /// The one namespace in which it keeps links.
    pub links_namespace: String,
}

impl Operator {
    /// How the policies write that this operator keeps its links in this namespace: `NAMESPACE/USERNAME`.
    pub fn link_entry(&self) -> String {
        link_entry(&self.links_namespace, &self.username)
    }
}

/// How the policies write that an operator keeps its links in a namespace. A namespace has no slash in its name.
pub fn link_entry(links_namespace: &str, username: &str) -> String {
    format!("{links_namespace}/{username}")
}

impl Default for Operator {
    fn default() -> Self {
        Self {
            username: "system:serviceaccount:keyloan-system:keyloan".into(),
            links_namespace: "keyloan-system-links".into(),
        }
    }
}

/// Of whom the username as a whole is an address, unless it is that of a cloud's service account, such as
/// `builder@project.iam.gserviceaccount.com`: nobody reads mail there.
const USERNAME_OF_A_PERSON: &str = "request.userInfo.username.lowerAscii().matches('@.*serviceaccount') ? '' : request.userInfo.username";

impl Default for Boundary {
    fn default() -> Self {
        Self {
            operators: vec![Operator::default()],
            deleters: vec![
                "system:serviceaccount:kube-system:generic-garbage-collector".into(),
                "system:serviceaccount:kube-system:namespace-controller".into(),
                // Both of them, where the controller manager runs without --use-service-account-credentials.
                "system:kube-controller-manager".into(),
            ],
            email: USERNAME_OF_A_PERSON.into(),
            email_domain: None,
        }
    }
}

/// The variables of the policies that hold usernames which belong to an installation, as a list of plain texts.
pub const USERNAME_VARIABLES: [&str; 3] = ["operators", "deleters", LINKS_VARIABLE];
/// The one of them that says where each operator keeps its links: see [`link_entry`].
pub const LINKS_VARIABLE: &str = "links";
/// The variables of the policies that hold an expression which belongs to an installation. Nothing else differs between two.
pub const EMAIL_VARIABLES: [&str; 2] = ["email", "emailDomain"];

impl Boundary {
    pub(super) fn operators_variable(&self) -> (&'static str, String) {
        let usernames = self.operators.iter().map(|operator| &operator.username);
        (USERNAME_VARIABLES[0], list_literal(usernames))
    }

    pub(super) fn links_variable(&self) -> (&'static str, String) {
        let entries: Vec<_> = self.operators.iter().map(Operator::link_entry).collect();
        (LINKS_VARIABLE, list_literal(&entries))
    }

    pub(super) fn email_variables(&self) -> [(&'static str, String); 2] {
        let expression = match self.email.trim().is_empty() {
            true => string_literal(""),
            false => self.email.clone(),
        };
        let domain = self.email_domain.as_deref().unwrap_or_default();
        [
            (EMAIL_VARIABLES[0], expression),
            (EMAIL_VARIABLES[1], string_literal(domain)),
        ]
    }

    pub(super) fn deleters_variable(&self) -> (&'static str, String) {
        (USERNAME_VARIABLES[1], list_literal(&self.deleters))
    }
}
