//! The manifests that a cluster needs before the operator can run: the CRDs and the admission policies.
//!
//! `keyloan manifests` writes them to `crds/`, where they are committed:
//!
//! ```
//! use keyloan::manifests::{Boundary, files};
//!
//! let files = files(&Boundary::default()).unwrap();
//! assert!(files.iter().any(|file| file.name == "accessgrants.yaml"));
//! ```

mod chart;
mod crds;
mod forms;
mod policies;
mod releases;
mod schema;
mod yaml;

use std::path::Path;

use serde_json::Value;

pub use chart::{templates, write_templates};
pub use crds::crds;
pub use policies::{
    Boundary, EMAIL_VARIABLES, IDENTITY_POLICIES, LINKS_VARIABLE, Operator, USERNAME_VARIABLES,
    link_entry, mutating_policies, validating_policies,
};
pub use releases::Releases;

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
        yaml::documents(&self.objects).map_err(|source| ManifestError::Serialise {
            file: self.name.clone(),
            source,
        })
    }
}

/// Why the manifests could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A typed object could not be turned into JSON, or had not the expected form.
    #[error("cannot build the manifest of {what}: {why}; this is a defect, please report it")]
    Build {
        /// The object.
        what: String,
        /// What was wrong.
        why: String,
    },
    /// An object could not be written as YAML.
    #[error("cannot write {file} as YAML: {source}; this is a defect, please report it")]
    Serialise {
        /// The file.
        file: String,
        /// The serialiser's own words.
        source: serde_saphyr::ser::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}; check that the folder exists and is yours to write")]
    Write {
        /// The file.
        path: String,
        /// The system's own words.
        source: std::io::Error,
    },
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

fn write_file(folder: &Path, name: &str, text: &str) -> Result<(), ManifestError> {
    let write_error = |path: &Path| {
        let path = path.display().to_string();
        move |source| ManifestError::Write { path, source }
    };
    std::fs::create_dir_all(folder).map_err(write_error(folder))?;
    let path = folder.join(name);
    std::fs::write(&path, text).map_err(write_error(&path))
}
