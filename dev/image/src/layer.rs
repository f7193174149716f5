//! The image's one layer: a compressed tar archive that depends on nothing but the files in it.

use std::collections::BTreeSet;
use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::digest::sha256;
use crate::files::Files;

/// A layer.
pub struct Layer {
    /// The compressed archive.
    pub compressed: Vec<u8>,
    /// The digest of the archive before it was compressed.
    pub uncompressed_digest: String,
    /// The size of the archive before it was compressed.
    pub uncompressed_size: usize,
}

impl Layer {
    /// Packs files: in the order of their paths, owned by root, all of this time (in seconds since
    /// 1970).
    pub fn of(files: &Files, time: u64) -> Result<Self> {
        let mut archive = Builder::new(Vec::new());
        let mut folders = BTreeSet::new();
        for (path, file) in files {
            for (end, _) in path.match_indices('/') {
                let folder = &path[..=end];
                if folders.insert(folder.to_owned()) {
                    let header = header(EntryType::Directory, 0o755, 0, time);
                    append(&mut archive, header, folder, &[])?;
                }
            }
            let mode = if file.is_program { 0o755 } else { 0o644 };
            let header = header(EntryType::Regular, mode, file.content.len(), time);
            append(&mut archive, header, path, &file.content)?;
        }
        let archive = archive.into_inner()?;
        // Without a name and a time in its header.
        let mut compressed = GzBuilder::new().write(Vec::new(), Compression::best());
        compressed.write_all(&archive)?;
        Ok(Self {
            compressed: compressed.finish()?,
            uncompressed_digest: sha256(&archive),
            uncompressed_size: archive.len(),
        })
    }
}

fn header(kind: EntryType, mode: u32, size: usize, time: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(size as u64);
    header
}

fn append(
    archive: &mut Builder<Vec<u8>>,
    mut header: Header,
    path: &str,
    content: &[u8],
) -> Result<()> {
    header.set_path(path)?;
    header.set_cksum();
    Ok(archive.append(&header, content)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ImageFile;

    fn files(order: &[usize]) -> Files {
        let files = [("b/program", true), ("a", false), ("b/c/d", false)];
        order
            .iter()
            .map(|at| {
                let (path, is_program) = files[*at];
                let file = ImageFile {
                    content: path.into(),
                    is_program,
                };
                (path.to_owned(), file)
            })
            .collect()
    }

    #[test]
    fn the_same_files_give_the_same_layer() {
        let layer = Layer::of(&files(&[0, 1, 2]), 1_000).unwrap();
        let again = Layer::of(&files(&[2, 1, 0]), 1_000).unwrap();
        assert_eq!(layer.compressed, again.compressed);
        let later = Layer::of(&files(&[0, 1, 2]), 2_000).unwrap();
        assert_ne!(layer.compressed, later.compressed);
    }

    #[test]
    fn a_layer_has_each_folder_before_its_files_and_all_belong_to_root() {
        let layer = Layer::of(&files(&[0, 1, 2]), 1_000).unwrap();
        let unpacked = flate2::read::GzDecoder::new(&layer.compressed[..]);
        let mut archive = tar::Archive::new(unpacked);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_000);
                let path = entry.path().unwrap().display().to_string();
                (path, header.mode().unwrap())
            })
            .collect();
        let expected = [
            ("a", 0o644),
            ("b/", 0o755),
            ("b/c/", 0o755),
            ("b/c/d", 0o644),
            ("b/program", 0o755),
        ];
        assert_eq!(
            entries,
            expected.map(|(path, mode)| (path.to_owned(), mode))
        );
    }
}
