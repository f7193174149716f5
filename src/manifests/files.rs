//! The files in `crds/`: YAML text that is the same on every machine and in every build.

use std::path::Path;

use serde_json::{Map, Value};

use super::crds::crds;
use super::error::ManifestError;
use super::policies::{Boundary, mutating_policies, validating_policies};

const ORIGIN: &str = "# Written by `keyloan manifests`; change the code, not this file.\n";

/// One file of manifests.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The name of the file, without a folder.
    pub name: String,
    /// The objects in it, in the order in which they are to be applied.
    pub objects: Vec<Value>,
}

impl File {
    /// What the file holds, as YAML, with a first line that says where it comes from.
    pub fn to_yaml(&self) -> Result<String, ManifestError> {
        documents(&self.objects).map_err(|source| ManifestError::Serialise {
            file: self.name.clone(),
            source,
        })
    }
}

/// All files, in the order in which they are to be applied: kinds first, then the policies over them.
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
    Ok(files)
}

/// Write all files into a folder, which is made if need be.
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

/// The objects as one YAML file: a document each, keys in alphabetical order.
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
/// serde_json keeps that order by itself unless some crate of the build turns its `preserve_order` on.
fn sorted(value: &Value) -> Value {
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
