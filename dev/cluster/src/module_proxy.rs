//! Fetches a Go module as a zip through the module proxy protocol, without Go.
//!
//! It asks the proxies that Go would ask: `GOPROXY`, else the output of `go env GOPROXY`, else
//! proxy.golang.org. <https://go.dev/ref/mod#goproxy-protocol>

use std::time::Duration;
use std::{env, fmt, fs, process};

use reqwest::StatusCode;
use url::Url;

/// Go's default.
const DEFAULT: &str = "https://proxy.golang.org,direct";

/// No proxy has returned the module.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot fetch the Go module {module} {version}:{}\nset GOPROXY to a Go module proxy that this \
     machine reaches (now: {setting})",
    attempts.iter().map(|attempt| format!("\n  {attempt}")).collect::<String>()
)]
pub struct ProxyError {
    module: String,
    version: String,
    setting: String,
    attempts: Vec<String>,
}

/// One entry of GOPROXY, and whether the next one is asked only when this one does not know the module (404, 410).
#[derive(Debug, PartialEq)]
struct Entry<'a> {
    source: &'a str,
    next_only_if_absent: bool,
}

/// Downloads the zip of a module's version from the first proxy that has it. The caller checks the checksum.
pub(crate) async fn fetch_zip(module: &str, version: &str) -> Result<Vec<u8>, ProxyError> {
    fetch_from(&setting(), module, version).await
}

async fn fetch_from(setting: &str, module: &str, version: &str) -> Result<Vec<u8>, ProxyError> {
    let mut attempts = Vec::new();
    for entry in entries(setting) {
        let failure = match entry.source {
            "direct" => {
                Failure::Skipped("direct: skipped, Keyloan asks only module proxies".into())
            }
            "off" => Failure::Skipped("off: skipped, this setting forbids downloads".into()),
            base => match from_proxy(base, module, version).await {
                Ok(zip) => return Ok(zip),
                Err(failure) => failure,
            },
        };
        attempts.push(failure.to_string());
        if entry.next_only_if_absent && matches!(failure, Failure::Other(_)) {
            break;
        }
    }
    Err(ProxyError {
        module: module.to_owned(),
        version: version.to_owned(),
        setting: shown_setting(setting),
        attempts,
    })
}

/// The value of GOPROXY for Go on this machine.
fn setting() -> String {
    let from_go = || {
        let output = process::Command::new("go")
            .args(["env", "GOPROXY"])
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    env::var("GOPROXY")
        .ok()
        .filter(|value| !value.is_empty())
        .or_else(from_go)
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// The entries of GOPROXY in their order. After a comma, the next one is asked only if the module
/// is absent; after a bar, always.
fn entries(setting: &str) -> Vec<Entry<'_>> {
    setting
        .split_inclusive([',', '|'])
        .map(|part| Entry {
            source: part.trim_end_matches([',', '|']).trim(),
            next_only_if_absent: !part.ends_with('|'),
        })
        .filter(|entry| !entry.source.is_empty())
        .collect()
}

/// Why one proxy did not return the zip.
enum Failure {
    /// The entry is not a proxy.
    Skipped(String),
    /// The proxy does not have the module.
    Absent(String),
    /// The proxy was not reachable, or failed.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Skipped(text) | Failure::Absent(text) | Failure::Other(text)) = self;
        formatter.write_str(text)
    }
}

async fn from_proxy(base: &str, module: &str, version: &str) -> Result<Vec<u8>, Failure> {
    let shown = shown(base);
    let other = |why: &dyn fmt::Display| Failure::Other(format!("{shown}: {why}"));
    let path = format!("{}/@v/{}.zip", escaped(module), escaped(version));
    let url = Url::parse(&format!("{}/{path}", base.trim_end_matches('/')))
        .map_err(|error| other(&error))?;
    if url.scheme() == "file" {
        let file = url
            .to_file_path()
            .map_err(|()| other(&"not a path on this machine"))?;
        return fs::read(&file).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::Absent(format!("{shown}: {path} does not exist"))
            }
            _ => other(&error),
        });
    }
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(60))
        .build()
        .map_err(|error| other(&error))?;
    // The errors leave out the address, because it may contain a password.
    let answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| other(&chain(&error.without_url())))?;
    match answer.status() {
        StatusCode::OK => {
            let bytes = answer
                .bytes()
                .await
                .map_err(|error| other(&chain(&error.without_url())))?;
            Ok(bytes.into())
        }
        status @ (StatusCode::NOT_FOUND | StatusCode::GONE) => {
            Err(Failure::Absent(format!("{shown}: {status}")))
        }
        status => Err(other(&status)),
    }
}

/// An error with all its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// A path or version in the spelling of the protocol: `!a` for `A`, so that file systems that
/// ignore case tell them apart.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        if character.is_ascii_uppercase() {
            escaped.push('!');
        }
        escaped.push(character.to_ascii_lowercase());
        escaped
    })
}

/// An entry of GOPROXY that is safe to show: without the user and password that it may contain.
fn shown(source: &str) -> String {
    match Url::parse(source) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => source.to_owned(),
    }
}

fn shown_setting(setting: &str) -> String {
    let shown: Vec<String> = entries(setting)
        .iter()
        .map(|entry| shown(entry.source))
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_pass_on_what_is_absent_and_bars_pass_on_everything() {
        let found: Vec<(&str, bool)> = entries("https://a|https://b, direct")
            .into_iter()
            .map(|entry| (entry.source, entry.next_only_if_absent))
            .collect();
        assert_eq!(
            found,
            [("https://a", false), ("https://b", true), ("direct", true)]
        );
    }

    #[test]
    fn upper_case_is_escaped() {
        assert_eq!(
            escaped("github.com/Azure/go-SDK"),
            "github.com/!azure/go-!s!d!k"
        );
    }

    #[test]
    fn a_password_in_the_setting_is_never_shown() {
        let setting = "https://alice:s3cret@proxy.example.com/go|direct";
        assert_eq!(
            shown_setting(setting),
            "https://proxy.example.com/go direct"
        );
    }

    #[tokio::test]
    async fn the_next_proxy_is_asked_as_go_would_ask_it() {
        let folder = tempfile::tempdir().unwrap();
        let versions = folder.path().join("example.com/!mod/@v");
        fs::create_dir_all(&versions).unwrap();
        fs::write(versions.join("v1.0.0.zip"), "the zip").unwrap();
        let good = Url::from_directory_path(folder.path()).unwrap();
        let (absent, broken) = ("file:///does/not/exist", "http://127.0.0.1:1");
        let fetch = async |setting: String| fetch_from(&setting, "example.com/Mod", "v1.0.0").await;
        for setting in [
            format!("{good}"),
            format!("{absent},{good}"),
            format!("{broken}|{good}"),
            format!("direct,{good}"),
        ] {
            assert_eq!(
                fetch(setting.clone()).await.unwrap(),
                b"the zip",
                "{setting}"
            );
        }
        let error = fetch(format!("{broken},{good}"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("\n  http://127.0.0.1:1/: "), "{error}");
        let error = fetch("off".into()).await.unwrap_err().to_string();
        assert!(
            error.contains("off: skipped") && error.contains("set GOPROXY"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn an_unreachable_proxy_is_an_error_that_names_it() {
        let failure = from_proxy("http://127.0.0.1:1/go", "example.com/mod", "v1.0.0").await;
        let text = failure.err().unwrap().to_string();
        assert!(text.starts_with("http://127.0.0.1:1/go: "), "{text}");
    }
}
