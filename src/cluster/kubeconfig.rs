//! Turns a kubeconfig, and kubectl's flags that override it, into the configuration of a client.
//!
//! kube's own function also reads the proxy settings of the environment, and fails on those that it
//! does not support.

use std::env;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::network::proxy::{self, Kinds, Proxies, ProxyError};

/// What replaces values of the kubeconfig; each field is kubectl's flag of that name.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--context`
    pub context: Option<String>,
    /// `--cluster`
    pub cluster: Option<String>,
    /// `--user`
    pub user: Option<String>,
    /// `--server`
    pub server: Option<String>,
    /// `--token`
    pub token: Option<String>,
    /// `--certificate-authority`
    pub certificate_authority: Option<String>,
    /// `--tls-server-name`
    pub tls_server_name: Option<String>,
    /// `--insecure-skip-tls-verify`
    pub insecure_skip_tls_verify: bool,
    /// `--as`
    pub impersonate: Option<String>,
    /// `--as-uid`
    pub impersonate_uid: Option<String>,
    /// `--as-group`
    pub impersonate_groups: Vec<String>,
}

/// Why a kubeconfig with its overrides is not usable.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigProblem {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] KubeconfigError),
    /// Nothing names a cluster.
    #[error(
        "no current context is set: choose one with `kubectl config use-context NAME` or --context"
    )]
    NoContext,
    /// It names something that it does not define.
    #[error("it defines no {what} {name:?}; `kubectl config view` lists what it defines")]
    Missing {
        /// What it names.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The cluster has no address.
    #[error(
        "the cluster {0:?} has no server: set one with `kubectl config set-cluster`, or pass --server"
    )]
    NoServer(String),
    /// The cluster's address is not a URL.
    #[error("the server {server:?} is not a valid URL, such as https://api.example.com:6443")]
    Server {
        /// The address.
        server: String,
    },
    /// The certificates cannot be read.
    #[error("cannot read the certificate authority: {0}")]
    Authority(rustls::pki_types::pem::Error),
    /// Two flags contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// A kubeconfig that is not usable, or several merged ones.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the kubeconfig {path}: {error}", path = path.display())]
pub struct UnusableKubeconfig {
    /// The file, or all files.
    pub path: PathBuf,
    /// Why it is not usable.
    pub error: KubeconfigProblem,
}

impl UnusableKubeconfig {
    pub(super) fn of(files: &[PathBuf], error: KubeconfigProblem) -> Self {
        let names: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        Self {
            path: names.join(" and ").into(),
            error,
        }
    }
}

/// The kubeconfigs to read: the named file, or else those in KUBECONFIG, or else the one in the
/// home directory. Only if there is none, this process may be a pod.
pub(super) fn files(
    named: Option<&Path>,
    set: Option<&OsStr>,
    home: Option<PathBuf>,
) -> Option<Vec<PathBuf>> {
    if let Some(named) = named {
        return Some(vec![named.to_owned()]);
    }
    let listed = set.into_iter().flat_map(env::split_paths);
    let listed: Vec<_> = listed.filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return Some(listed);
    }
    let own = home.map(|home| home.join(".kube").join("config"));
    // Reading a file that cannot be examined reports why.
    let own = own.filter(|path| path.try_exists().unwrap_or(true));
    own.map(|own| vec![own])
}

/// Reads and merges the files. As in kubectl, some files of a list may be missing, but not all.
pub(super) fn read(files: &[PathBuf]) -> Result<Kubeconfig, UnusableKubeconfig> {
    let mut merged: Option<Kubeconfig> = None;
    let mut missing = None;
    for path in files {
        let failed = |error: KubeconfigError| UnusableKubeconfig {
            path: path.clone(),
            error: error.into(),
        };
        let next = match Kubeconfig::read_from(path) {
            Err(error) if is_missing(&error) => {
                missing = missing.or(Some(failed(error)));
                continue;
            }
            read => read.map_err(failed)?,
        };
        // Earlier files take precedence.
        merged = Some(match merged {
            Some(earlier) => earlier.merge(next).map_err(failed)?,
            None => next,
        });
    }
    match (merged, missing) {
        (None, Some(missing)) => Err(missing),
        (merged, _) => Ok(merged.unwrap_or_default()),
    }
}

fn is_missing(error: &KubeconfigError) -> bool {
    matches!(error, KubeconfigError::ReadConfig(error, _) if error.kind() == ErrorKind::NotFound)
}

/// Creates the configuration of a client.
pub(super) fn config(
    kubeconfig: Kubeconfig,
    said: &Overrides,
) -> Result<Config, KubeconfigProblem> {
    said.check()?;
    let current = said.context.clone().or(kubeconfig.current_context);
    let current = current.filter(|name| !name.is_empty());
    let missing = |what, name: &str| KubeconfigProblem::Missing {
        what,
        name: name.to_owned(),
    };
    let context = match &current {
        Some(name) => {
            let mut contexts = kubeconfig.contexts.into_iter();
            let found = contexts.find(|context| context.name == *name);
            found
                .and_then(|found| found.context)
                .ok_or_else(|| missing("context", name))?
        }
        None if said.server.is_some() || said.cluster.is_some() => Default::default(),
        None => return Err(KubeconfigProblem::NoContext),
    };
    let cluster_name = said.cluster.as_ref().unwrap_or(&context.cluster);
    let mut clusters = kubeconfig.clusters.into_iter();
    let cluster = match clusters.find(|cluster| cluster.name == *cluster_name) {
        Some(found) => found.cluster.unwrap_or_default(),
        None if said.cluster.is_none() && said.server.is_some() => Cluster::default(),
        None => return Err(missing("cluster", cluster_name)),
    };
    let mut users = kubeconfig.auth_infos.into_iter();
    let user = match said.user.as_ref().or(context.user.as_ref()) {
        Some(name) => match users.find(|user| user.name == *name) {
            Some(found) => found.auth_info.unwrap_or_default(),
            None if said.user.is_some() => return Err(missing("user", name)),
            // kubectl, too, treats an undefined user as one without credentials.
            None => AuthInfo::default(),
        },
        None => AuthInfo::default(),
    };
    let cluster = said.of_cluster(cluster);
    let user = said.of_user(user, &cluster)?;
    let server = cluster
        .server
        .as_deref()
        .filter(|server| !server.is_empty());
    let server = server.ok_or_else(|| KubeconfigProblem::NoServer(cluster_name.clone()))?;
    let has_tls = cluster.insecure_skip_tls_verify == Some(true)
        || cluster.certificate_authority.is_some()
        || cluster.certificate_authority_data.is_some()
        || user.client_certificate.is_some()
        || user.client_certificate_data.is_some();
    let mut config = Config::new(address(server, has_tls)?);
    config.default_namespace = context
        .namespace
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".into());
    config.root_cert = root_certificates(&cluster)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name;
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.auth_info = user;
    let named = cluster.proxy_url.as_deref().filter(|url| !url.is_empty());
    config.proxy_url = match named {
        Some(named) => Some(proxy::named("the kubeconfig's proxy-url", named)?),
        None => Proxies::of_process().to(&config.cluster_url, Kinds::HttpAndSocks)?,
    };
    Ok(config)
}

impl Overrides {
    fn check(&self) -> Result<(), KubeconfigProblem> {
        let somebody = self
            .impersonate
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        if !somebody && (self.impersonate_uid.is_some() || !self.impersonate_groups.is_empty()) {
            return Err(KubeconfigProblem::Contradiction(
                "--as-group and --as-uid require --as: pass --as, too",
            ));
        }
        if self.insecure_skip_tls_verify && self.certificate_authority.is_some() {
            return Err(KubeconfigProblem::Contradiction(
                "--insecure-skip-tls-verify and --certificate-authority contradict each other: pass one of them",
            ));
        }
        Ok(())
    }

    fn of_cluster(&self, mut cluster: Cluster) -> Cluster {
        if self.server.is_some() {
            cluster.server.clone_from(&self.server);
        }
        if self.certificate_authority.is_some() {
            cluster
                .certificate_authority
                .clone_from(&self.certificate_authority);
            cluster.certificate_authority_data = None;
            cluster.insecure_skip_tls_verify = None;
        }
        if self.insecure_skip_tls_verify {
            cluster.insecure_skip_tls_verify = Some(true);
            cluster.certificate_authority = None;
            cluster.certificate_authority_data = None;
        }
        if self.tls_server_name.is_some() {
            cluster.tls_server_name.clone_from(&self.tls_server_name);
        }
        cluster
    }

    fn of_user(&self, user: AuthInfo, cluster: &Cluster) -> Result<AuthInfo, KubeconfigProblem> {
        let mut user = match &self.token {
            // A token replaces every other way to sign in; a certificate beside it does no harm.
            Some(token) => AuthInfo {
                token: Some(token.clone().into()),
                client_certificate: user.client_certificate,
                client_certificate_data: user.client_certificate_data,
                client_key: user.client_key,
                client_key_data: user.client_key_data,
                impersonate: user.impersonate,
                impersonate_uid: user.impersonate_uid,
                impersonate_groups: user.impersonate_groups,
                impersonate_user_extra: user.impersonate_user_extra,
                ..AuthInfo::default()
            },
            None => user,
        };
        if self.impersonate.is_some() {
            user.impersonate.clone_from(&self.impersonate);
            user.impersonate_uid.clone_from(&self.impersonate_uid);
            let groups = &self.impersonate_groups;
            user.impersonate_groups = (!groups.is_empty()).then(|| groups.clone());
        }
        if let Some(exec) = user.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
            exec.cluster = Some(ExecAuthCluster::try_from(cluster)?);
        }
        Ok(user)
    }
}

/// The URL of an API server. As in kubectl, a URL without a scheme means HTTPS if certificates are
/// configured.
fn address(server: &str, has_tls: bool) -> Result<http::Uri, KubeconfigProblem> {
    let with_scheme = match (server.contains("://"), has_tls) {
        (true, _) => server.to_owned(),
        (false, true) => format!("https://{server}"),
        (false, false) => format!("http://{server}"),
    };
    let parsed = with_scheme.parse::<http::Uri>().ok();
    let usable = parsed.filter(|uri| {
        uri.host().is_some_and(|host| !host.is_empty())
            && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    usable.ok_or_else(|| KubeconfigProblem::Server {
        server: server.to_owned(),
    })
}

fn root_certificates(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, KubeconfigProblem> {
    let Some(pem) = ExecAuthCluster::try_from(cluster)?.certificate_authority_data else {
        return Ok(None);
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect();
    Ok(Some(read.map_err(KubeconfigProblem::Authority)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: here
contexts:
- {name: here, context: {cluster: one, user: alice, namespace: team-a}}
clusters:
- {name: one, cluster: {server: 'https://one.example.com:6443', insecure-skip-tls-verify: true}}
- {name: two, cluster: {server: 'https://two.example.com'}}
users:
- {name: alice, user: {token: own}}
- {name: ci, user: {token: ci, as: robot}}
";

    fn made(said: &Overrides) -> Result<Config, KubeconfigProblem> {
        config(Kubeconfig::from_yaml(KUBECONFIG).unwrap(), said)
    }

    fn token(config: &Config) -> String {
        use secrecy::ExposeSecret as _;
        config
            .auth_info
            .token
            .as_ref()
            .unwrap()
            .expose_secret()
            .to_owned()
    }

    #[test]
    fn without_a_word_it_is_the_current_context() {
        let config = made(&Overrides::default()).unwrap();
        assert_eq!(
            config.cluster_url.to_string(),
            "https://one.example.com:6443/"
        );
        assert_eq!(config.default_namespace, "team-a");
        assert!(config.accept_invalid_certs);
        assert_eq!(token(&config), "own");
    }

    #[test]
    fn each_flag_says_its_part() {
        let some = |text: &str| Some(text.to_owned());
        let said = Overrides {
            cluster: some("two"),
            user: some("ci"),
            token: some("given"),
            tls_server_name: some("inner"),
            impersonate: some("bob"),
            impersonate_uid: some("7"),
            impersonate_groups: vec!["ops".into()],
            ..Overrides::default()
        };
        let config = made(&said).unwrap();
        assert_eq!(config.cluster_url.host(), Some("two.example.com"));
        assert_eq!(token(&config), "given");
        assert_eq!(config.tls_server_name, some("inner"));
        let who = config.auth_info;
        assert_eq!(who.impersonate, some("bob"));
        assert_eq!(who.impersonate_uid, some("7"));
        assert_eq!(who.impersonate_groups, Some(vec!["ops".to_owned()]));
    }

    #[test]
    fn a_server_needs_no_context() {
        let said = Overrides {
            server: Some("other.example.com:6443".into()),
            insecure_skip_tls_verify: true,
            ..Overrides::default()
        };
        let config = config(Kubeconfig::default(), &said).unwrap();
        assert_eq!(
            config.cluster_url.to_string(),
            "https://other.example.com:6443/"
        );
        assert_eq!(config.default_namespace, "default");
    }

    #[test]
    fn what_is_not_there_and_what_contradicts_itself_is_said() {
        let told = |change: fn(&mut Overrides)| {
            let mut said = Overrides::default();
            change(&mut said);
            made(&said).unwrap_err().to_string()
        };
        for (told, says) in [
            (
                told(|said| said.context = Some("x".into())),
                "no context \"x\"",
            ),
            (
                told(|said| said.cluster = Some("x".into())),
                "no cluster \"x\"",
            ),
            (told(|said| said.user = Some("x".into())), "no user \"x\""),
            (
                told(|said| said.server = Some("https://".into())),
                "is not a valid URL",
            ),
            (
                told(|said| said.impersonate_groups = vec!["ops".into()]),
                "pass --as, too",
            ),
            (
                told(|said| {
                    said.insecure_skip_tls_verify = true;
                    said.certificate_authority = Some("ca.crt".into());
                }),
                "pass one of them",
            ),
        ] {
            assert!(told.contains(says), "{told}");
        }
    }
}
