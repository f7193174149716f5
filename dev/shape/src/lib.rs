//! The shape of a crate, read from its source: which file knows which, and how large files and functions are.
//!
//! Tests do not count. Names are followed through `use` and `pub use` to the file that defines them. The expansion of macros is not
//! seen, and neither are methods: a caller has to name the type somewhere.
//!
//! [`messages`] reads the same files for the sentences that people read.

mod circles;
mod file;
mod messages;
mod modules;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

pub use file::{File, Function};
pub use messages::{Kind, Message, is_sentence, messages};

/// A crate as its source shows it.
pub struct Shape {
    /// Each file, by its path below the source's folder.
    pub files: BTreeMap<String, File>,
    /// The files that each file knows, without itself.
    pub knows: BTreeMap<String, BTreeSet<String>>,
}

impl Shape {
    /// Reads all files below a folder with a `lib.rs`; `name` is the crate's name in its programs.
    pub fn read(src: &Path, name: &str) -> Result<Self> {
        let files = file::all(src)?;
        let modules = modules::Modules::of(&files, name);
        let knows = files
            .keys()
            .map(|path| (path.clone(), modules.known_by(path)))
            .collect();
        Ok(Self { files, knows })
    }

    /// The circles of files that know each other, each as large as possible.
    pub fn circles(&self) -> Vec<BTreeSet<String>> {
        circles::of(&self.knows)
    }

    /// The size of each room: each folder of the source, and each file beside them.
    pub fn rooms(&self) -> BTreeMap<String, Room> {
        let mut rooms = BTreeMap::<String, Room>::new();
        for (path, file) in &self.files {
            let name = path.split_once('/').map_or(path.as_str(), |(room, _)| room);
            let room = rooms.entry(name.to_owned()).or_default();
            room.files += 1;
            room.small += usize::from(file.lines < SMALL);
            room.lines += file.code;
        }
        rooms
    }
}

/// Files with fewer lines are small.
pub const SMALL: usize = 120;

/// The size of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many files it has.
    pub files: usize,
    /// How many of its files are small.
    pub small: usize,
    /// Their lines of code: without tests, comments and empty lines.
    pub lines: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate of these files.
    fn shape(files: &[(&str, &str)]) -> Shape {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("one")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        Shape::read(folder.path(), "lending").expect("Rust")
    }

    fn known(shape: &Shape, path: &str) -> Vec<String> {
        shape.knows[path].iter().cloned().collect()
    }

    #[test]
    fn a_name_leads_to_the_file_that_defines_it() {
        let shape = shape(&[
            (
                "lib.rs",
                "pub mod room; pub mod other; use std::fmt; use room::Kept;",
            ),
            ("room/mod.rs", "mod kept; mod taken; pub use kept::Kept;"),
            (
                "room/kept.rs",
                "use super::taken::Taken; pub struct Kept(Taken);",
            ),
            (
                "room/taken.rs",
                "pub struct Taken; fn more(of: crate::other::Other) {}",
            ),
            (
                "other.rs",
                "pub struct Other; impl Other { fn keeps(_: super::room::Kept) {} }",
            ),
            ("main.rs", "fn main() { lending::other::go(); }"),
        ]);
        assert_eq!(known(&shape, "lib.rs"), ["room/kept.rs"]);
        assert_eq!(known(&shape, "room/mod.rs"), [""; 0], "it only passes on");
        assert_eq!(known(&shape, "room/kept.rs"), ["room/taken.rs"]);
        assert_eq!(known(&shape, "room/taken.rs"), ["other.rs"]);
        assert_eq!(known(&shape, "other.rs"), ["room/kept.rs"]);
        assert_eq!(known(&shape, "main.rs"), ["other.rs"]);
        let circle = ["other.rs", "room/kept.rs", "room/taken.rs"].map(str::to_owned);
        assert_eq!(shape.circles(), [BTreeSet::from(circle)]);
    }

    #[test]
    fn all_of_a_module_is_what_it_passes_on_too() {
        let shape = shape(&[
            ("lib.rs", "mod room; mod user;"),
            (
                "room/mod.rs",
                "mod kept; pub use self::kept::Kept as Held; pub struct Own;",
            ),
            ("room/kept.rs", "pub struct Kept;"),
            (
                "user.rs",
                "use crate::room::*; fn go(_: Held) { use crate::room::Own; }",
            ),
        ]);
        assert_eq!(known(&shape, "user.rs"), ["room/kept.rs", "room/mod.rs"]);
        assert!(shape.circles().is_empty());
    }

    #[test]
    fn tests_count_for_nothing() {
        let shape = shape(&[
            (
                "lib.rs",
                "mod room;\n\n// Why.\nfn go() {\n}\n\n#[cfg(test)]\nmod tests {\n    use crate::room::Kept;\n}\n",
            ),
            (
                "room.rs",
                "pub(super) struct Kept;\n#[cfg(test)]\nmod tests;\n",
            ),
            ("room/tests.rs", "use super::Kept;\n"),
        ]);
        assert_eq!(known(&shape, "lib.rs"), [""; 0]);
        assert!(!shape.files.contains_key("room/tests.rs"));
        let lib = &shape.files["lib.rs"];
        assert_eq!((lib.lines, lib.code), (10, 3));
        assert_eq!((lib.functions[0].line, lib.functions[0].lines), (4, 2));
        let rooms = shape.rooms();
        assert_eq!(rooms["room.rs"].lines, 1);
    }
}
