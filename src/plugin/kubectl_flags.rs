//! The flags that select the cluster, the namespace and the identity, with kubectl's names and
//! meanings.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::arguments::timeout;
use crate::cluster::Overrides;
use crate::cluster::person::PersonAccess;

/// The verbosity from which kubectl, and so this program, logs each call of the API server.
const LOGS_CALLS: u8 = 6;

/// The cluster, the namespace and the identity to use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct KubectlFlags {
    /// The kubeconfig file. Defaults to KUBECONFIG or ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig context to use. Defaults to the current context.
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig cluster to use. Defaults to the context's cluster.
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
    /// The kubeconfig user to use. Defaults to the context's user.
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// The namespace to use. Defaults to the context's namespace.
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The address of the API server.
    #[arg(long, short, global = true, value_name = "URL")]
    server: Option<String>,
    /// The bearer token to sign in with.
    #[arg(long, global = true, value_name = "TOKEN")]
    token: Option<Token>,
    /// Impersonate this user.
    #[arg(long = "as", global = true, value_name = "USERNAME")]
    impersonate: Option<String>,
    /// Impersonate a member of this group. Repeatable.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    impersonate_groups: Vec<String>,
    /// Impersonate the user with this UID.
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    impersonate_uid: Option<String>,
    /// A file with the CA certificates that verify the API server's certificate.
    #[arg(long, global = true, value_name = "FILE")]
    certificate_authority: Option<String>,
    /// The server name to expect in the API server's certificate.
    #[arg(long, global = true, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Do not verify the API server's certificate. Others can then read and change the traffic.
    #[arg(long, global = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", default_value = "false", hide_default_value = true, hide_possible_values = true, require_equals = true, value_name = "true")]
    insecure_skip_tls_verify: bool,
    /// How long to wait for each answer from the API server, such as 30s. 0 means no timeout.
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout)]
    request_timeout: Option<Duration>,
    /// Accepted because kubectl accepts it. Nothing is cached.
    #[arg(long, global = true, value_name = "FOLDER", hide = true)]
    cache_dir: Option<PathBuf>,
    /// The log level. From 6 on, each call to the API server is logged.
    #[arg(
        short,
        long = "v",
        global = true,
        value_name = "LEVEL",
        default_value_t = 0,
        hide_default_value = true
    )]
    verbosity: u8,
}

/// A bearer token, which `Debug` does not show.
#[derive(Clone)]
struct Token(String);

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl KubectlFlags {
    /// Whether each call of the API server is logged.
    pub fn logs_calls(&self) -> bool {
        self.verbosity >= LOGS_CALLS
    }
}

impl From<&KubectlFlags> for PersonAccess {
    fn from(flags: &KubectlFlags) -> Self {
        Self {
            kubeconfig: flags.kubeconfig.clone(),
            namespace: flags.namespace.clone(),
            request_timeout: flags.request_timeout,
            overrides: Overrides {
                context: flags.context.clone(),
                cluster: flags.cluster.clone(),
                user: flags.user.clone(),
                server: flags.server.clone(),
                token: flags.token.clone().map(|token| token.0),
                certificate_authority: flags.certificate_authority.clone(),
                tls_server_name: flags.tls_server_name.clone(),
                insecure_skip_tls_verify: flags.insecure_skip_tls_verify,
                impersonate: flags.impersonate.clone(),
                impersonate_uid: flags.impersonate_uid.clone(),
                impersonate_groups: flags.impersonate_groups.clone(),
            },
        }
    }
}

/// Parses a timeout in kubectl's form: a bare number is in seconds, and 0 means no timeout.
fn request_timeout(text: &str) -> Result<Duration, String> {
    let given = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => timeout(text)?,
    };
    // Longer than anyone waits.
    let forever = Duration::from_secs(365 * 24 * 60 * 60);
    Ok(if given.is_zero() { forever } else { given })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        access: KubectlFlags,
    }

    fn access(line: &[&str]) -> PersonAccess {
        let line = ["keyloan"].iter().chain(line);
        PersonAccess::from(&Line::parse_from(line).access)
    }

    #[test]
    fn the_flags_are_kubectls() {
        let said = access(&[
            "--as=bob",
            "--as-group=ops",
            "--as-group",
            "dev",
            "--as-uid=7",
            "--user=alice",
            "--cluster=two",
            "-s",
            "https://two.example.com",
            "--token=s3cret",
            "--request-timeout=5",
            "--insecure-skip-tls-verify=true",
            "--tls-server-name=inner",
            "--cache-dir=/tmp/cache",
            "-v=6",
        ]);
        let overrides = said.overrides;
        assert_eq!(overrides.impersonate.as_deref(), Some("bob"));
        assert_eq!(overrides.impersonate_groups, ["ops", "dev"]);
        assert_eq!(overrides.impersonate_uid.as_deref(), Some("7"));
        assert_eq!(overrides.server.as_deref(), Some("https://two.example.com"));
        assert_eq!(overrides.token.as_deref(), Some("s3cret"));
        assert!(overrides.insecure_skip_tls_verify);
        assert_eq!(said.request_timeout, Some(Duration::from_secs(5)));
        assert!(
            !access(&["--insecure-skip-tls-verify=false"])
                .overrides
                .insecure_skip_tls_verify
        );
        assert!(
            access(&["--insecure-skip-tls-verify"])
                .overrides
                .insecure_skip_tls_verify
        );
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let line = Line::parse_from(["keyloan", "--token=s3cret", "-v", "6"]);
        assert!(!format!("{line:?}").contains("s3cret"));
        assert!(line.access.logs_calls());
    }

    #[rstest::rstest]
    #[case("30", 30)]
    #[case("30s", 30)]
    #[case("1m", 60)]
    #[case("0", 365 * 24 * 60 * 60)]
    fn a_time_out_is_a_number_of_seconds_or_a_duration(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(request_timeout(text), Ok(Duration::from_secs(seconds)));
    }
}
