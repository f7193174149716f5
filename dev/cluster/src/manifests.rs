//! Applies manifests of many documents, and returns when they are in force: CRDs are served,
//! admission policies act.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiCapabilities, Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::Value;

use crate::binaries::admission_version;
use crate::policies::{self, PolicyError};
use crate::wait::{TimedOut, wait_until};

/// The owner of the fields that are applied here.
const FIELD_MANAGER: &str = "keyloan-cluster";

/// The suffix of the names of Keyloan's CRDs.
const OUR_GROUP: &str = ".keyloan.dev";

/// How long a new kind may take until it is served.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// Why manifests could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file could not be read.
    #[error("cannot read the manifests in {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A document is not a Kubernetes object.
    #[error("a manifest is not a Kubernetes object: {0}")]
    NotAnObject(String),
    /// The API server rejected an object.
    #[error("cannot apply {object}: {source}")]
    Refused {
        /// Kind and name.
        object: String,
        /// Why it failed.
        source: Box<kube::Error>,
    },
    /// A CRD was stored but is not served.
    #[error(transparent)]
    NotServed(#[from] TimedOut),
    /// It is unknown whether the policies are in force.
    #[error(transparent)]
    Policies(#[from] PolicyError),
}

/// Applies all `*.yaml` files of a folder in the order of their names; does nothing if the folder
/// does not exist.
pub async fn apply_folder(
    client: &Client,
    folder: &Path,
) -> Result<Vec<DynamicObject>, ManifestError> {
    apply_yaml(client, &read_folder(folder)?).await
}

/// All `*.yaml` files of a folder, as one text of many documents.
pub fn read_folder(folder: &Path) -> Result<String, ManifestError> {
    let failed = |source| ManifestError::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        entries => entries.map_err(failed)?,
    };
    let paths: io::Result<Vec<PathBuf>> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect();
    let mut paths = paths.map_err(failed)?;
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    let texts: io::Result<Vec<String>> = paths.iter().map(fs::read_to_string).collect();
    Ok(texts.map_err(failed)?.join("\n---\n"))
}

/// Applies each document (server-side, taking over fields of others) and returns the resulting
/// objects.
///
/// It waits for CRDs before it applies anything else, so objects of their kinds may follow. It
/// waits for admission policies at the end. It leaves mutating policies out where the API server has
/// none, as the chart does.
///
/// ```no_run
/// # async fn example(client: kube::Client) -> Result<(), keyloan_cluster::ManifestError> {
/// let text = "{apiVersion: v1, kind: Namespace, metadata: {name: team-a}}";
/// let applied = keyloan_cluster::apply_yaml(&client, text).await?;
/// # Ok(())
/// # }
/// ```
pub async fn apply_yaml(client: &Client, text: &str) -> Result<Vec<DynamicObject>, ManifestError> {
    let mut kinds = Kinds {
        client,
        known: HashMap::new(),
    };
    let mut applied = Vec::new();
    let mut new_kinds = Vec::new();
    for mut object in parse(text)? {
        let is_kind = kind(&object) == "CustomResourceDefinition";
        if !is_kind {
            wait_until_served(&mut new_kinds).await?;
        }
        if kind(&object).starts_with("MutatingAdmissionPolicy")
            && !policies::has_mutating_policies(client)
                .await
                .map_err(|source| refused(&object, source))?
        {
            continue;
        }
        if let Some(types) = &mut object.types
            && let Some((group, "v1")) = types.api_version.split_once('/')
        {
            types.api_version = format!("{group}/{}", admission_version(&types.kind));
        }
        let api = kinds.api(&object).await?;
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let name = object.metadata.name.clone().unwrap_or_default();
        let patched = api.patch(&name, &parameters, &Patch::Apply(&object)).await;
        applied.push(patched.map_err(|source| refused(&object, source))?);
        if is_kind {
            new_kinds.push((api, name));
        }
    }
    wait_until_served(&mut new_kinds).await?;
    let is_policy = |object: &DynamicObject| kind(object).contains("AdmissionPolicy");
    if applied.iter().any(is_policy) {
        policies::wait_until_in_force(client).await?;
    }
    Ok(applied)
}

/// Parses a text of many documents; leaves out empty documents.
pub(crate) fn parse(text: &str) -> Result<Vec<DynamicObject>, ManifestError> {
    let wrong = |error: &dyn std::fmt::Display| ManifestError::NotAnObject(error.to_string());
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| wrong(&error))?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(|document| {
            let object: DynamicObject =
                serde_json::from_value(document).map_err(|error| wrong(&error))?;
            match (&object.types, &object.metadata.name) {
                (Some(_), Some(_)) => Ok(object),
                _ => Err(wrong(&"it needs apiVersion, kind and metadata.name")),
            }
        })
        .collect()
}

/// The API resources of the kinds in use; each kind is looked up once.
pub(crate) struct Kinds<'a> {
    client: &'a Client,
    known: HashMap<GroupVersionKind, (ApiResource, ApiCapabilities)>,
}

impl Kinds<'_> {
    async fn api(&mut self, object: &DynamicObject) -> Result<Api<DynamicObject>, ManifestError> {
        let types = object.types.clone().unwrap_or_default();
        let kind = GroupVersionKind::try_from(&types)
            .map_err(|error| ManifestError::NotAnObject(error.to_string()))?;
        let (resource, capabilities) = match self.known.get(&kind) {
            Some(known) => known.clone(),
            None => {
                let found = look_up(self.client, &kind)
                    .await
                    .map_err(|source| refused(object, source))?;
                self.known.insert(kind, found.clone());
                found
            }
        };
        let client = self.client.clone();
        let namespace = object.metadata.namespace.as_deref();
        Ok(match (capabilities.scope, namespace) {
            (Scope::Cluster, _) => Api::all_with(client, &resource),
            (Scope::Namespaced, Some(name)) => Api::namespaced_with(client, name, &resource),
            (Scope::Namespaced, None) => Api::default_namespaced_with(client, &resource),
        })
    }
}

/// Discovery may list a new kind a moment after the API server serves it.
async fn look_up(
    client: &Client,
    kind: &GroupVersionKind,
) -> Result<(ApiResource, ApiCapabilities), kube::Error> {
    let mut last = None;
    for _ in 0..50 {
        match pinned_kind(client, kind).await {
            Ok(found) => return Ok(found),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    match last {
        Some(error) => Err(error),
        None => pinned_kind(client, kind).await,
    }
}

/// Waits for Keyloan's kinds that somebody else installed.
pub(crate) async fn wait_until_ours_are_served(client: &Client) -> Result<(), ManifestError> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let failed = |source| ManifestError::Refused {
        object: "the list of CustomResourceDefinitions".into(),
        source: Box::new(source),
    };
    let (resource, _) = look_up(client, &kind).await.map_err(failed)?;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let listed = api.list(&ListParams::default()).await.map_err(failed)?;
    let names = listed.into_iter().filter_map(|found| found.metadata.name);
    let ours = names.filter(|name| name.ends_with(OUR_GROUP));
    wait_until_served(&mut ours.map(|name| (api.clone(), name)).collect()).await
}

/// Waits for the CRDs that were applied, by name, and empties the list.
async fn wait_until_served(
    definitions: &mut Vec<(Api<DynamicObject>, String)>,
) -> Result<(), ManifestError> {
    for (api, name) in definitions.drain(..) {
        let established = async || {
            let found = api.get(&name).await.ok()?;
            let conditions = found.data.pointer("/status/conditions")?.as_array()?;
            let is_established = |condition: &&Value| {
                condition["type"] == "Established" && condition["status"] == "True"
            };
            conditions.iter().find(is_established).map(|_| ())
        };
        let what = format!("the CRD {name} is served");
        wait_until(what, SERVED_WITHIN, established).await?;
    }
    Ok(())
}

fn refused(object: &DynamicObject, source: kube::Error) -> ManifestError {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    ManifestError::Refused {
        object: format!("{} {name}", kind(object)),
        source: Box::new(source),
    }
}

fn kind(object: &DynamicObject) -> &str {
    object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_empty_ones_left_out() {
        let text = "---\n# nothing\n---\nkind: Namespace\napiVersion: v1\nmetadata: {name: a}\n---\n\
                    {apiVersion: v1, kind: ConfigMap, metadata: {name: b}, data: {k: v}}\n";
        let objects = parse(text).unwrap();
        let names: Vec<&str> = objects
            .iter()
            .filter_map(|o| o.metadata.name.as_deref())
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let error = parse("{apiVersion: v1, kind: ConfigMap}")
            .unwrap_err()
            .to_string();
        assert!(error.contains("metadata.name"), "{error}");
        assert!(parse("just text").is_err());
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.yaml", "b: 1"), ("a.yaml", "a: 1"), ("c.txt", "c: 1")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(read_folder(folder.path()).unwrap(), "a: 1\n---\nb: 1");
        assert_eq!(read_folder(&folder.path().join("absent")).unwrap(), "");
    }
}
