//! The plugin's manifest for krew, the plugin manager of kubectl.

use anyhow::{Context, Result};
use keyloan_artifact::{Target, VERSION, sha256};
use serde::Serialize;

use crate::Release;
use crate::plugin;

/// The name of the file. krew takes the plugin's name from it.
pub const FILE: &str = "keyloan.yaml";

/// krew asks for a few words: they are a column of `kubectl krew search`.
const SHORT: &str = "Borrow 1Password items for a while";
const LONG: &str = "\
Ask for an item of 1Password, approve what others ask for, open the links of
your loans, and give the items back. The cluster needs Keyloan's operator.
";
const CAVEATS: &str = "\
To complete `kubectl keyloan` in each shell that completes kubectl, save the
output of `kubectl keyloan completion kubectl` as kubectl_complete-keyloan in a
folder of your PATH and make it executable.
";

/// The manifest, for archives that are files of the release of this version in `source`.
pub fn manifest(release: &Release, targets: &[Target], source: &str) -> Result<String> {
    let platforms = targets.iter().map(|target| {
        let name = plugin::file_name(*target);
        let archive = release.get(&name).context("the archive was not made")?;
        Ok(Platform {
            selector: Selector {
                match_labels: Machine {
                    os: target.os().name(),
                    arch: target.arch(),
                },
            },
            uri: format!("{source}/releases/download/v{VERSION}/{name}"),
            sha256: sha256(archive),
            bin: plugin::program_name(*target),
        })
    });
    let manifest = Manifest {
        api_version: "krew.googlecontainertools.github.com/v1alpha2",
        kind: "Plugin",
        metadata: Metadata { name: "keyloan" },
        spec: Spec {
            version: format!("v{VERSION}"),
            homepage: source,
            short_description: SHORT,
            description: LONG,
            caveats: CAVEATS,
            platforms: platforms.collect::<Result<_>>()?,
        },
    };
    Ok(serde_saphyr::to_string(&manifest)?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    version: String,
    homepage: &'a str,
    short_description: &'a str,
    description: &'a str,
    caveats: &'a str,
    platforms: Vec<Platform<'a>>,
}

/// An archive, and the machines that it is for.
#[derive(Serialize)]
struct Platform<'a> {
    selector: Selector<'a>,
    uri: String,
    sha256: String,
    bin: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Selector<'a> {
    match_labels: Machine<'a>,
}

#[derive(Serialize)]
struct Machine<'a> {
    os: &'a str,
    arch: &'a str,
}
