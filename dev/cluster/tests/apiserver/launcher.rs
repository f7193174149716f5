//! A private control plane, as tests and the demo use it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use keyloan_cluster::{Component, ControlPlane, Options, Ports, apply_yaml, wait_until};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};

const SOON: Duration = Duration::from_secs(60);

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// Username and groups, as the API server sees them.
async fn who_am_i(client: Client) -> (String, Vec<String>) {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = SelfSubjectReview::default();
    let seen = reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    let user = seen.status.unwrap().user_info.unwrap();
    (user.username.unwrap(), user.groups.unwrap_or_default())
}

#[tokio::test]
async fn people_sign_in_with_their_groups() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let expected = [
        ("alice", Some("engineering")),
        ("bob", Some("platform-owners")),
        ("carol", Some("security")),
        ("dave", Some("security")),
        ("erin", None),
        ("mallory", Some("engineering")),
    ];
    for (name, group) in expected {
        let (username, mut groups) = who_am_i(cluster.client(name).await.unwrap()).await;
        groups.retain(|group| !group.starts_with("system:"));
        assert_eq!(username, ControlPlane::user_email(name));
        assert_eq!(groups, group.into_iter().collect::<Vec<_>>(), "{name}");
    }
    let (_, groups) = who_am_i(cluster.client("admin").await.unwrap()).await;
    assert!(groups.contains(&"system:masters".to_owned()), "{groups:?}");
    let stranger = cluster.client("nobody").await.err().unwrap().to_string();
    assert!(stranger.contains("nobody.yaml"), "{stranger}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn several_run_side_by_side_and_share_nothing() {
    let start = || ControlPlane::start(Options::default());
    let (one, other) = tokio::join!(start(), start());
    let (one, other) = (one.unwrap(), other.unwrap());
    let namespaces: Api<Namespace> = Api::all(one.client("admin").await.unwrap());
    let namespace = Namespace {
        metadata: named("only-here"),
        ..Namespace::default()
    };
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let elsewhere: Api<Namespace> = Api::all(other.client("admin").await.unwrap());
    assert!(namespaces.get_opt("only-here").await.unwrap().is_some());
    assert!(elsewhere.get_opt("only-here").await.unwrap().is_none());
    // The other control plane rejects the token of this one.
    let kubeconfig = std::fs::read_to_string(one.kubeconfig("admin")).unwrap();
    assert_ne!(
        kubeconfig,
        std::fs::read_to_string(other.kubeconfig("admin")).unwrap()
    );
}

#[tokio::test]
async fn a_port_that_somebody_else_took_is_passed_over() {
    let listen = || std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = |listener: &std::net::TcpListener| listener.local_addr().unwrap().port();
    let somebody = listen();
    let taken = port(&somebody);
    let (one, other, third) = (listen(), listen(), listen());
    let free = Ports {
        etcd: port(&one),
        etcd_peer: port(&other),
        apiserver: port(&third),
    };
    drop((one, other, third));
    let ports = vec![
        Ports {
            etcd: taken,
            ..free
        },
        Ports {
            etcd_peer: taken,
            ..free
        },
        Ports {
            apiserver: taken,
            ..free
        },
        free,
    ];
    let cluster = ControlPlane::start(Options {
        ports,
        ..Options::default()
    })
    .await
    .unwrap();
    assert_ne!(cluster.etcd_endpoint(), format!("http://127.0.0.1:{taken}"));
    who_am_i(cluster.client("alice").await.unwrap()).await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn shutdown_leaves_nothing_behind() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let folder = cluster.dir().to_owned();
    let etcd = cluster
        .etcd_endpoint()
        .trim_start_matches("http://")
        .to_owned();
    assert!(std::net::TcpStream::connect(&etcd).is_ok());
    let started = Instant::now();
    cluster.shutdown().await;
    assert!(!folder.exists());
    assert!(std::net::TcpStream::connect(&etcd).is_err());
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_process_can_act_as_a_service_account() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let admin = cluster.client("admin").await.unwrap();
    let missing = cluster.service_account_kubeconfig("default", "robot").await;
    assert!(missing.unwrap_err().to_string().contains("default/robot"));
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, "default");
    let account = ServiceAccount {
        metadata: named("robot"),
        ..ServiceAccount::default()
    };
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();

    let kubeconfig = cluster
        .service_account_kubeconfig("default", "robot")
        .await
        .unwrap();
    let kubectl = |arguments: &[&str]| {
        let mut kubectl = std::process::Command::new(cluster.binaries().kubectl());
        kubectl
            .env("KUBECONFIG", &kubeconfig)
            .args(arguments)
            .output()
            .unwrap()
    };
    let answer = kubectl(&[
        "auth",
        "whoami",
        "-o",
        "jsonpath={.status.userInfo.username}",
    ]);
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout),
        "system:serviceaccount:default:robot",
        "{answer:?}"
    );
    let refused = kubectl(&["get", "secrets"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("forbidden"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn owned_objects_and_ended_namespaces_are_collected() {
    let cluster = ControlPlane::start(Options {
        manifests: vec![WIDGETS.to_owned()],
        ..Options::default()
    })
    .await
    .unwrap();
    let admin = cluster.client("admin").await.unwrap();
    apply_yaml(
        &admin,
        "{apiVersion: v1, kind: Namespace, metadata: {name: team}}",
    )
    .await
    .unwrap();
    let widget = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: w, namespace: team}}";
    let widget = apply_yaml(&admin, widget).await.unwrap().remove(0);
    let config_maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "team");
    let create = async |config_map: &ConfigMap| {
        let params = PostParams::default();
        config_maps.create(&params, config_map).await.unwrap()
    };
    let collected = async |name: &'static str| {
        wait_until(&format!("{name} is gone"), SOON, async || {
            let left = config_maps.get_opt(name).await.unwrap();
            left.is_none().then_some(())
        })
        .await
        .unwrap();
    };
    // The collector has only just started; garbage collection of one of Kubernetes' own kinds shows
    // that it works.
    let owner = ConfigMap {
        metadata: named("owner"),
        ..ConfigMap::default()
    };
    let owner = create(&owner).await.metadata.uid.unwrap();
    create(&owned_by("first", "v1", "ConfigMap", "owner", owner)).await;
    config_maps
        .delete("owner", &DeleteParams::default())
        .await
        .unwrap();
    collected("first").await;

    let uid = widget.metadata.uid.unwrap();
    create(&owned_by("owned", "example.com/v1", "Widget", "w", uid)).await;

    let kind = kube::core::GroupVersionKind::gvk("example.com", "v1", "Widget");
    let resource = kube::api::ApiResource::from_gvk(&kind);
    let widgets: Api<kube::api::DynamicObject> =
        Api::namespaced_with(admin.clone(), "team", &resource);
    let deleted = Instant::now();
    widgets.delete("w", &DeleteParams::default()).await.unwrap();
    collected("owned").await;
    assert!(
        deleted.elapsed() < Duration::from_secs(25),
        "the collector did not know the kind from the start: {:?}",
        deleted.elapsed()
    );

    let namespaces: Api<Namespace> = Api::all(admin);
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    wait_until("the namespace is gone", SOON, async || {
        namespaces
            .get_opt("team")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await
    .unwrap_or_else(|error| {
        panic!(
            "{error}\n{}",
            cluster.log_tail(Component::KubeControllerManager)
        )
    });
}

fn owned_by(name: &str, api_version: &str, kind: &str, owner: &str, uid: String) -> ConfigMap {
    let owner = OwnerReference {
        api_version: api_version.into(),
        kind: kind.into(),
        name: owner.into(),
        uid,
        ..OwnerReference::default()
    };
    ConfigMap {
        metadata: ObjectMeta {
            owner_references: Some(vec![owner]),
            ..named(name)
        },
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn the_history_has_every_value_that_was_ever_stored() {
    let cluster = ControlPlane::start(Options::default()).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client("admin").await.unwrap(), "default");
    let secret = |value: &str| Secret {
        metadata: named("planted"),
        string_data: Some(BTreeMap::from([("k".to_owned(), value.to_owned())])),
        ..Secret::default()
    };
    secrets
        .create(&PostParams::default(), &secret("first-value"))
        .await
        .unwrap();
    secrets
        .replace("planted", &PostParams::default(), &secret("second-value"))
        .await
        .unwrap();
    secrets
        .delete("planted", &DeleteParams::default())
        .await
        .unwrap();

    let history = cluster.etcd_dump().await.unwrap();
    let holds = |value: Option<&Vec<u8>>, text: &str| {
        value.is_some_and(|bytes| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        })
    };
    let planted: Vec<_> = history
        .iter()
        .filter(|change| change.key == "/registry/secrets/default/planted")
        .collect();
    assert_eq!(planted.len(), 3);
    assert!(holds(planted[0].value.as_ref(), "first-value"));
    assert!(holds(planted[1].value.as_ref(), "second-value"));
    assert_eq!(planted[2].value, None);
    assert!(history.is_sorted_by_key(|change| change.revision));
    assert!(
        history[0].revision <= 2,
        "the beginning is there: {}",
        history[0].revision
    );
    assert!(
        history
            .iter()
            .any(|change| change.key.starts_with("/registry/clusterroles/"))
    );
}

#[tokio::test]
async fn the_audit_log_says_who_asked_for_what() {
    let cluster = ControlPlane::start(Options {
        audit_log: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client("mallory").await.unwrap(), "default");
    assert!(secrets.list(&ListParams::default()).await.is_err());
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let entry = log
        .lines()
        // The last line may be half written.
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|entry| entry["user"]["username"] == "mallory@example.com")
        .unwrap();
    assert_eq!(
        (&entry["verb"], &entry["objectRef"]["resource"]),
        (&"list".into(), &"secrets".into())
    );
    assert_eq!(entry["responseStatus"]["code"], 403);
    assert_eq!(entry["userAgent"], "keyloan-cluster");
    assert!(entry.get("responseObject").is_none(), "metadata only");
}

#[tokio::test]
async fn the_audit_log_can_hold_the_objects_of_one_resource() {
    let cluster = ControlPlane::start(Options {
        audit_log: true,
        audit_bodies_of: Some("/configmaps".into()),
        ..Options::default()
    })
    .await
    .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client("admin").await.unwrap(), "default");
    let map = serde_json::json!({ "metadata": { "name": "noted" }, "data": { "key": "value" } });
    let map = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let with_objects: Vec<_> = entries
        .filter(|entry| !entry["responseObject"]["metadata"].is_null())
        .collect();
    let is_map = |entry: &serde_json::Value| entry["objectRef"]["resource"] == "configmaps";
    assert!(with_objects.iter().all(is_map));
    let noted = |entry: &serde_json::Value| entry["responseObject"]["data"]["key"] == "value";
    assert!(with_objects.iter().any(noted));
}

#[tokio::test]
async fn a_program_that_cannot_start_shows_its_last_words() {
    let options = Options {
        feature_gates: vec![("NoSuchFeature".into(), true)],
        ..Options::default()
    };
    let error = ControlPlane::start(options)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.starts_with("kube-apiserver has ended"), "{error}");
    assert!(error.contains("NoSuchFeature"), "{error}");
}

const WIDGETS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object}}}}
";
