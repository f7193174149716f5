//! Why manifests cannot be generated or written.

/// Why manifests could not be generated or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A typed object could not be converted to JSON, or had an unexpected form.
    #[error(
        "cannot build the manifest of {what}: {why}; this is a bug in Keyloan, please report it"
    )]
    Build {
        /// The object.
        what: String,
        /// What went wrong.
        why: String,
    },
    /// An object could not be written as YAML.
    #[error("cannot write {file} as YAML: {source}; this is a bug in Keyloan, please report it")]
    Serialise {
        /// The file.
        file: String,
        /// The serializer's error.
        source: serde_saphyr::ser::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}; check that the folder exists and is writable")]
    Write {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
}
