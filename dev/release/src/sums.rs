//! The checksums of all files of a release, as `sha256sum --check` reads them.

use keyloan_artifact::sha256;

use crate::Release;

/// The name of the file.
pub const FILE: &str = "SHA256SUMS";

/// A line for each file.
pub fn of(release: &Release) -> String {
    let line = |(name, content): (&String, &Vec<u8>)| format!("{}  {name}\n", sha256(content));
    release.iter().map(line).collect()
}
