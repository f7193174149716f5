//! The 1Password SDK core: one WebAssembly file from the Go SDK's module, pinned by checksum.

use std::io::{Cursor, Read};
use std::path::PathBuf;

use crate::cache::{self, CacheError};
use crate::module_proxy::{self, ProxyError};
use crate::progress;

/// The Go module that the core comes from.
pub const CORE_MODULE: &str = "github.com/1password/onepassword-sdk-go";
/// The version of the SDK that the core comes from.
pub const CORE_VERSION: &str = "v0.4.1";
const ZIP_SHA256: &str = "d98c27f808ad845cb3ec91eef05b559839bb6f425c951a374b87653e973f6264";

/// The SHA-256 of the core.
pub const CORE_SHA256: &str = CORE.sha256;

/// A file of the module.
struct Part {
    /// Its name in the cache.
    name: &'static str,
    file: &'static str,
    sha256: &'static str,
}

const CORE: Part = Part {
    name: "core.wasm",
    file: "internal/wasm/core.wasm",
    sha256: "23d115f4ac7519b48172df3e8615945572dbda7033d51b44c9490fd533ae0f23",
};
const LICENSE: Part = Part {
    name: "LICENSE",
    file: "LICENSE",
    sha256: "73640cd487337718201bbec4ae0b9bcdac152192ddf263d927e27a98a30da6b1",
};

/// Why the core could not be provided.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The cache folder could not be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No module proxy returned the module.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The fetched file is not the pinned one.
    #[error(
        "{what} of {CORE_MODULE} {CORE_VERSION} has sha256 {found}, expected {expected}: the proxy in \
         GOPROXY serves another file; use another proxy"
    )]
    Checksum {
        /// The file that was checked.
        what: &'static str,
        /// Its checksum.
        found: String,
        /// The pinned one.
        expected: &'static str,
    },
    /// The module's zip could not be read.
    #[error("cannot extract {file} from the zip of {CORE_MODULE} {CORE_VERSION}: {why}")]
    Zip {
        /// The file.
        file: &'static str,
        /// The cause.
        why: String,
    },
}

/// The path of the unmodified `core.wasm`, fetched if it is not in the cache yet.
///
/// Every call checks it against the pinned checksum, and fetches a damaged file again. Once the
/// file is in the cache, this uses no network.
pub async fn core_wasm() -> Result<PathBuf, CoreError> {
    CORE.find().await
}

/// The path of the license of the core, which everything that contains the core has to contain,
/// too; fetched and checked as the core is.
pub async fn core_license() -> Result<PathBuf, CoreError> {
    LICENSE.find().await
}

impl Part {
    async fn find(&self) -> Result<PathBuf, CoreError> {
        let folder = cache::cache_dir()?.join("core").join(CORE_VERSION);
        let path = folder.join(self.name);
        let good = || -> Result<bool, CacheError> {
            Ok(cache::sha256_of_file(&path)?.as_deref() == Some(self.sha256))
        };
        if good()? {
            return Ok(path);
        }
        let _lock = cache::lock(&folder).await?;
        if !good()? {
            progress::say(&format!(
                "fetching the 1Password SDK core ({CORE_MODULE} {CORE_VERSION}, 3 MB)"
            ));
            let zip = module_proxy::fetch_zip(CORE_MODULE, CORE_VERSION).await?;
            check("the zip", &zip, ZIP_SHA256)?;
            let content = self.unzip(zip)?;
            check(self.file, &content, self.sha256)?;
            cache::write(&path, &content)?;
        }
        Ok(path)
    }

    fn unzip(&self, zip: Vec<u8>) -> Result<Vec<u8>, CoreError> {
        let file = self.file;
        let name = format!("{CORE_MODULE}@{CORE_VERSION}/{file}");
        let broken = |error: &dyn std::fmt::Display| CoreError::Zip {
            file,
            why: error.to_string(),
        };
        let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| broken(&error))?;
        let mut found = archive.by_name(&name).map_err(|error| broken(&error))?;
        let mut content = Vec::new();
        found
            .read_to_end(&mut content)
            .map_err(|error| broken(&error))?;
        Ok(content)
    }
}

fn check(what: &'static str, bytes: &[u8], expected: &'static str) -> Result<(), CoreError> {
    let found = cache::sha256(bytes);
    if found == expected {
        Ok(())
    } else {
        Err(CoreError::Checksum {
            what,
            found,
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_core_is_the_pinned_one() {
        let path = core_wasm().await.unwrap();
        assert_eq!(
            cache::sha256_of_file(&path).unwrap().as_deref(),
            Some(CORE.sha256)
        );
    }

    #[test]
    fn another_file_is_refused_with_both_checksums() {
        let error = check("the zip", b"abc", ZIP_SHA256)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("ba7816bf") && error.contains(ZIP_SHA256),
            "{error}"
        );
    }
}
