//! The way to 1Password through a real proxy with a password, and to a server whose certificate a private authority has signed: by
//! settings alone an integration becomes Ready; without each of them, its condition names the cause in one sentence.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::support::log::{Listener, listen};
use crate::support::private_server::SERVER;
use crate::support::private_tls::{AUTHORITY, DESTINATION, Front, ORIGIN, token_at};
use crate::support::{PLATFORM, World, compiled_core, message, said};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Event;
use keyloan::api::OnePasswordIntegration;
use keyloan::network::NetworkSettings;
use keyloan::onepassword::{AllowedOrigins, Origin};
use keyloan_cluster::{ForwardProxy, ProxyRules, free_address, operator_program, signal};
use kube::api::ListParams;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

const HOST: &str = "op.corp.test";
const USER: &str = "keyloan-operator";
const PASSWORD: &str = "s3cr:et%2F";

/// A cluster with an integration, and a proxy that leads to its 1Password.
struct Site {
    world: World,
    proxy: ForwardProxy,
    /// The bundle and the proxy's credentials.
    files: TempDir,
    log: Listener,
    _front: Front,
}

impl Site {
    async fn new() -> Self {
        let log = listen();
        let mut world = World::without_operator().await;
        let front = Front::before(world.onepassword.origin()).await;
        let rules = ProxyRules {
            user: Some((USER, PASSWORD)),
            leads: &[(DESTINATION, front.address.as_str())],
            denies: &["denied.corp.test:443"],
        };
        let proxy = ForwardProxy::start(&rules).await.expect("a proxy");
        let origin = Origin::parse(ORIGIN).expect("an origin");
        world.settings.allowed_origins = AllowedOrigins::with([origin]);
        let token = world.onepassword.token("lender").await.expect("a token");
        world.put_token("prod", &token_at(&token, ORIGIN)).await;
        world.put_integration("prod", json!({})).await;
        let files = tempfile::tempdir().expect("a folder");
        let site = Self {
            world,
            proxy,
            files,
            log,
            _front: front,
        };
        site.write("ca.crt", AUTHORITY);
        site.write("username", USER);
        site.write("password", PASSWORD);
        site
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.files.path().join(name), content).expect("written");
    }

    /// All settings.
    fn network(&self) -> NetworkSettings {
        NetworkSettings {
            proxy: Some(format!("http://{}", self.proxy.address()).into()),
            no_proxy: Vec::new(),
            proxy_credentials: Some(self.files.path().to_owned()),
            ca_bundle: Some(self.files.path().join("ca.crt")),
        }
    }

    async fn start_operator(&mut self, network: NetworkSettings) {
        self.world.settings.core_options.network = network;
        self.world.start_operator().await;
    }

    /// Waits until the integration is not ready and names this cause.
    async fn says(&self, cause: &str) -> String {
        self.says_next(cause, "").await
    }

    /// Waits for that in other words than these, such as with another time of the next try.
    async fn says_next(&self, cause: &str, before: &str) -> String {
        let is_so = |object: &OnePasswordIntegration| {
            let status = object.status.as_ref();
            status.is_some_and(|status| {
                let says = message(&status.conditions, "Ready");
                said(&status.conditions, "Ready") == "False OnePasswordUnavailable"
                    && says.contains(cause)
                    && says != before
            })
        };
        let world = &self.world;
        let seen = world.wait(PLATFORM, "prod", cause, is_so).await;
        message(&seen.status.expect("a status").conditions, "Ready")
    }

    /// Lets so much time pass, for 1Password as for the operator, that the operator tries again.
    async fn later(&self) {
        let hour = Duration::from_secs(60 * 60);
        let moved = self.world.onepassword.advance_clock(hour).await;
        moved.expect("the simulator's clock");
        self.world.clock.advance(SignedDuration::from_hours(1));
    }

    /// Everything that anybody can read, up to now.
    async fn told(self) -> String {
        let integrations = self.world.namespaced::<OnePasswordIntegration>(PLATFORM);
        let events = self.world.namespaced::<Event>(PLATFORM);
        let integration = integrations.get("prod").await.expect("there");
        let events = events.list(&ListParams::default()).await.expect("events");
        let (integration, events) = (json!(integration), json!(events.items));
        let (metrics, log) = (self.world.metrics().await, self.log.heard().join("\n"));
        assert!(log.contains("1Password"), "{log}");
        format!("{integration}\n{events}\n{metrics}\n{log}")
    }
}

#[tokio::test]
async fn each_cause_is_named_and_what_it_asks_for_makes_the_integration_ready() {
    let mut site = Site::new().await;
    let via = format!("via proxy {}", site.proxy.address());
    let all = site.network();
    let nobody = free_address().expect("a port");
    let without = |change: fn(&mut NetworkSettings)| {
        let mut network = all.clone();
        change(&mut network);
        network
    };
    let no_proxy = without(|network| network.proxy = None);
    let exempt = without(|network| network.no_proxy = vec![format!("10.0.0.0/8, {HOST}")]);
    let no_password = without(|network| network.proxy_credentials = None);
    let no_bundle = without(|network| network.ca_bundle = None);
    let mut down = all.clone();
    down.proxy = Some(nobody.clone().into());
    let name = "The name of 1Password's host cannot be resolved";
    for (network, cause, explained) in [
        (no_proxy, name, "(while signing in)".to_owned()),
        (exempt, name, "(while signing in)".to_owned()),
        (
            no_password,
            "The proxy requires a user and a password (407): set --proxy-credentials (chart value \
             egress.proxy.credentialsSecretRef)",
            format!("(to {DESTINATION}, {via}) (while signing in)"),
        ),
        (
            no_bundle,
            "is signed by an authority that Keyloan does not know: give Keyloan that authority's \
             certificate with --ca-bundle (chart value egress.caBundle)",
            format!(
                "the certificate of {HOST} is issued by CN=Corp Inspection CA, {via}) (while \
                 signing in)"
            ),
        ),
        (
            down,
            "The proxy to 1Password refuses connections",
            format!(", via proxy {nobody}) (while signing in)"),
        ),
    ] {
        site.start_operator(network).await;
        let says = site.says(cause).await;
        assert!(says.contains(&explained), "{says}");
        assert_eq!(says.contains("via proxy"), explained.contains("via proxy"));
        site.world.stop_operator().await;
    }

    assert_eq!(site.world.requests().await, 0);
    site.start_operator(all).await;
    site.world.integration("prod", "Ready", "True Ready").await;
    assert!(site.world.requests().await > 0);
    let told = site.told().await;
    for secret in [USER, PASSWORD, "s3cr"] {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}

#[tokio::test]
async fn a_password_and_a_bundle_that_are_replaced_are_read_again() {
    let mut site = Site::new().await;
    site.write("password", "the one of before");
    site.write("ca.crt", SERVER);
    let network = site.network();
    site.start_operator(network).await;
    site.says("The proxy does not accept the user and the password (407)")
        .await;

    site.write("password", PASSWORD);
    site.later().await;
    let unknown = "signed by an authority that Keyloan does not know";
    let before = site.says(unknown).await;

    // What cannot be used changes nothing.
    site.write("ca.crt", "no certificate");
    site.later().await;
    site.says_next(unknown, &before).await;

    site.write("ca.crt", AUTHORITY);
    site.later().await;
    site.world.integration("prod", "Ready", "True Ready").await;
    let told = site.told().await;
    assert!(told.contains("it contains no certificate"), "{told}");
    assert!(!told.contains(PASSWORD) && !told.contains(USER), "{told}");
}

#[tokio::test]
async fn a_proxy_that_forbids_the_host_is_told_apart_from_one_that_cannot_reach_it() {
    let mut site = Site::new().await;
    for (host, cause) in [
        (
            "denied.corp.test",
            "The proxy refuses connections to 1Password (403): allow 1Password's host",
        ),
        (
            "unknown.corp.test",
            "The proxy cannot connect to 1Password (50",
        ),
    ] {
        let origin = format!("https://{host}");
        let token = site.world.onepassword.token("lender").await;
        let token = token_at(&token.expect("a token"), &origin);
        site.world.put_token("prod", &token).await;
        let origin = Origin::parse(&origin).expect("an origin");
        site.world.settings.allowed_origins = AllowedOrigins::with([origin]);
        let network = site.network();
        site.start_operator(network).await;
        let says = site.says(cause).await;
        let via = site.proxy.address();
        let explained = format!("(to {host}:443, via proxy {via}) (while signing in)");
        assert!(says.contains(&explained), "{says}");
        site.world.stop_operator().await;
    }
}

/// As a process, which logs all that it can.
fn process(core: &Path, settings: &[(&str, &str)]) -> Command {
    let program = operator_program(env!("CARGO_BIN_EXE_keyloan"));
    let mut process = Command::new(program.expect("the operator"));
    process
        .args(["run", "--listen=127.0.0.1:0", "--log-level=trace"])
        .env_clear()
        .env("KEYLOAN_CORE", core)
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    process
}

#[tokio::test]
async fn the_environment_names_a_proxy_as_for_everybody_and_no_line_of_the_log_shows_its_password()
{
    let site = Site::new().await;
    let core = compiled_core().await;
    let kubeconfig = site.world.plane.operator_kubeconfig().await;
    let kubeconfig = kubeconfig.expect("a file").display().to_string();
    let bundle = site.files.path().join("ca.crt").display().to_string();
    let proxy = format!("{USER}:s3cr%3Aet%252F@{}", site.proxy.address());
    let settings = [
        ("KEYLOAN_KUBECONFIG", kubeconfig.as_str()),
        ("KEYLOAN_ALLOW_ORIGIN", ORIGIN),
        ("KEYLOAN_CA_BUNDLE", &bundle),
        ("https_proxy", &proxy),
        ("NO_PROXY", "localhost, .corp.example,,<local>"),
    ];
    // Nobody reads while it runs, so a pipe would fill.
    let log = site.files.path().join("log");
    let mut process = process(&core, &settings);
    process.stderr(File::create(&log).expect("a file"));
    let mut running = process.spawn().expect("a process");
    site.world.integration("prod", "Ready", "True Ready").await;
    signal(running.id().expect("it runs"), "TERM").expect("told");
    let ended = running.wait().await.expect("an end");
    let log = std::fs::read_to_string(log).expect("text");
    assert!(ended.success(), "{log}");
    assert!(log.contains("TRACE") && log.contains("1Password"), "{log}");
    for secret in [USER, PASSWORD, "s3cr"] {
        assert!(!log.contains(secret), "{secret} is told: {log}");
    }
    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    assert!(!log.contains(&encoded), "{log}");
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_ends_the_operator_with_what_to_do() {
    let core = compiled_core().await;
    for (settings, says) in [
        (
            &[("KEYLOAN_CA_BUNDLE", "/nowhere/ca.crt")][..],
            "cannot read the CA bundle /nowhere/ca.crt: No such file or directory (os error 2); \
             check --ca-bundle (chart value egress.caBundle",
        ),
        (
            &[("KEYLOAN_PROXY", "socks5://user:s3cret@proxy:1080")],
            "cannot use the proxy from --proxy: it must be a URL with the scheme http or https",
        ),
        (
            &[("KEYLOAN_PROXY_CREDENTIALS", "/nowhere")],
            "cannot read the proxy's user and password from /nowhere/username",
        ),
        (&[("KEYLOAN_NO_PROXY", "a.b")], "--proxy <URL>"),
    ] {
        let output = process(&core, settings).output().await.expect("a process");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{log}");
        assert!(log.contains(says), "{says}: {log}");
        assert!(!log.contains("s3cret"), "{log}");
    }
}
