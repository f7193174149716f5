//! Starts the programs one after the other, each when the one before it is ready.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Value, json};

use super::folder::Folder;
use super::keys::SigningKey;
use super::people::{self, PEOPLE};
use super::{
    ClusterError, Component, ControlPlane, Options, Ports, SHOWN, client, kubeconfig_path,
};
use crate::binaries::Binaries;
use crate::program::Program;
use crate::wait::{TimedOut, wait_until};
use crate::{cache, manifests, random};

/// The number of times that other ports are tried when somebody else takes a port between our
/// choice and the program's start.
const ATTEMPTS: usize = 5;

/// How long each program may take to become ready: it takes two seconds when the machine is idle.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The controllers that kube-controller-manager runs; nothing here needs nodes or pods.
const CONTROLLERS: &str = "clusterrole-aggregation-controller,garbage-collector-controller,\
    namespace-controller,serviceaccount-controller,serviceaccount-token-controller,\
    ttl-after-finished-controller,validatingadmissionpolicy-status-controller";

pub(super) async fn start(options: &Options) -> Result<ControlPlane, ClusterError> {
    let binaries = Binaries::find().await?;
    let mut wished = options.ports.iter();
    let mut attempts_left = options.ports.len() + ATTEMPTS;
    loop {
        attempts_left -= 1;
        let ports = match wished.next() {
            Some(ports) => *ports,
            None => free_ports().map_err(|source| machine("find free ports", source))?,
        };
        match attempt_to_start(options, &binaries, ports).await {
            Err(ClusterError::Ended { log, .. })
                if attempts_left > 0 && log.contains("address already in use") => {}
            started_or_failed => return started_or_failed,
        }
    }
}

pub(super) fn audit_log(folder: &Path) -> PathBuf {
    folder.join("audit.log")
}

/// The certificate that the API server generated for itself.
pub(super) fn certificate(folder: &Path) -> Result<Vec<u8>, ClusterError> {
    fs::read(folder.join("certificates/apiserver.crt"))
        .map_err(|source| machine("read the certificate of the API server", source))
}

async fn attempt_to_start(
    options: &Options,
    binaries: &Binaries,
    ports: Ports,
) -> Result<ControlPlane, ClusterError> {
    let folder = Folder::create(options.keep)
        .map_err(|source| machine("create a folder for the control plane", source))?;
    let tokens = write_inputs(folder.path(), options)?;
    let etcd_endpoint = format!("http://127.0.0.1:{}", ports.etcd);
    let server = format!("https://127.0.0.1:{}", ports.apiserver);

    let member =
        random::digits().map_err(|source| machine("read the name of etcd's member", source))?;
    let arguments = etcd_arguments(folder.path(), &member, &etcd_endpoint, ports.etcd_peer);
    let mut etcd = run(&folder, Component::Etcd, &binaries.etcd(), &arguments)?;
    wait_for_etcd(&mut etcd, &etcd_endpoint, &member).await?;

    let mut arguments =
        apiserver_arguments(folder.path(), &etcd_endpoint, ports.apiserver, options);
    let has_mutating_policies = binaries.has_mutating_policies();
    if options.mutating_policies && !has_mutating_policies {
        arguments.extend(binaries.switch_mutating_policies_on());
    }
    let mut apiserver = run(
        &folder,
        Component::KubeApiserver,
        &binaries.kube_apiserver(),
        &arguments,
    )?;
    wait_for_certificate(&mut apiserver, folder.path()).await?;
    let certificate = certificate(folder.path())?;
    for (person, token) in PEOPLE.iter().zip(&tokens) {
        let path = kubeconfig_path(folder.path(), person.name);
        people::write_kubeconfig(&path, &server, &certificate, person.name, token)?;
    }
    wait_for_apiserver(&mut apiserver, folder.path()).await?;

    let admin = client(&kubeconfig_path(folder.path(), "admin")).await?;
    manifests::apply_yaml(&admin, &options.manifests.join("\n---\n")).await?;
    let arguments = controller_manager_arguments(folder.path());
    let program = binaries.kube_controller_manager();
    let controller_manager = run(
        &folder,
        Component::KubeControllerManager,
        &program,
        &arguments,
    )?;
    Ok(ControlPlane {
        controller_manager,
        apiserver,
        etcd,
        folder,
        binaries: binaries.clone(),
        etcd_endpoint,
        server,
        mutating_policies: has_mutating_policies || options.mutating_policies,
        since: 1,
    })
}

/// Ports that are free at the moment. All are held at once, so that they differ.
fn free_ports() -> io::Result<Ports> {
    let listen = || TcpListener::bind(("127.0.0.1", 0));
    let (etcd, etcd_peer, apiserver) = (listen()?, listen()?, listen()?);
    Ok(Ports {
        etcd: etcd.local_addr()?.port(),
        etcd_peer: etcd_peer.local_addr()?.port(),
        apiserver: apiserver.local_addr()?.port(),
    })
}

/// Writes the files that the API server reads when it starts; returns the tokens of the people.
fn write_inputs(folder: &Path, options: &Options) -> Result<Vec<String>, ClusterError> {
    let failed = |source| machine("make keys and tokens", source);
    let key = SigningKey::generate().map_err(failed)?;
    let tokens = PEOPLE
        .iter()
        .map(|_| random::digits())
        .collect::<io::Result<Vec<_>>>();
    let tokens = tokens.map_err(failed)?;
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": audit_rules(options),
    });
    cache::write(&folder.join("service-accounts.key"), key.private.as_bytes())?;
    cache::write(&folder.join("service-accounts.pub"), key.public.as_bytes())?;
    cache::write(
        &folder.join("tokens.csv"),
        people::token_file(&tokens).as_bytes(),
    )?;
    cache::write(
        &folder.join("audit-policy.json"),
        policy.to_string().as_bytes(),
    )?;
    if options.audit_log {
        // The API server appends to an existing file. It therefore continues at the end even after
        // the file has been truncated.
        cache::write(&audit_log(folder), b"")?;
    }
    if let Some(url) = &options.token_webhook {
        let webhook = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "webhook",
            "clusters": [{"name": "webhook", "cluster": {"server": url}}],
            "contexts": [{"name": "webhook", "context": {"cluster": "webhook", "user": "apiserver"}}],
            "users": [{"name": "apiserver", "user": {}}],
        });
        cache::write(&token_webhook(folder), webhook.to_string().as_bytes())?;
    }
    cache::create_dir(&folder.join("logs"))?;
    Ok(tokens)
}

/// The first rule that fits decides.
fn audit_rules(options: &Options) -> Vec<Value> {
    let written = options.audit_bodies_of.as_ref().map(|resource| {
        let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
        json!({
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": group, "resources": [resource]}],
        })
    });
    written
        .into_iter()
        .chain([json!({"level": "Metadata"})])
        .collect()
}

fn token_webhook(folder: &Path) -> PathBuf {
    folder.join("token-webhook.json")
}

fn etcd_arguments(folder: &Path, member: &str, endpoint: &str, peer_port: u16) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{peer_port}");
    vec![
        format!("--name={member}"),
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={endpoint}"),
        format!("--advertise-client-urls={endpoint}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster={member}={peer}"),
        // Nobody needs this data after a power failure.
        "--unsafe-no-fsync".into(),
    ]
}

fn apiserver_arguments(
    folder: &Path,
    etcd_endpoint: &str,
    port: u16,
    options: &Options,
) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers={etcd_endpoint}"),
        // Keeps the whole history, for `etcd_dump`.
        "--etcd-compaction-interval=0".into(),
        format!("--cert-dir={}", at("certificates")),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".into(),
        "--endpoint-reconciler-type=none".into(),
        "--service-cluster-ip-range=10.96.0.0/16".into(),
        "--authorization-mode=RBAC".into(),
        // As in people's clusters: PodSecurity decides where a privileged pod may run.
        "--allow-privileged=true".into(),
        format!("--token-auth-file={}", at("tokens.csv")),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", at("service-accounts.pub")),
        format!(
            "--service-account-signing-key-file={}",
            at("service-accounts.key")
        ),
        // This plugin would wait for ServiceAccounts of pods that nobody runs.
        "--disable-admission-plugins=ServiceAccount".into(),
    ];
    if options.token_webhook.is_some() {
        let file = token_webhook(folder);
        arguments.push(format!(
            "--authentication-token-webhook-config-file={}",
            file.display()
        ));
        arguments.push("--authentication-token-webhook-version=v1".into());
    }
    if options.audit_log {
        arguments.push(format!("--audit-policy-file={}", at("audit-policy.json")));
        arguments.push(format!("--audit-log-path={}", audit_log(folder).display()));
        // In megabytes. All of the log goes into one file, so that readers need to follow no other.
        arguments.push("--audit-log-maxsize=10000".into());
    }
    if !options.feature_gates.is_empty() {
        let gates = options
            .feature_gates
            .iter()
            .map(|(name, on)| format!("{name}={on}"));
        arguments.push(format!(
            "--feature-gates={}",
            gates.collect::<Vec<_>>().join(",")
        ));
    }
    if !options.runtime_config.is_empty() {
        arguments.push(format!(
            "--runtime-config={}",
            options.runtime_config.join(",")
        ));
    }
    arguments
}

fn controller_manager_arguments(folder: &Path) -> Vec<String> {
    let kubeconfig = kubeconfig_path(folder, people::CONTROLLER_MANAGER);
    let key = folder.join("service-accounts.key");
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--controllers={CONTROLLERS}"),
        // Each controller uses its own ServiceAccount, as in real clusters: admission policies tell
        // them apart.
        "--use-service-account-credentials".into(),
        format!("--service-account-private-key-file={}", key.display()),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
    ]
}

fn run(
    folder: &Folder,
    component: Component,
    program: &Path,
    arguments: &[String],
) -> Result<Program, ClusterError> {
    let log = folder
        .path()
        .join("logs")
        .join(format!("{}.log", component.name()));
    folder
        .run(program, arguments, &log)
        .map_err(|source| machine("start a program", source))
}

/// Asks etcd for the name of its member, because another user's etcd might answer on this port.
async fn wait_for_etcd(
    etcd: &mut Program,
    endpoint: &str,
    member: &str,
) -> Result<(), ClusterError> {
    #[derive(Deserialize)]
    struct Members {
        members: Vec<Member>,
    }
    #[derive(Deserialize)]
    struct Member {
        #[serde(default)]
        name: String,
    }
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .map_err(|source| machine("make an HTTP client", io::Error::other(source)))?;
    let list = format!("{endpoint}/v3/cluster/member/list");
    ready(etcd, Component::Etcd, "it answers", async || {
        let answer = http.post(&list).body("{}").send().await.ok()?;
        let found: Members = answer.json().await.ok()?;
        found
            .members
            .iter()
            .any(|found| found.name == member)
            .then_some(())
    })
    .await
}

async fn wait_for_certificate(apiserver: &mut Program, folder: &Path) -> Result<(), ClusterError> {
    // The key is written after the certificate.
    let key = folder.join("certificates/apiserver.key");
    let made = async || key.exists().then_some(());
    ready(
        apiserver,
        Component::KubeApiserver,
        "its certificate exists",
        made,
    )
    .await
}

/// Nobody else can answer here: only our API server has the key of our certificate.
async fn wait_for_apiserver(apiserver: &mut Program, folder: &Path) -> Result<(), ClusterError> {
    let admin = client(&kubeconfig_path(folder, "admin")).await?;
    let answers = async |path: &str| {
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        let answer = tokio::time::timeout(Duration::from_secs(5), admin.request_text(request));
        answer.await.ok()?.ok().map(|_| ())
    };
    let is_ready = async || {
        answers("/readyz").await?;
        // The API server may create this namespace only after /readyz has returned ok.
        answers("/api/v1/namespaces/default").await
    };
    ready(
        apiserver,
        Component::KubeApiserver,
        "/readyz returns ok",
        is_ready,
    )
    .await
}

/// Waits until a program is ready; fails at once if it ends before.
async fn ready(
    program: &mut Program,
    component: Component,
    what: &str,
    mut is_ready: impl AsyncFnMut() -> Option<()>,
) -> Result<(), ClusterError> {
    let waited = wait_until(what, READY_WITHIN, async || {
        if program.has_ended().is_some() {
            Some(false)
        } else {
            is_ready().await.map(|()| true)
        }
    })
    .await;
    match waited {
        Ok(true) => Ok(()),
        Ok(false) => Err(ClusterError::Ended {
            component,
            log: program.log_tail(SHOWN),
        }),
        Err(source) => Err(not_ready(component, program, source)),
    }
}

fn not_ready(component: Component, program: &Program, source: TimedOut) -> ClusterError {
    ClusterError::NotReady {
        component,
        source,
        log: program.log_tail(SHOWN),
    }
}

fn machine(action: &'static str, source: io::Error) -> ClusterError {
    ClusterError::Machine { action, source }
}
