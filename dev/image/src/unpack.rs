//! Reads an image back as an engine does: from the index by digests to the files, each part
//! checked.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use keyloan_artifact::sha256;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::DeserializeOwned;

use crate::layout::INDEX;
use crate::platform::Platform;

/// An image for one platform.
pub struct Image {
    /// What an engine needs to know to run it.
    pub configuration: ImageConfiguration,
    /// The size of its compressed layers, in bytes.
    pub compressed: usize,
    /// The size of its files, in bytes.
    pub unpacked: u64,
}

/// Unpacks the image of a layout for a platform into a new folder.
pub fn unpack(layout: &Path, platform: Platform, folder: &Path) -> Result<Image> {
    let index: ImageIndex = parsed(&read(&layout.join(INDEX))?)?;
    let manifest = find(layout, index, platform)?;
    let configuration: ImageConfiguration = parsed(&part(layout, manifest.config())?)?;
    ensure!(
        *configuration.architecture() == platform.architecture(),
        "the configuration is for another platform than its manifest"
    );
    fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (mut compressed, mut unpacked) = (0, 0);
    for layer in manifest.layers() {
        let bytes = part(layout, layer)?;
        compressed += bytes.len();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        archive.set_preserve_permissions(true);
        archive.set_preserve_ownerships(true);
        for entry in archive.entries()? {
            let mut entry = entry?;
            unpacked += entry.size();
            ensure!(entry.unpack_in(folder)?, "the layer leaves its folder");
        }
    }
    Ok(Image {
        configuration,
        compressed,
        unpacked,
    })
}

/// The manifest for a platform: in the list itself, or in a list that it names.
fn find(layout: &Path, index: ImageIndex, platform: Platform) -> Result<ImageManifest> {
    let mut lists = vec![index];
    while let Some(list) = lists.pop() {
        for described in list.manifests() {
            match described.media_type() {
                MediaType::ImageIndex => lists.push(parsed(&part(layout, described)?)?),
                _ if is_for(described, platform) => return parsed(&part(layout, described)?),
                _ => {}
            }
        }
    }
    anyhow::bail!("the image is not for {}", platform.name())
}

/// A list that a registry client wrote may name no platform of its only image.
fn is_for(described: &Descriptor, platform: Platform) -> bool {
    let of_image = described.platform().as_ref();
    of_image.is_none_or(|known| *known.architecture() == platform.architecture())
}

/// A part, checked against its digest and size.
fn part(layout: &Path, described: &Descriptor) -> Result<Vec<u8>> {
    let digest = described.digest().digest();
    let content = read(&layout.join("blobs/sha256").join(digest))?;
    ensure!(
        sha256(&content) == digest && content.len() as u64 == described.size(),
        "a part is not the one that its digest names: {digest}"
    );
    Ok(content)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("the image has no {}", path.display()))
}

fn parsed<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).context("a part of the image is malformed")
}
