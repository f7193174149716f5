//! Each recipe of docs/identity.md, tried on an API server that lets people in as their platform does: by a webhook, so that their
//! names, groups and extra members are what such an authenticator says, capitals included.

#[path = "../../support/spellings.rs"]
mod spellings;

mod authenticator;
mod platforms;
mod recipes;

use std::time::Duration;

use keyloan::manifests::{self, Boundary};
use keyloan_cluster::{ControlPlane, Options};
use serde_json::{Value, json};

use crate::support::objects::Person;
use authenticator::Authenticator;
use platforms::PLATFORMS;
use recipes::{eks_with_bare_names, recipes};

struct Cluster {
    control_plane: ControlPlane,
    admin: Person,
    people: Authenticator,
}

impl Cluster {
    async fn start() -> Self {
        let people = Authenticator::start().await;
        let crds = manifests::crds().unwrap();
        let options = Options {
            manifests: crds.into_iter().map(|(_, crd)| crd.to_string()).collect(),
            token_webhook: Some(people.url()),
            mutating_policies: true,
            ..Options::default()
        };
        let control_plane = ControlPlane::start(options).await.unwrap();
        let admin = Person {
            client: control_plane.client("admin").await.unwrap(),
        };
        let cluster = Self {
            control_plane,
            admin,
            people,
        };
        cluster.let_everybody_ask().await;
        cluster
    }

    async fn let_everybody_ask(&self) {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "ask" },
            "rules": [{ "apiGroups": ["keyloan.dev"], "resources": ["accessgrants"], "verbs": ["create"] }],
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "ask" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "ask" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated" }],
        });
        for object in [role, binding] {
            self.admin.apply(&object, "test").await.unwrap();
        }
    }

    /// The policies that say who is who, as the chart installs them with these values, in force.
    async fn install(&self, boundary: &Boundary, canary: &Value, expected: Option<&str>) {
        for file in manifests::files(boundary).unwrap() {
            let of_identity = file.name.starts_with("policy-identity");
            for object in file.objects.iter().filter(|_| of_identity) {
                self.admin.apply(object, "test").await.unwrap();
            }
        }
        let mut last = None;
        for _ in 0..600 {
            last = Some(self.address_of(canary).await);
            if last == Some(Ok(expected.map(str::to_owned))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{canary} does not become {expected:?} by {boundary:?}, but {last:?}");
    }

    /// The address by which the cluster knows somebody, or why it refuses them.
    async fn address_of(&self, who: &Value) -> Result<Option<String>, String> {
        let person = self.people.person(&self.control_plane, who).await;
        let grant = json!({
            "apiVersion": "keyloan.dev/v1alpha1", "kind": "AccessGrant",
            "metadata": { "name": "mine", "namespace": "default" },
            "spec": {
                "integration": { "name": "prod" },
                "item": { "vault": "Infra", "item": "db password" },
                "notAfter": "2999-01-01T00:00:00Z",
            },
        });
        match person.dry_run(&grant).await {
            Ok(stored) => {
                let requester = &stored["spec"]["requester"];
                // A cluster where somebody else is let in would show nothing.
                assert_eq!(requester["username"], who["username"]);
                Ok(requester["email"].as_str().map(str::to_owned))
            }
            Err(refusal) => Err(refusal.0.message.clone()),
        }
    }
}

/// One test, because the parts share one control plane.
#[tokio::test(flavor = "multi_thread")]
async fn each_recipe_of_the_page_finds_the_mailboxes_of_its_platform() {
    let cluster = Cluster::start().await;
    let recipes = recipes();
    let tried: Vec<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
    let documented: Vec<_> = recipes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(documented, tried, "docs/identity.md, ## Platforms");

    let reset = Boundary {
        email: "'reset@example.com'".into(),
        ..Boundary::default()
    };
    for ((name, boundary), platform) in recipes.iter().zip(PLATFORMS) {
        let people = platform.people();
        let (canary, expected) = people.first().expect("somebody");
        assert!(expected.is_some(), "{name}: the first one has an address");
        cluster
            .install(&reset, canary, Some("reset@example.com"))
            .await;
        cluster.install(boundary, canary, *expected).await;
        for (who, expected) in &people {
            let address = cluster.address_of(who).await;
            assert_eq!(address, Ok(expected.map(str::to_owned)), "{name}: {who}");
        }
        for who in platforms::everywhere() {
            let address = cluster.address_of(&who).await;
            assert_eq!(address, Ok(None), "{name}: {who}");
        }
    }

    let reserved = |name| {
        let role = "AWSReservedSSO_Dev_0123456789abcdef";
        platforms::session("111122223333", role, name)
    };
    let bare = eks_with_bare_names();
    cluster
        .install(&bare, &reserved("alice"), Some("alice@example.com"))
        .await;
    for other in [
        reserved("alice@elsewhere.example"),
        platforms::session("111122223333", "Dev", "alice"),
        json!({ "username": "alice" }),
    ] {
        assert_eq!(cluster.address_of(&other).await, Ok(None), "{other}");
    }

    let nobody = Boundary {
        email: String::new(),
        ..Boundary::default()
    };
    let alice = json!({ "username": "alice@example.com" });
    cluster
        .install(&reset, &alice, Some("reset@example.com"))
        .await;
    cluster.install(&nobody, &alice, None).await;

    cluster
        .install(&reset, &alice, Some("reset@example.com"))
        .await;
    cluster
        .install(&Boundary::default(), &alice, Some("alice@example.com"))
        .await;
    for spelling in spellings::SPELLINGS {
        let address = cluster.address_of(&json!({ "username": spelling })).await;
        let expected = spellings::address(spelling).map(|email| email.0);
        assert_eq!(address, Ok(expected), "{spelling}");
    }
    cluster.control_plane.shutdown().await;
}
