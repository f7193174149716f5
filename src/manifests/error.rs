//! Why manifests cannot be made or written.

/// Why the manifests could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A typed object could not be turned into JSON, or had not the expected form.
    #[error(
        "cannot build the manifest of {what}: {why}; this is a bug in Keyloan, please report it"
    )]
    Build {
        /// The object.
        what: String,
        /// What was wrong.
        why: String,
    },
    /// An object could not be written as YAML.
    #[error("cannot write {file} as YAML: {source}; this is a bug in Keyloan, please report it")]
    Serialise {
        /// The file.
        file: String,
        /// The serialiser's own words.
        source: serde_saphyr::ser::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}; check that the folder exists and is writable")]
    Write {
        /// The file.
        path: String,
        /// The system's own words.
        source: std::io::Error,
    },
}
