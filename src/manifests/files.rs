//! The files in `crds/`: YAML that is the same on every machine and in every build.

use std::path::Path;

use serde_json::{Map, Value};

use super::crds::crds;
use super::error::ManifestError;
use super::policies::{Boundary, mutating_policies, validating_policies};

/// The annotations that tell Flux and Argo CD to keep these objects when they leave Git, and Argo CD
/// also when its application is deleted: a cluster without the kinds loses every record, and without
/// the policies, nothing guards the remaining objects. In one application, Argo CD applies them
/// before the operator, which is in wave 0.
const FOR_GITOPS: [(&str, &str); 3] = [
    (
        "argocd.argoproj.io/sync-options",
        "Prune=false,Delete=false",
    ),
    ("argocd.argoproj.io/sync-wave", "-1"),
    ("kustomize.toolkit.fluxcd.io/prune", "disabled"),
];

const ORIGIN: &str = "# Written by `keyloan manifests`; change the code, not this file.\n";

/// One file of manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The name of the file, without a folder.
    pub name: String,
    /// The objects in it, in the order to apply them.
    pub objects: Vec<Value>,
}

impl File {
    /// The file's content as YAML, with a first line that names its origin.
    pub fn to_yaml(&self) -> Result<String, ManifestError> {
        documents(&self.objects).map_err(|source| ManifestError::Serialise {
            file: self.name.clone(),
            source,
        })
    }
}

/// All files, in the order to apply them: first the kinds, then the policies for them.
pub fn files(boundary: &Boundary) -> Result<Vec<File>, ManifestError> {
    let mut files = Vec::new();
    for (name, crd) in crds()? {
        files.push(File {
            name: format!("{name}.yaml"),
            objects: vec![crd],
        });
    }
    for (name, objects) in validating_policies(boundary)? {
        files.push(File {
            name: format!("policy-{name}.yaml"),
            objects,
        });
    }
    for (name, objects) in mutating_policies(boundary) {
        files.push(File {
            name: format!("policy-{name}-mutating.yaml"),
            objects,
        });
    }
    for object in files.iter_mut().flat_map(|file| &mut file.objects) {
        for (name, value) in FOR_GITOPS {
            object["metadata"]["annotations"][name] = value.into();
        }
    }
    Ok(files)
}

/// Writes all files into a folder, and creates it if needed.
pub fn write(folder: &Path, boundary: &Boundary) -> Result<(), ManifestError> {
    for file in files(boundary)? {
        write_file(folder, &file.name, &file.to_yaml()?)?;
    }
    Ok(())
}

pub(super) fn write_file(folder: &Path, name: &str, text: &str) -> Result<(), ManifestError> {
    let write_error = |path: &Path| {
        let path = path.display().to_string();
        move |source| ManifestError::Write { path, source }
    };
    std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(write_error(&path))
}

/// The objects as one YAML file: one document each, with sorted keys.
fn documents(objects: &[Value]) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 100 };
    let mut text = String::from(ORIGIN);
    for object in objects {
        text.push_str("---\n");
        text.push_str(&serde_saphyr::to_string_with_options(
            &sorted(object),
            options.clone(),
        )?);
    }
    Ok(text)
}

/// The same value with the keys of every object in alphabetical order.
///
/// serde_json does that itself, unless some crate of the build enables its `preserve_order`.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            Value::Object(
                members
                    .into_iter()
                    .map(|(k, v)| (k.clone(), sorted(v)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}
