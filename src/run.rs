//! `keyloan run`: the operator as a process, with its arguments, logs and signals.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use keyloan::cluster::{Install, KubeAccess, install_tls};
use keyloan::network::{AllowedHosts, AllowedHostsError, NetworkSettings};
use keyloan::onepassword::core::CoreOptions;
use keyloan::onepassword::{AllowedOrigins, Origin};
use keyloan::operator::{Election, Settings, start};
use keyloan::runtime::Clock;
use keyloan::telemetry::{Audit, LogFormat, LogSettings, start_logging};
use nix::sys::resource::{Resource, setrlimit};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::signal::unix::{SignalKind, signal};

/// A longer call could create a link that outlives the end in its record: see `plan::delivery::links::CALL_TIMEOUT`.
const LONGEST_CALL: u64 = 45;
/// The operator mostly waits.
const MOST_THREADS: usize = 4;
/// They look up host names.
const MOST_BLOCKING_THREADS: usize = 16;

/// The operator's settings. Each is a flag and an environment variable.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The kubeconfig file. Default: KUBECONFIG or ~/.kube/config; if neither exists, the pod's ServiceAccount.
    #[arg(long, env = "KEYLOAN_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// 1Password's SDK core, compiled for this machine with `cargo xtask core --compile FILE`.
    #[arg(long, env = "KEYLOAN_CORE", value_name = "FILE")]
    core: PathBuf,
    /// Accept tokens for this origin in addition to https on 1password.com, .ca and .eu, such as https://1password.example:8443.
    /// Repeatable.
    #[arg(
        long = "allow-origin",
        env = "KEYLOAN_ALLOW_ORIGIN",
        value_name = "URL",
        value_delimiter = ','
    )]
    allow_origins: Vec<Origin>,
    /// The HTTP proxy to 1Password, such as http://proxy.example.com:3128. By default, HTTPS_PROXY and NO_PROXY of the environment
    /// decide. The API server is not reached through this proxy.
    #[arg(
        long,
        env = "KEYLOAN_PROXY",
        value_name = "URL",
        hide_env_values = true
    )]
    proxy: Option<SecretString>,
    /// A host, domain, address or network that is reached without the proxy of --proxy, as in NO_PROXY. Repeatable.
    #[arg(
        long,
        env = "KEYLOAN_NO_PROXY",
        value_name = "HOST",
        value_delimiter = ',',
        requires = "proxy"
    )]
    no_proxy: Vec<String>,
    /// A folder with the files username and password for the proxy to 1Password. They are read again at each sign-in.
    #[arg(long, env = "KEYLOAN_PROXY_CREDENTIALS", value_name = "FOLDER")]
    proxy_credentials: Option<PathBuf>,
    /// A file with certificates (PEM) of authorities that 1Password's certificate may be signed by, besides the system's. It is read
    /// again at each sign-in.
    #[arg(long, env = "KEYLOAN_CA_BUNDLE", value_name = "FILE")]
    ca_bundle: Option<PathBuf>,
    /// A host to which notices may go although its addresses are not public, such as smtp.example.internal or *.example.internal.
    /// Repeatable.
    #[arg(
        long = "notice-host",
        env = "KEYLOAN_NOTICE_HOSTS",
        value_name = "HOST",
        value_delimiter = ','
    )]
    notice_hosts: Vec<String>,
    /// A network to which notices may go although its addresses are not public, such as 10.1.0.0/16. Repeatable.
    #[arg(
        long = "notice-network",
        env = "KEYLOAN_NOTICE_NETWORKS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    notice_networks: Vec<String>,
    /// A namespace with integrations, flows and records. The operator serves only these namespaces, and reads the token Secrets in
    /// them. Repeatable.
    #[arg(
        long,
        env = "KEYLOAN_INTEGRATION_NAMESPACES",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        default_value = "keyloan"
    )]
    integration_namespaces: Vec<String>,
    /// The namespace for the Secrets with links. The operator writes Secrets in no other namespace.
    #[arg(
        long,
        env = "KEYLOAN_LINKS_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "keyloan-system-links"
    )]
    links_namespace: String,
    /// The name of this install. It distinguishes this install's objects from those of other installs in the cluster.
    #[arg(
        long,
        env = "KEYLOAN_INSTALL",
        value_name = "NAME",
        default_value = "keyloan",
        value_parser = label_value
    )]
    install: String,
    /// A label for each link's Secret, Role and RoleBinding, such as one that the cluster's policies require. Repeatable.
    #[arg(
        long = "link-label",
        env = "KEYLOAN_LINK_LABELS",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = label
    )]
    link_labels: Vec<(String, String)>,
    /// A flag of an earlier version.
    #[arg(long, env = "KEYLOAN_NAMESPACES", hide = true, value_parser = removed)]
    namespaces: Option<String>,
    /// The address for /livez and /readyz. [::] means all addresses, including IPv4.
    #[arg(
        long,
        env = "KEYLOAN_LISTEN",
        value_name = "ADDRESS",
        default_value = "[::]:8080"
    )]
    listen: SocketAddr,
    /// The address for /metrics, such as [::]:8081. By default, metrics are not served.
    #[arg(long, env = "KEYLOAN_LISTEN_METRICS", value_name = "ADDRESS")]
    listen_metrics: Option<SocketAddr>,
    /// Lead only while holding this lease, so that several replicas can run. By default, this replica leads at once.
    #[arg(long, env = "KEYLOAN_LEASE", value_name = "NAMESPACE/NAME", value_parser = lease)]
    lease: Option<(String, String)>,
    /// This replica's unique name in the lease, such as the pod's name.
    #[arg(long, env = "HOSTNAME", value_name = "NAME")]
    identity: Option<String>,
    /// The format of log lines.
    #[arg(
        long,
        env = "KEYLOAN_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
    /// The log level: error, warn, info, debug or trace; or directives such as info,keyloan=debug.
    #[arg(
        long,
        env = "KEYLOAN_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,
    /// The timeout of one call to 1Password in seconds, including its sign-in and the wait for earlier calls. The maximum is 45, because
    /// the computed end of a link allows for no longer call.
    #[arg(
        long,
        env = "KEYLOAN_CALL_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=LONGEST_CALL)
    )]
    call_timeout: u64,
    /// The timeout of one HTTP request to 1Password in seconds.
    #[arg(
        long,
        env = "KEYLOAN_REQUEST_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 20
    )]
    request_timeout: u64,
    /// Seconds after which the operator drops an unused client to free its memory. The next call signs in again.
    #[arg(
        long,
        env = "KEYLOAN_IDLE_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 600
    )]
    idle_timeout: u64,
    /// The maximum size of a response from 1Password in MiB. The sandbox has 64 MiB for everything it works on.
    #[arg(
        long,
        env = "KEYLOAN_MAX_RESPONSE",
        value_name = "MIB",
        value_parser = clap::value_parser!(u8).range(1..=32),
        default_value_t = 16
    )]
    max_response: u8,
}

/// Runs the operator until a signal stops it or it fails.
pub fn run(args: RunArgs) -> anyhow::Result<()> {
    let (format, level) = (args.log_format, args.log_level.clone());
    start_logging(&LogSettings { format, level })?;
    // Tokens and items pass through this process's memory; a crash must not write them to a disk.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("cannot disable core dumps")?;
    install_tls();
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // Each thread has memory of its own, so a large node must not start more of them.
        .worker_threads(cores.min(MOST_THREADS))
        .max_blocking_threads(MOST_BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    runtime.block_on(serve(args.settings()?))
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut operator = start(settings).await?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), health = ?operator.health_address(), metrics = ?operator.metrics_address(), "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        failure = operator.failed() => return Err(failure.into()),
    }
    tracing::info!("stopping");
    Ok(operator.stop().await?)
}

impl RunArgs {
    fn settings(self) -> Result<Settings, AllowedHostsError> {
        let Self {
            identity, lease, ..
        } = self;
        let identity = identity.unwrap_or_else(|| format!("keyloan-{}", std::process::id()));
        // An empty environment variable names no namespace.
        let mut served: BTreeSet<String> = self.integration_namespaces.into_iter().collect();
        served.remove("");
        let install = Install {
            name: self.install,
            links_namespace: self.links_namespace,
            integration_namespaces: served,
            link_labels: self.link_labels.into_iter().collect::<BTreeMap<_, _>>(),
        };
        Ok(Settings {
            kube: self
                .kubeconfig
                .map_or(KubeAccess::Infer, KubeAccess::Kubeconfig),
            core: self.core,
            core_options: CoreOptions {
                call_timeout: Duration::from_secs(self.call_timeout),
                exchange_timeout: Duration::from_secs(self.request_timeout),
                idle_timeout: Duration::from_secs(self.idle_timeout),
                max_response: usize::from(self.max_response) << 20,
                network: NetworkSettings {
                    // An empty environment variable names no proxy and no file.
                    proxy: self.proxy.filter(|url| !url.expose_secret().is_empty()),
                    no_proxy: self.no_proxy,
                    proxy_credentials: named(self.proxy_credentials),
                    ca_bundle: named(self.ca_bundle),
                },
                ..CoreOptions::default()
            },
            allowed_origins: AllowedOrigins::with(self.allow_origins),
            listen: Some(self.listen),
            listen_metrics: self.listen_metrics,
            install,
            election: lease.map(|(namespace, lease)| Election {
                namespace,
                lease,
                identity,
            }),
            clock: Clock::system(),
            audit: Audit::to_stdout(),
            notice_hosts: AllowedHosts::parse(&self.notice_hosts, &self.notice_networks)?,
            policies: None,
        })
    }
}

fn named(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), label_value(value)?)),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Checks a text as the value of a label.
fn label_value(text: &str) -> Result<String, String> {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let is_value = text.len() <= 63
        && text.starts_with(is_end)
        && text.ends_with(is_end)
        && text.chars().all(|c| is_end(c) || "-_.".contains(c));
    match is_value {
        true => Ok(text.to_owned()),
        false => Err("use at most 63 letters, digits, dashes, underscores and dots; start and end with a letter or digit".to_owned()),
    }
}

fn removed(text: &str) -> Result<String, String> {
    match text.is_empty() {
        true => Ok(String::new()),
        false => Err("this flag was removed: the operator now stores links in one namespace (--links-namespace) and reads tokens in the integrations' namespaces (--integration-namespaces). Set those flags and remove this one".to_owned()),
    }
}

fn lease(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("expected NAMESPACE/NAME".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use keyloan::cluster::API_TIMEOUT;
    use keyloan::operator::STOPS_WITHIN;
    use keyloan::plan::delivery::links::CALL_TIMEOUT;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parsed(arguments: &[&str]) -> Result<Settings, String> {
        let line = ["keyloan", "--core=core.cwasm"];
        let parsed = Command::try_parse_from(line.iter().chain(arguments));
        parsed
            .map_err(|error| error.to_string())
            .map(|command| command.run.settings().expect("settings"))
    }

    #[test]
    fn an_install_is_what_its_flags_say_and_else_that_of_the_charts_own_values() {
        assert_eq!(parsed(&[]).unwrap().install, Install::default());
        let told = parsed(&[
            "--integration-namespaces=platform,data",
            "--integration-namespaces=more,",
            "--links-namespace=links",
            "--install=keyloan-system.other",
            "--link-label=team=platform",
        ]);
        let expected = Install {
            name: "keyloan-system.other".into(),
            links_namespace: "links".into(),
            integration_namespaces: ["platform", "data", "more"].map(Into::into).into(),
            link_labels: [("team".into(), "platform".into())].into(),
        };
        assert_eq!(told.unwrap().install, expected);
    }

    #[rstest::rstest]
    #[case::removed("--namespaces=team-a", "--links-namespace")]
    #[case::no_label_value("--install=my install", "63")]
    #[case::no_label("--link-label=team", "KEY=VALUE")]
    fn what_cannot_be_is_refused_with_what_to_write(#[case] flag: &str, #[case] says: &str) {
        let refusal = parsed(&[flag]).expect_err("refused");
        assert!(refusal.contains(says), "{refusal}");
    }

    #[test]
    fn a_pod_is_given_the_time_that_a_planned_stop_takes() {
        let names = include_str!("../charts/keyloan/templates/_names.tpl");
        let (_, period) = names
            .split_once("define \"keyloan.gracePeriod\"")
            .expect("defined");
        // Time to finish work, to stop the tasks, and to release the lease.
        let besides = STOPS_WITHIN.as_secs();
        let grace = format!("{{{{ add (.Values.onepassword.callTimeout | int64) {besides} }}}}");
        assert!(period.contains(&grace), "{grace}");
    }

    #[test]
    fn no_call_can_be_given_more_time_than_the_schedule_of_links_reckons_with() {
        let longest = Duration::from_secs(LONGEST_CALL);
        // The intent has to be written, after the time that it bears, before the call begins.
        assert!(API_TIMEOUT + longest < CALL_TIMEOUT.unsigned_abs());

        let schema = include_str!("../charts/keyloan/values.schema.json");
        let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
        let bounds = &schema["properties"]["onepassword"]["properties"]["callTimeout"];
        assert_eq!(bounds["maximum"], LONGEST_CALL, "{bounds}");
    }
}
