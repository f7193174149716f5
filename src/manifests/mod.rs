//! The manifests that a cluster needs before the operator can run: the CRDs and the admission
//! policies.
//!
//! `keyloan manifests` writes them to `crds/`, which is committed:
//!
//! ```
//! use keyloan::manifests::{Boundary, files};
//!
//! let files = files(&Boundary::default()).unwrap();
//! assert!(files.iter().any(|file| file.name == "accessgrants.yaml"));
//! ```

mod chart;
mod config_chart;
mod crds;
mod error;
mod files;
mod policies;

pub use chart::{templates, write_templates};
pub use config_chart::{config_schema, write_config_schema};
pub use crds::crds;
pub use error::ManifestError;
pub use files::{File, files, write};
pub use policies::{
    Boundary, EMAIL_VARIABLES, IDENTITY_POLICIES, LINKS_VARIABLE, Operator, Releases,
    USERNAME_VARIABLES, link_entry, mutating_policies, validating_policies,
};
