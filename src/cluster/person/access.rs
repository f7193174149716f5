//! A person's access to the cluster: through the kubeconfig, context and namespace that kubectl
//! would use, too.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use kube::Config;
use kube::config::{Kubeconfig, KubeconfigError};

use super::certificate::OwnCertificate;
use super::{Person, TIMEOUT};
use crate::cluster::connect::{self, ConnectError};
use crate::cluster::kubeconfig::{self, KubeconfigProblem, Overrides, UnusableKubeconfig};

/// This program's name in the API server's logs.
const USER_AGENT: &str = concat!("kubectl-keyloan/", env!("CARGO_PKG_VERSION"));

/// A person's choice of cluster; each field has kubectl's default.
#[derive(Clone, Default)]
pub struct PersonAccess {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// The namespace.
    pub namespace: Option<String>,
    /// The timeout of one call; `None` for the default.
    pub request_timeout: Option<Duration>,
    /// The flags that override the kubeconfig.
    pub overrides: Overrides,
}

impl Person {
    /// Creates a client for a person, without calling the API server yet.
    pub async fn connect(access: &PersonAccess) -> Result<Self, ConnectError> {
        let mut config = config(access)?;
        // A person who waits wants to see a refusal at once.
        config.default_retry = false;
        let namespace = access.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            timeout: access.request_timeout.unwrap_or(TIMEOUT),
            certificate: OwnCertificate::of(&config.auth_info),
            client: connect::client(config, USER_AGENT)?,
        })
    }
}

fn config(access: &PersonAccess) -> Result<Config, ConnectError> {
    let (set, home) = (env::var_os("KUBECONFIG"), env::home_dir());
    let said = &access.overrides;
    let failed = |error: KubeconfigProblem, files: &[PathBuf]| match &said.context {
        Some(context) if access.kubeconfig.is_none() => unusable(context, error),
        _ => UnusableKubeconfig::of(files, error).into(),
    };
    match files(access, set.as_deref(), home)? {
        Some(files) => {
            let read = kubeconfig::read(&files)?;
            let made = kubeconfig::config(read, said);
            let mut config = made.map_err(|error| match error {
                KubeconfigProblem::Contradiction(words) => ConnectError::Flags(words),
                error => failed(error, &files),
            })?;
            if access.kubeconfig.is_none() && said.context.is_none() {
                // As kube does without overrides.
                config.apply_debug_overrides();
            }
            Ok(config)
        }
        None if said.server.is_some() => {
            let made = kubeconfig::config(Kubeconfig::default(), said);
            made.map_err(ConnectError::Said)
        }
        None => Config::incluster().map_err(ConnectError::Infer),
    }
}

/// The kubeconfigs to read. A context always belongs to a kubeconfig.
fn files(
    access: &PersonAccess,
    set: Option<&OsStr>,
    home: Option<PathBuf>,
) -> Result<Option<Vec<PathBuf>>, ConnectError> {
    let found = kubeconfig::files(access.kubeconfig.as_deref(), set, home);
    match (found, &access.overrides.context) {
        (None, Some(context)) => Err(unusable(context, KubeconfigError::FindPath.into())),
        (found, _) => Ok(found),
    }
}

fn unusable(context: &str, error: KubeconfigProblem) -> ConnectError {
    ConnectError::Context {
        context: context.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;

    use super::*;

    const NOTHING: Option<&OsStr> = None;

    /// A kubeconfig with one context.
    fn kubeconfig(folder: &Path, name: &str, current: bool) -> PathBuf {
        let current = match current {
            true => format!("current-context: {name}"),
            false => String::new(),
        };
        let text = format!(
            "apiVersion: v1\nkind: Config\n{current}\n\
             clusters: [{{name: {name}, cluster: {{server: 'https://{name}.example'}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, namespace: team-{name}}}}}]\n"
        );
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn list(paths: &[&Path]) -> OsString {
        env::join_paths(paths).unwrap()
    }

    #[test]
    fn a_file_of_the_list_that_is_missing_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let first = kubeconfig(folder.path(), "a", false);
        let second = kubeconfig(folder.path(), "b", true);
        let access = PersonAccess::default();
        let set = list(&[&gone, Path::new(""), &first, &second]);
        let files = files(&access, Some(&set), None).unwrap().unwrap();
        assert_eq!(files, [gone.clone(), first, second]);
        let merged = kubeconfig::read(&files).unwrap();
        assert_eq!(merged.contexts.len(), 2);
        assert_eq!(merged.current_context.as_deref(), Some("b"));
        let told = kubeconfig::read(&[gone]).unwrap_err().to_string();
        assert!(told.contains("gone"), "not one of them is there: {told}");
    }

    #[test]
    fn a_file_that_is_broken_is_named_and_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let good = kubeconfig(folder.path(), "good", true);
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "clusters: {{").unwrap();
        let told = kubeconfig::read(&[good, broken]).unwrap_err().to_string();
        assert!(told.contains("broken: failed to parse"), "{told}");
    }

    #[test]
    fn only_who_has_no_kubeconfig_may_be_a_pod() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let access = PersonAccess::default();
        let found = |set| files(&access, set, Some(home.clone())).unwrap();
        assert_eq!(found(NOTHING), None);
        assert_eq!(found(Some(OsStr::new(""))), None);
        assert!(found(Some(OsStr::new("/gone"))).is_some());
        std::fs::create_dir(home.join(".kube")).unwrap();
        std::fs::write(home.join(".kube/config"), "clusters: {{").unwrap();
        assert_eq!(found(NOTHING), Some(vec![home.join(".kube/config")]));
    }

    #[test]
    fn who_asks_for_a_context_is_taken_to_no_other_cluster() {
        let overrides = Overrides {
            context: Some("prod".into()),
            ..Overrides::default()
        };
        let access = PersonAccess {
            overrides,
            ..PersonAccess::default()
        };
        let told = files(&access, NOTHING, None).unwrap_err().to_string();
        assert!(told.contains("\"prod\""), "{told}");
    }

    #[test]
    fn what_is_wrong_is_said_of_the_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let access = PersonAccess {
            kubeconfig: Some(kubeconfig(folder.path(), "idle", false)),
            ..PersonAccess::default()
        };
        let told = config(&access).unwrap_err().to_string();
        assert!(told.contains("idle: no current context is set"), "{told}");
    }
}
