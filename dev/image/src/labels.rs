//! The labels that say what the image is, where it comes from, and which source it was made of.

use std::collections::HashMap;

use jiff::Timestamp;
use keyloan_artifact::VERSION;
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REF_NAME,
    ANNOTATION_REVISION, ANNOTATION_SOURCE, ANNOTATION_TITLE, ANNOTATION_URL, ANNOTATION_VERSION,
};

/// The name of an image within its layout.
pub const REFERENCE: &str = ANNOTATION_REF_NAME;

/// Labels by their names.
pub type Labels = HashMap<String, String>;

/// The labels of an image that was made from this revision, in the repository `source`.
pub fn of(created: Timestamp, revision: Option<&str>, source: Option<&str>) -> Labels {
    let created = created.to_string();
    let labels = [
        (ANNOTATION_TITLE, Some("keyloan")),
        (
            ANNOTATION_DESCRIPTION,
            Some("A Kubernetes operator that lends 1Password items"),
        ),
        (ANNOTATION_VERSION, Some(VERSION)),
        (ANNOTATION_LICENSES, Some(env!("CARGO_PKG_LICENSE"))),
        (ANNOTATION_URL, source),
        (ANNOTATION_CREATED, Some(&*created)),
        (ANNOTATION_REVISION, revision),
        (ANNOTATION_SOURCE, source),
    ];
    let known = labels.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_its_version_license_and_revision() {
        let labels = of(Timestamp::UNIX_EPOCH, Some("abc"), None);
        assert_eq!(labels[ANNOTATION_VERSION], VERSION);
        assert_eq!(labels[ANNOTATION_LICENSES], "Apache-2.0");
        assert_eq!(labels[ANNOTATION_REVISION], "abc");
        assert_eq!(labels[ANNOTATION_CREATED], "1970-01-01T00:00:00Z");
        assert!(!labels.contains_key(ANNOTATION_SOURCE));
    }
}
