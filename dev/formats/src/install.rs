//! The packages that judge, and the check that uses them.

use std::path::PathBuf;

use anyhow::Result;
use keyloan_cluster::{Packages, cache_dir};

/// What to do if a program is missing.
pub const NEEDS: &str = "install Node.js 20 or newer with npm";

const PACKAGES: Packages<'static> = Packages {
    name: "node",
    files: &[
        ("package.json", include_str!("../node/package.json")),
        (
            "package-lock.json",
            include_str!("../node/package-lock.json"),
        ),
        ("check.mjs", include_str!("../node/check.mjs")),
    ],
    version: &[],
    install: &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    needs: NEEDS,
};

/// The folder with the check and its packages.
pub fn folder() -> Result<PathBuf> {
    Ok(PACKAGES.folder(&cache_dir()?.join("formats"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_has_a_checksum_and_comes_from_no_named_host() {
        let [_, (_, lock), _] = PACKAGES.files else {
            panic!("other files");
        };
        let packages = lock.matches("\"node_modules/").count();
        assert!(packages >= 4);
        assert_eq!(lock.matches("\"integrity\": \"sha512-").count(), packages);
        assert!(!lock.contains("resolved"));
    }
}
