//! The 1Password SDK core: one WebAssembly file from the Go SDK's module, pinned by checksum.

use std::io::{Cursor, Read};
use std::path::PathBuf;

use crate::cache::{self, CacheError};
use crate::module_proxy::{self, ProxyError};
use crate::progress;

const MODULE: &str = "github.com/1password/onepassword-sdk-go";
/// The version of the SDK that the core comes from.
pub const CORE_VERSION: &str = "v0.4.1";
const FILE: &str = "internal/wasm/core.wasm";
const ZIP_SHA256: &str = "d98c27f808ad845cb3ec91eef05b559839bb6f425c951a374b87653e973f6264";
const CORE_SHA256: &str = "23d115f4ac7519b48172df3e8615945572dbda7033d51b44c9490fd533ae0f23";

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
        "{what} of {MODULE} {CORE_VERSION} has sha256 {found}, expected {expected}: the proxy in \
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
    #[error("cannot extract {FILE} from the zip of {MODULE} {CORE_VERSION}: {0}")]
    Zip(String),
}

/// The path of the unmodified `core.wasm`, fetched if it is not in the cache yet.
///
/// Every call checks it against the pinned checksum, and fetches a damaged file again. Once the
/// file is in the cache, this uses no network.
pub async fn core_wasm() -> Result<PathBuf, CoreError> {
    let folder = cache::cache_dir()?.join("core").join(CORE_VERSION);
    let path = folder.join("core.wasm");
    let good = || -> Result<bool, CacheError> {
        Ok(cache::sha256_of_file(&path)?.as_deref() == Some(CORE_SHA256))
    };
    if good()? {
        return Ok(path);
    }
    let _lock = cache::lock(&folder).await?;
    if !good()? {
        progress::say(&format!(
            "fetching the 1Password SDK core ({MODULE} {CORE_VERSION}, 3 MB)"
        ));
        let zip = module_proxy::fetch_zip(MODULE, CORE_VERSION).await?;
        check("the zip", &zip, ZIP_SHA256)?;
        let core = unzip(zip)?;
        check(FILE, &core, CORE_SHA256)?;
        cache::write(&path, &core)?;
    }
    Ok(path)
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

fn unzip(zip: Vec<u8>) -> Result<Vec<u8>, CoreError> {
    let name = format!("{MODULE}@{CORE_VERSION}/{FILE}");
    let broken = |error: &dyn std::fmt::Display| CoreError::Zip(error.to_string());
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|error| broken(&error))?;
    let mut file = archive.by_name(&name).map_err(|error| broken(&error))?;
    let mut core = Vec::new();
    file.read_to_end(&mut core)
        .map_err(|error| broken(&error))?;
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_core_is_the_pinned_one() {
        let path = core_wasm().await.unwrap();
        assert_eq!(
            cache::sha256_of_file(&path).unwrap().as_deref(),
            Some(CORE_SHA256)
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
