//! The shape of a crate, read from its source: which file knows which, and how large files and
//! functions are.
//!
//! Tests within the files are left out. Names are followed through `use` and `pub use` to the file
//! that defines them. This does not see the tokens that a macro produces, nor methods: a file that
//! calls a method has the type from another place.

mod circles;
mod file;
mod modules;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;

pub use file::{File, Function};

/// A crate as its source shows it.
pub struct Shape {
    /// Each file, by its path below the source's folder.
    pub files: BTreeMap<String, File>,
    /// The other files that each file knows.
    pub knows: BTreeMap<String, BTreeSet<String>>,
}

impl Shape {
    /// Reads all files below a folder that has a `lib.rs`; `name` is the name with which the
    /// crate's programs refer to it.
    pub fn read(src: &Path, name: &str) -> Result<Self> {
        let files = file::all(src)?;
        let modules = modules::Modules::of(&files, name);
        let knows = files
            .keys()
            .map(|path| (path.clone(), modules.known_by(path)))
            .collect();
        Ok(Self { files, knows })
    }

    /// The files that know each other in a circle, each circle in full size.
    pub fn circles(&self) -> Vec<BTreeSet<String>> {
        circles::of(&self.knows)
    }

    /// The figures of each room: of each folder of the source, and of the files beside them.
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

/// Files with fewer lines count as small.
pub const SMALL: usize = 120;

/// The figures of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// The number of its files.
    pub files: usize,
    /// The number of its small files.
    pub small: usize,
    /// Their lines of code: without tests, comments and empty lines.
    pub lines: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate that consists of these files.
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
