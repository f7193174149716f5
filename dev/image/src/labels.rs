//! The labels that say what the image is, where it comes from, and which source it was made of.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context, Result};
use jiff::Timestamp;
use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REF_NAME,
    ANNOTATION_REVISION, ANNOTATION_SOURCE, ANNOTATION_TITLE, ANNOTATION_URL, ANNOTATION_VERSION,
};

use crate::program::workspace;

/// The version of the operator.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The name of an image within its layout.
pub const REFERENCE: &str = ANNOTATION_REF_NAME;

/// The chart's own metadata name the same site.
const HOME: &str = "https://keyloan.dev";

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
        (ANNOTATION_URL, Some(HOME)),
        (ANNOTATION_CREATED, Some(&*created)),
        (ANNOTATION_REVISION, revision),
        (ANNOTATION_SOURCE, source),
    ];
    let known = labels.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect()
}

/// The time that the image bears: that of `SOURCE_DATE_EPOCH`, else that of the commit.
pub fn time() -> Result<Timestamp> {
    let seconds = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds,
        Err(_) => git(&["log", "-1", "--format=%ct"]).context(
            "SOURCE_DATE_EPOCH is not set, and git does not know the time of this commit: set it to the seconds since 1970 that the image is to bear",
        )?,
    };
    let seconds = seconds.trim().parse();
    let seconds = seconds.context("SOURCE_DATE_EPOCH is not a number of seconds")?;
    Ok(Timestamp::from_second(seconds)?)
}

/// The commit, if git knows it; one with changes that are not committed says so.
pub fn revision() -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain"])?;
    let dirty = if changes.is_empty() { "" } else { "-dirty" };
    Some(format!("{commit}{dirty}"))
}

fn git(arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(arguments)
        .current_dir(workspace())
        .output()
        .ok()?;
    let said = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| said.trim().to_owned())
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
