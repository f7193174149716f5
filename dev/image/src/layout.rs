//! The image as an OCI layout: a folder, or an archive of it, that every registry client can push.
//!
//! The same files at the same time give the same bytes, and so the same digest.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use keyloan_artifact::{Compressed, VERSION, sha256};
use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder,
    SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;

use crate::files::USER;
use crate::labels::{self, Labels};
use crate::platform::Platform;

/// What the image runs.
pub const ENTRYPOINT: &str = "/keyloan/keyloan";
/// Its arguments, where nobody gives others.
pub const ARGUMENTS: [&str; 2] = ["run", "--core=/keyloan/core.cwasm"];
/// The ports for health and metrics.
pub const PORTS: [&str; 2] = ["8080/tcp", "8081/tcp"];

/// The name of a layout's list of images.
pub const INDEX: &str = "index.json";

/// An OCI layout, complete: its files by their paths.
pub struct Layout {
    files: BTreeMap<String, Vec<u8>>,
    /// The digest of the image: of the list of its platforms if it has several, or else of its only
    /// manifest.
    pub digest: String,
}

impl Layout {
    /// An image with these layers. All times in it are `created`.
    pub fn of(
        layers: &[(Platform, Compressed)],
        labels: &Labels,
        created: Timestamp,
    ) -> Result<Self> {
        let mut blobs = Blobs::default();
        let mut images = Vec::new();
        for (platform, layer) in layers {
            images.push(blobs.add_image(*platform, layer, labels, created)?);
        }
        let mut image = match &images[..] {
            [only] => only.clone(),
            _ => {
                let list = ImageIndexBuilder::default()
                    .schema_version(SCHEMA_VERSION)
                    .media_type(MediaType::ImageIndex)
                    .manifests(images)
                    .annotations(labels.clone())
                    .build()?;
                blobs.add(MediaType::ImageIndex, canonical(&list)?)?
            }
        };
        let digest = image.digest().to_string();
        let name = HashMap::from([(labels::REFERENCE.to_owned(), VERSION.to_owned())]);
        image.set_annotations(Some(name));
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests([image])
            .build()?;
        let mut files = blobs.files;
        files.insert(INDEX.to_owned(), canonical(&index)?);
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
        files.insert("oci-layout".to_owned(), marker.to_vec());
        Ok(Self { files, digest })
    }

    /// Writes the layout: a path that ends in `.tar` is an archive, any other a folder.
    pub fn write(&self, path: &Path) -> Result<()> {
        let is_archive = path.extension().is_some_and(|extension| extension == "tar");
        let written = match is_archive {
            true => self.write_archive(path),
            false => self.write_folder(path),
        };
        written.with_context(|| format!("cannot write {}", path.display()))
    }

    fn write_archive(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut archive = tar::Builder::new(fs::File::create(path)?);
        for (name, content) in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, name, &content[..])?;
        }
        archive.into_inner()?;
        Ok(())
    }

    fn write_folder(&self, folder: &Path) -> Result<()> {
        // Parts of an earlier image must not stay.
        if folder.join("oci-layout").exists() {
            fs::remove_dir_all(folder)?;
        }
        for (name, content) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(&path, content)?;
        }
        Ok(())
    }
}

/// The parts that are named by their digest.
#[derive(Default)]
struct Blobs {
    files: BTreeMap<String, Vec<u8>>,
}

impl Blobs {
    /// Adds a part, and describes it.
    fn add(&mut self, media_type: MediaType, content: Vec<u8>) -> Result<Descriptor> {
        let digest = sha256(&content);
        let described = DescriptorBuilder::default()
            .media_type(media_type)
            .size(content.len() as u64)
            .digest(digest.parse::<Sha256Digest>()?)
            .build()?;
        self.files.insert(format!("blobs/sha256/{digest}"), content);
        Ok(described)
    }

    /// Adds the image of a platform, and describes its manifest.
    fn add_image(
        &mut self,
        platform: Platform,
        layer: &Compressed,
        labels: &Labels,
        created: Timestamp,
    ) -> Result<Descriptor> {
        let config = configuration(platform, layer, labels, created)?;
        let config = self.add(MediaType::ImageConfig, config)?;
        let layer = self.add(MediaType::ImageLayerGzip, layer.bytes.clone())?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers([layer])
            .annotations(labels.clone())
            .build()?;
        let mut described = self.add(MediaType::ImageManifest, canonical(&manifest)?)?;
        let platform = PlatformBuilder::default()
            .os(Os::Linux)
            .architecture(platform.architecture())
            .build()?;
        described.set_platform(Some(platform));
        Ok(described)
    }
}

/// What an engine needs to know to run the image.
fn configuration(
    platform: Platform,
    layer: &Compressed,
    labels: &Labels,
    created: Timestamp,
) -> Result<Vec<u8>> {
    let config = ConfigBuilder::default()
        .user(format!("{USER}:{USER}"))
        .entrypoint([ENTRYPOINT.to_owned()])
        .cmd(ARGUMENTS.map(str::to_owned))
        .exposed_ports(PORTS.map(str::to_owned))
        .working_dir("/")
        .labels(labels.clone())
        .build()?;
    let files = RootFsBuilder::default()
        .typ("layers")
        .diff_ids([format!("sha256:{}", layer.uncompressed_digest)])
        .build()?;
    let history = HistoryBuilder::default()
        .created(created.to_string())
        .created_by("cargo xtask image")
        .build()?;
    let image = ImageConfigurationBuilder::default()
        .created(created.to_string())
        .os(Os::Linux)
        .architecture(platform.architecture())
        .config(config)
        .rootfs(files)
        .history([history])
        .build()?;
    canonical(&image)
}

/// JSON with its members in order. The library keeps labels in maps whose order is random.
fn canonical(object: &impl Serialize) -> Result<Vec<u8>> {
    let mut value = serde_json::to_value(object)?;
    value.sort_all_objects();
    Ok(serde_json::to_vec(&value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyloan_artifact::{File, Files, tar_gz};

    fn layout(platforms: &[Platform]) -> Layout {
        let mut files = Files::new();
        let program = File::program(b"a program".to_vec());
        files.insert("keyloan/keyloan".to_owned(), program);
        let layer = |platform: &Platform| {
            let layer = tar_gz(&files, Timestamp::UNIX_EPOCH).unwrap();
            (*platform, layer)
        };
        let layers: Vec<_> = platforms.iter().map(layer).collect();
        let labels = labels::of(Timestamp::UNIX_EPOCH, Some("abc"), None);
        Layout::of(&layers, &labels, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn the_same_files_give_the_same_image() {
        let [first, again] = [layout(&[Platform::Amd64]), layout(&[Platform::Amd64])];
        assert_eq!(first.files, again.files);
        assert_eq!(first.digest, again.digest);
        assert_ne!(first.digest, layout(&[Platform::Arm64]).digest);
    }

    #[test]
    fn each_part_has_the_digest_by_which_it_is_named() {
        let layout = layout(&[Platform::Amd64, Platform::Arm64]);
        let mut parts = 0;
        for (path, content) in &layout.files {
            if let Some(digest) = path.strip_prefix("blobs/sha256/") {
                assert_eq!(digest, sha256(content));
                parts += 1;
            }
        }
        // The layer is the same for both; each has a configuration and a manifest.
        assert_eq!(parts, 1 + 2 + 2 + 1);
    }

    #[test]
    fn the_dockerfile_makes_the_same_image() {
        let lines: Vec<&str> = include_str!("../../../Dockerfile").lines().collect();
        let ports = PORTS.map(|port| port.trim_end_matches("/tcp")).join(" ");
        for line in [
            "FROM scratch".to_owned(),
            format!("USER {USER}:{USER}"),
            format!("EXPOSE {ports}"),
            format!("ENTRYPOINT {}", serde_json::json!([ENTRYPOINT])),
            format!("CMD [\"{}\"]", ARGUMENTS.join("\", \"")),
        ] {
            assert!(lines.contains(&&*line), "{line}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("ENV ")));
    }
}
