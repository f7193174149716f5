//! How a person gets into the cluster: the kubeconfig, context and namespace that kubectl would use, too.

use std::env;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::Person;
use crate::cluster::connect::{self, ConnectError};
use crate::cluster::proxy;

/// By what name the API server's logs know this program.
const USER_AGENT: &str = concat!("kubectl-keyloan/", env!("CARGO_PKG_VERSION"));

/// What a person says about where to go; each has kubectl's default.
#[derive(Clone, Debug, Default)]
pub struct PersonAccess {
    /// The kubeconfig file.
    pub kubeconfig: Option<PathBuf>,
    /// A context of it.
    pub context: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

impl Person {
    /// Makes a client for a person; nothing is asked of the API server yet.
    pub async fn connect(access: &PersonAccess) -> Result<Self, ConnectError> {
        let mut config = config(access).await?;
        config.proxy_url = proxy::of(&config);
        let namespace = access.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            client: connect::client(config, USER_AGENT)?,
        })
    }
}

async fn config(access: &PersonAccess) -> Result<Config, ConnectError> {
    let (set, home) = (env::var_os("KUBECONFIG"), env::home_dir());
    let Some(files) = files(access, set.as_deref(), home)? else {
        return Config::infer().await.map_err(ConnectError::Infer);
    };
    let failed = |error| match (&access.kubeconfig, &access.context) {
        (None, Some(context)) => unusable(context, error),
        _ => ConnectError::Kubeconfig {
            path: together(&files),
            error,
        },
    };
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(read(&files)?, &options)
        .await
        .map_err(failed)?;
    if access.kubeconfig.is_none() && access.context.is_none() {
        // As kube does it where nothing is said.
        config.apply_debug_overrides();
    }
    Ok(config)
}

/// The kubeconfigs to read: what is named, else what KUBECONFIG lists, else the one at home. Only where there is none of them, and no
/// context is asked for, this may be a pod.
fn files(
    access: &PersonAccess,
    set: Option<&OsStr>,
    home: Option<PathBuf>,
) -> Result<Option<Vec<PathBuf>>, ConnectError> {
    if let Some(named) = &access.kubeconfig {
        return Ok(Some(vec![named.clone()]));
    }
    let listed = set.into_iter().flat_map(env::split_paths);
    let listed: Vec<_> = listed.filter(|path| !path.as_os_str().is_empty()).collect();
    if !listed.is_empty() {
        return Ok(Some(listed));
    }
    let own = home.map(|home| home.join(".kube").join("config"));
    // One that cannot be looked at is there: reading it says why.
    let own = own.filter(|path| path.try_exists().unwrap_or(true));
    match (own, &access.context) {
        (Some(own), _) => Ok(Some(vec![own])),
        (None, Some(context)) => Err(unusable(context, KubeconfigError::FindPath)),
        (None, None) => Ok(None),
    }
}

/// Reads and merges them. As for kubectl, some of a list may be missing; but not all.
fn read(files: &[PathBuf]) -> Result<Kubeconfig, ConnectError> {
    let mut merged: Option<Kubeconfig> = None;
    let mut missing = None;
    for path in files {
        let failed = |error| ConnectError::Kubeconfig {
            path: path.clone(),
            error,
        };
        let next = match Kubeconfig::read_from(path) {
            Err(error) if is_missing(&error) => {
                missing = missing.or(Some(failed(error)));
                continue;
            }
            read => read.map_err(failed)?,
        };
        // What an earlier file says holds.
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

fn unusable(context: &str, error: KubeconfigError) -> ConnectError {
    ConnectError::Context {
        context: context.to_owned(),
        error,
    }
}

/// How files that are merged are called in a message.
fn together(files: &[PathBuf]) -> PathBuf {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(" and ").into()
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
        let merged = read(&files).unwrap();
        assert_eq!(merged.contexts.len(), 2);
        assert_eq!(merged.current_context.as_deref(), Some("b"));
        let told = read(&[gone]).unwrap_err().to_string();
        assert!(told.contains("gone"), "not one of them is there: {told}");
    }

    #[test]
    fn a_file_that_is_broken_is_named_and_not_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let good = kubeconfig(folder.path(), "good", true);
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "clusters: {{").unwrap();
        let told = read(&[good, broken]).unwrap_err().to_string();
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
        let access = PersonAccess {
            context: Some("prod".into()),
            ..PersonAccess::default()
        };
        let told = files(&access, NOTHING, None).unwrap_err().to_string();
        assert!(told.contains("\"prod\""), "{told}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_of_the_file_that_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let access = PersonAccess {
            kubeconfig: Some(kubeconfig(folder.path(), "idle", false)),
            ..PersonAccess::default()
        };
        let told = config(&access).await.unwrap_err().to_string();
        assert!(told.contains("idle: failed to determine"), "{told}");
    }
}
