//! The people of the private cluster, and the files with which they authenticate.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

use crate::cache;

/// Somebody who can authenticate: the short name, the username, the groups.
pub(super) struct Person {
    pub(super) name: &'static str,
    username: &'static str,
    groups: &'static str,
}

/// Everybody who can authenticate.
pub(super) const PEOPLE: [Person; 8] = [
    person("admin", "admin", "system:masters"),
    person("alice", "alice@example.com", "engineering"),
    person("bob", "bob@example.com", "platform-owners"),
    person("carol", "carol@example.com", "security"),
    person("dave", "dave@example.com", "security"),
    person("erin", "erin@example.com", ""),
    person("mallory", "mallory@example.com", "engineering"),
    person(CONTROLLER_MANAGER, "system:kube-controller-manager", ""),
];

/// The short name with which kube-controller-manager authenticates.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

const fn person(name: &'static str, username: &'static str, groups: &'static str) -> Person {
    Person {
        name,
        username,
        groups,
    }
}

/// The e-mail address of one of the people, which is also their username.
pub(super) fn email(name: &str) -> String {
    format!("{name}@example.com")
}

/// The content of the file for `--token-auth-file`; `tokens` are in the order of [`PEOPLE`]. They
/// are random, because other users of this machine also reach the API server's port.
pub(super) fn token_file(tokens: &[String]) -> String {
    PEOPLE
        .iter()
        .zip(tokens)
        .map(
            |(
                Person {
                    name,
                    username,
                    groups,
                },
                token,
            )| match *groups {
                "" => format!("{token},{username},{name}\n"),
                _ => format!("{token},{username},{name},\"{groups}\"\n"),
            },
        )
        .collect()
}

/// Writes a kubeconfig that trusts only the API server's own certificate.
pub(super) fn write_kubeconfig(
    path: &Path,
    server: &str,
    certificate: &[u8],
    user: &str,
    token: &str,
) -> Result<(), cache::CacheError> {
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "keyloan", "cluster": {
            "server": server,
            "certificate-authority-data": BASE64_STANDARD.encode(certificate),
        }}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": {"cluster": "keyloan", "user": user}}],
        "current-context": user,
    });
    cache::write(path, format!("{kubeconfig:#}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_file_names_everybody_with_their_groups() {
        let tokens: Vec<String> = PEOPLE
            .iter()
            .map(|person| format!("t-{}", person.name))
            .collect();
        let file = token_file(&tokens);
        assert!(
            file.contains("t-alice,alice@example.com,alice,\"engineering\"\n"),
            "{file}"
        );
        assert!(file.contains("t-erin,erin@example.com,erin\n"), "{file}");
        assert_eq!(file.lines().count(), PEOPLE.len());
    }
}
