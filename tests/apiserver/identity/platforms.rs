//! Who signs in on each platform, and the mailboxes by which the page's recipe knows them.

use serde_json::{Value, json};

/// A platform of the page.
pub struct Platform {
    pub name: &'static str,
    people: fn() -> Vec<(Value, Option<&'static str>)>,
}

impl Platform {
    /// Who signs in, and their addresses. The first one has one.
    pub fn people(&self) -> Vec<(Value, Option<&'static str>)> {
        (self.people)()
    }
}

const ALICE: Option<&str> = Some("alice@example.com");

pub const PLATFORMS: [Platform; 10] = [
    Platform {
        name: "OIDC without a prefix",
        people: || {
            vec![
                (named("alice@example.com"), ALICE),
                (named("Alice@Example.com"), ALICE),
                (named("alice"), None),
                (named("8f7a9c1e-0d5c-4a52-9f0e-1f6d2f0c7a11"), None),
                (named("repo:acme/app:ref:refs/heads/main"), None),
                (named("repo:acme@123/app@456:ref:refs/heads/main"), None),
            ]
        },
    },
    Platform {
        name: "OIDC with a prefix",
        people: || {
            vec![
                (named("oidc:alice@example.com"), ALICE),
                (named("oidc:alice"), None),
                (named("oidc:oidc:alice@example.com"), None),
                (named("alice@example.com"), None),
                (named("oidc:builder@p.iam.gserviceaccount.com"), None),
                (named("oidc:mallory@evil-example.com"), None),
            ]
        },
    },
    Platform {
        name: "OIDC with the address in a claim",
        people: || {
            let claims = |values: Value| json!({ "example.com/email": values });
            vec![
                (with("4711", claims(json!(["Alice@example.com"]))), ALICE),
                (with("4711", claims(json!([""]))), None),
                (with("4711", claims(json!([]))), None),
                (
                    with(
                        "4711",
                        claims(json!(["alice@example.com", "bob@example.com"])),
                    ),
                    None,
                ),
                (with("4711", json!({ "example.com/floor": ["2"] })), None),
                (named("bob@example.com"), None),
            ]
        },
    },
    Platform {
        name: "EKS",
        people: || {
            vec![
                (
                    session(
                        "111122223333",
                        "AWSReservedSSO_Dev_0123456789abcdef",
                        "alice@example.com",
                    ),
                    ALICE,
                ),
                // The person who assumes this role chooses the name.
                (session("111122223333", "Dev", "alice@example.com"), None),
                (
                    session(
                        "111122223333",
                        "Dev-AWSReservedSSO_Dev",
                        "alice@example.com",
                    ),
                    None,
                ),
                (
                    session(
                        "999999999999",
                        "AWSReservedSSO_Dev_0123456789abcdef",
                        "alice@example.com",
                    ),
                    None,
                ),
                (
                    session(
                        "111122223333",
                        "AWSReservedSSO_Dev_0123456789abcdef",
                        "alice",
                    ),
                    None,
                ),
                (
                    named("arn:aws:sts::111122223333:assumed-role/Dev/alice@example.com"),
                    None,
                ),
                (named("alice@example.com"), None),
                (named("arn:aws:iam::111122223333:user/alice"), None),
            ]
        },
    },
    Platform {
        name: "AKS and Entra",
        people: || {
            vec![
                (named("Alice@contoso.com"), Some("alice@contoso.com")),
                (named("alice@contoso.onmicrosoft.com"), None),
                (named("ben_other.org#EXT#@contoso.onmicrosoft.com"), None),
                (named("ben_other.org#EXT#@contoso.com"), None),
                (named("2f0c7a11-0d5c-4a52-9f0e-1f6d8f7a9c1e"), None),
            ]
        },
    },
    Platform {
        name: "GKE",
        people: || {
            vec![
                (named("alice@example.com"), ALICE),
                (named("builder@project.iam.gserviceaccount.com"), None),
                (named("123456-compute@developer.gserviceaccount.com"), None),
                (named("project.svc.id.goog[team-a/builder]"), None),
            ]
        },
    },
    Platform {
        name: "Rancher",
        people: || {
            let at = |principal: &str, name: &str| json!({ "principalid": [principal], "username": [name] });
            vec![
                (
                    with(
                        "u-x7k2p",
                        at("openldap_user://cn=alice,dc=example", "alice"),
                    ),
                    ALICE,
                ),
                (
                    with("u-x7k2p", at("okta_user://alice", "alice@example.com")),
                    ALICE,
                ),
                (with("user-gpr69", at("local://user-gpr69", "admin")), None),
                (with("u-x7k2p", at("", "")), None),
                (named("u-x7k2p"), None),
            ]
        },
    },
    Platform {
        name: "OpenShift",
        people: || {
            vec![
                (named("alice"), ALICE),
                (named("Alice"), ALICE),
                (named("alice+x"), Some("alice+x@example.com")),
                (named("alice@example.com"), ALICE),
                (named("kube:admin"), None),
                (named("system:admin"), None),
            ]
        },
    },
    Platform {
        name: "Client certificates",
        people: || {
            vec![
                (grouped("alice", "staff"), ALICE),
                (grouped("kubernetes-admin", "kubeadm:cluster-admins"), None),
                (grouped("alice-adm", "admins"), None),
                (named("alice"), None),
            ]
        },
    },
    Platform {
        name: "kind",
        people: || {
            vec![
                (named("alice@example.com"), ALICE),
                (grouped("kubernetes-admin", "kubeadm:cluster-admins"), None),
            ]
        },
    },
];

/// Machinery that is on every platform.
pub fn everywhere() -> [Value; 3] {
    [
        grouped("system:node:ip-10-0-0-1.ec2.internal", "system:nodes"),
        grouped(
            "system:serviceaccount:ci:deployer",
            "system:serviceaccounts",
        ),
        grouped(
            "system:serviceaccount:ci:pipeline",
            "system:serviceaccounts",
        ),
    ]
}

fn named(username: &str) -> Value {
    json!({ "username": username })
}

fn grouped(username: &str, group: &str) -> Value {
    json!({ "username": username, "groups": [group] })
}

fn with(username: &str, extra: Value) -> Value {
    json!({ "username": username, "extra": extra })
}

/// As the authenticator of EKS lets the session of a role in.
pub fn session(account: &str, role: &str, name: &str) -> Value {
    let by_dash = name.replace('@', "-");
    let extra = json!({
        "accessKeyId": ["ASIAEXAMPLE"],
        "arn": [format!("arn:aws:sts::{account}:assumed-role/{role}/{name}")],
        "canonicalArn": [format!("arn:aws:iam::{account}:role/{role}")],
        "principalId": ["AROAEXAMPLE"],
        "sessionName": [name],
    });
    with(
        &format!("arn:aws:sts::{account}:assumed-role/{role}/{by_dash}"),
        extra,
    )
}
