//! A private cluster with our kinds, and clients for the people in it.

use std::path::Path;

use keyloan_cluster::{ControlPlane, Options};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use super::objects::Person;

/// A running cluster. It ends when this is dropped.
pub struct Cluster {
    control_plane: ControlPlane,
}

impl Cluster {
    /// With the CRDs as they are committed, and without any policy.
    pub async fn start() -> Self {
        let crds = [
            "onepasswordintegrations",
            "accessflows",
            "accessgrants",
            "accessdecisions",
            "accessrecords",
            "accessnotifiers",
        ]
        .map(|plural| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{plural}.yaml"));
            std::fs::read_to_string(path).unwrap()
        });
        let options = Options {
            manifests: crds.into(),
            mutating_policies: true,
            ..Options::default()
        };
        Self {
            control_plane: ControlPlane::start(options).await.unwrap(),
        }
    }

    /// One of the people that the control plane knows, or `admin`.
    pub async fn person(&self, name: &str) -> Person {
        Person {
            client: self.control_plane.client(name).await.unwrap(),
        }
    }

    /// A ServiceAccount with a token of its own; it is made with its namespace.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Person {
        let admin = self.person("admin").await;
        let space =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": name, "namespace": namespace },
        });
        for object in [space, account] {
            admin.apply(&object, "test").await.unwrap();
        }
        let path = self
            .control_plane
            .service_account_kubeconfig(namespace, name)
            .await
            .unwrap();
        Person {
            client: client(&path, |_| ()).await,
        }
    }

    /// Anybody at all, as an administrator who uses `--as` and `--as-group`.
    pub async fn impersonating(&self, username: &str, groups: &[&str]) -> Person {
        let path = self.control_plane.kubeconfig("admin");
        let impersonate = |config: &mut Config| {
            config.auth_info.impersonate = Some(username.into());
            config.auth_info.impersonate_groups =
                Some(groups.iter().map(|group| (*group).into()).collect());
        };
        Person {
            client: client(&path, impersonate).await,
        }
    }

    /// A person whose identity has a further member.
    pub async fn impersonating_with(
        &self,
        username: &str,
        groups: &[&str],
        (member, value): (&str, &str),
    ) -> Person {
        let path = self.control_plane.kubeconfig("admin");
        let header = format!("impersonate-extra-{}", member.replace('/', "%2f"));
        let impersonate = |config: &mut Config| {
            config.auth_info.impersonate = Some(username.into());
            config.auth_info.impersonate_groups =
                Some(groups.iter().map(|group| (*group).into()).collect());
            let header = (header.parse().unwrap(), value.parse().unwrap());
            config.headers.push(header);
        };
        Person {
            client: client(&path, impersonate).await,
        }
    }

    /// End it without blocking the test's thread.
    pub async fn shutdown(self) {
        self.control_plane.shutdown().await;
    }
}

async fn client(kubeconfig: &Path, change: impl FnOnce(&mut Config)) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    change(&mut config);
    Client::try_from(config).unwrap()
}
