//! Archives that depend on nothing but the files in them and one time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write as _};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tar::{Builder, EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::digest::sha256;

/// A file of an archive.
pub struct File {
    /// Its content.
    pub content: Vec<u8>,
    /// Whether it is a program.
    pub is_program: bool,
}

impl File {
    /// A program.
    pub fn program(content: Vec<u8>) -> Self {
        let is_program = true;
        Self {
            content,
            is_program,
        }
    }

    /// Any other file.
    pub fn data(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            is_program: false,
        }
    }

    fn mode(&self) -> u32 {
        if self.is_program { 0o755 } else { 0o644 }
    }
}

/// Files by their paths, without a leading slash.
pub type Files = BTreeMap<String, File>;

/// A compressed tar archive.
pub struct Compressed {
    /// The compressed archive.
    pub bytes: Vec<u8>,
    /// The digest of the archive before it was compressed.
    pub uncompressed_digest: String,
    /// The size of the archive before it was compressed.
    pub uncompressed_size: usize,
}

/// Packs files: in the order of their paths, owned by root, all of this time.
pub fn tar_gz(files: &Files, time: Timestamp) -> Result<Compressed> {
    let mut archive = Builder::new(Vec::new());
    let time = time.as_second().unsigned_abs();
    let mut folders = BTreeSet::new();
    for (path, file) in files {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..=end];
            if folders.insert(folder.to_owned()) {
                let header = header(EntryType::Directory, 0o755, 0, time);
                append(&mut archive, header, folder, &[])?;
            }
        }
        let header = header(EntryType::Regular, file.mode(), file.content.len(), time);
        append(&mut archive, header, path, &file.content)?;
    }
    let archive = archive.into_inner()?;
    // Without a name and a time in its header.
    let mut compressed = GzBuilder::new().write(Vec::new(), Compression::best());
    compressed.write_all(&archive)?;
    Ok(Compressed {
        bytes: compressed.finish()?,
        uncompressed_digest: sha256(&archive),
        uncompressed_size: archive.len(),
    })
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

/// Packs files into a zip archive: in the order of their paths, all of this time in UTC.
pub fn zip(files: &Files, time: Timestamp) -> Result<Vec<u8>> {
    let time = time.to_zoned(TimeZone::UTC).datetime();
    let time = DateTime::try_from(time).context("zip archives begin in 1980")?;
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, file) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            .last_modified_time(time)
            .unix_permissions(file.mode());
        archive.start_file(path, options)?;
        archive.write_all(&file.content)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Timestamp = Timestamp::constant(1_000_000_000, 0);
    const LATER: Timestamp = Timestamp::constant(1_000_000_002, 0);

    fn files(order: &[usize]) -> Files {
        let files = [("b/program", true), ("a", false), ("b/c/d", false)];
        let files = order.iter().map(|at| {
            let (path, is_program) = files[*at];
            let content = path.into();
            let file = File {
                content,
                is_program,
            };
            (path.to_owned(), file)
        });
        files.collect()
    }

    #[test]
    fn the_same_files_give_the_same_archive() {
        let [one, other] = [files(&[0, 1, 2]), files(&[2, 1, 0])];
        let tar = |files, time| tar_gz(files, time).unwrap().bytes;
        assert_eq!(tar(&one, TIME), tar(&other, TIME));
        assert_ne!(tar(&one, TIME), tar(&one, LATER));
        assert_eq!(zip(&one, TIME).unwrap(), zip(&other, TIME).unwrap());
        assert_ne!(zip(&one, TIME).unwrap(), zip(&one, LATER).unwrap());
    }

    #[test]
    fn an_archive_has_each_folder_before_its_files_and_all_belong_to_root() {
        let compressed = tar_gz(&files(&[0, 1, 2]), TIME).unwrap().bytes;
        let unpacked = flate2::read::GzDecoder::new(&compressed[..]);
        let mut archive = tar::Archive::new(unpacked);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_000_000_000);
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
