//! Modules: the module of each file, and the file to which a path leads.

use std::collections::{BTreeMap, BTreeSet};

use super::file::{File, home};
use super::uses::{Uses, Written};

/// The maximum number of re-exports through which a path is followed.
const HOPS: usize = 16;

/// The modules of a crate, by their paths in it.
#[derive(Debug)]
pub(crate) struct Modules {
    name: String,
    files: BTreeMap<Written, String>,
    uses: BTreeMap<String, Uses>,
}

/// The target of a path.
#[derive(Debug, PartialEq, Eq)]
enum Leads<'a> {
    /// This module, or an item in it.
    Here(&'a Written),
    /// The second path, as seen from this module.
    On(&'a Written, Written),
    /// Something outside of the crate.
    Out,
}

impl Modules {
    pub(crate) fn of(files: &BTreeMap<String, File>, name: &str) -> Self {
        let uses = files.iter();
        Self {
            name: name.to_owned(),
            files: files
                .keys()
                .map(|path| (module(path), path.clone()))
                .collect(),
            uses: uses
                .map(|(path, file)| (path.clone(), Uses::of(&file.items)))
                .collect(),
        }
    }

    /// The other files that a file knows.
    pub(crate) fn known_by(&self, path: &str) -> BTreeSet<String> {
        let (here, uses) = (module(path), &self.uses[path]);
        let own = uses.bound.iter();
        // A re-exported name is known by the files that use it.
        let own = own.filter(|(name, _)| !uses.passed_on.contains(name) || uses.is_named(name));
        let bound = own.map(|(_, written)| written);
        let written = bound.chain(&uses.named).chain(&uses.all_of);
        let mut known: BTreeSet<String> = written
            .filter_map(|written| self.file_of(&here, written))
            .collect();
        for everything in &uses.all_of {
            known.extend(self.passed_on_by(&here, everything));
        }
        known.remove(path);
        known
    }

    /// The files of everything that a module re-exports.
    fn passed_on_by(&self, here: &Written, written: &Written) -> Vec<String> {
        let Some(path) = self.file_of(here, written) else {
            return Vec::new();
        };
        let (there, uses) = (module(&path), &self.uses[&path]);
        let names = uses.passed_on.iter();
        let written = names.filter_map(|name| uses.bound.get(name));
        written
            .filter_map(|written| self.file_of(&there, written))
            .collect()
    }

    /// The file to which a path leads from a module, if it does not lead out of the crate.
    fn file_of(&self, here: &Written, written: &Written) -> Option<String> {
        let (mut here, mut written) = (here.clone(), written.clone());
        for _ in 0..HOPS {
            match self.step(&here, &written) {
                Leads::Here(module) => return self.files.get(module).cloned(),
                Leads::On(module, rest) => (here, written) = (module.clone(), rest),
                Leads::Out => return None,
            }
        }
        None
    }

    fn step(&self, here: &Written, written: &Written) -> Leads<'_> {
        let Some((first, rest)) = written.split_first() else {
            return Leads::Out;
        };
        let (start, rest) = match first.as_str() {
            "crate" => (Vec::new(), rest),
            "self" => (here.clone(), rest),
            "super" => {
                let above = here.split_last().map_or(&here[..], |(_, above)| above);
                let next = [above, &[]].concat();
                if rest.first().is_some_and(|next| next == "super") {
                    return match self.files.get_key_value(&next) {
                        Some((module, _)) => Leads::On(module, rest.to_vec()),
                        None => Leads::Out,
                    };
                }
                (next, rest)
            }
            name if *name == self.name => (Vec::new(), rest),
            name => {
                let is_known = self.files.contains_key(&below(here, name))
                    || self
                        .uses_of(here)
                        .is_some_and(|uses| uses.bound.contains_key(name));
                if !is_known {
                    return Leads::Out;
                }
                (here.clone(), &written[..])
            }
        };
        let mut module = start;
        for (number, segment) in rest.iter().enumerate() {
            let next = below(&module, segment);
            if self.files.contains_key(&next) {
                module = next;
                continue;
            }
            let bound = self
                .uses_of(&module)
                .and_then(|uses| uses.bound.get(segment));
            return match (bound, self.files.get_key_value(&module)) {
                (Some(stands_for), Some((module, _))) => {
                    let on = [&stands_for[..], &rest[number + 1..]].concat();
                    Leads::On(module, on)
                }
                (None, Some((module, _))) => Leads::Here(module),
                (_, None) => Leads::Out,
            };
        }
        match self.files.get_key_value(&module) {
            Some((module, _)) => Leads::Here(module),
            None => Leads::Out,
        }
    }

    fn uses_of(&self, module: &Written) -> Option<&Uses> {
        self.uses.get(self.files.get(module)?)
    }
}

impl Uses {
    /// Whether the file itself uses this name.
    fn is_named(&self, name: &str) -> bool {
        self.named
            .iter()
            .any(|written| written.first().is_some_and(|first| first == name))
    }
}

fn below(module: &Written, name: &str) -> Written {
    [&module[..], &[name.to_owned()]].concat()
}

/// The module of a file. A program is a module, too, but no path leads to it.
fn module(path: &str) -> Written {
    let is_root = matches!(path, "lib.rs");
    if is_root {
        return Vec::new();
    }
    let home = home(path);
    let inner = match path.ends_with("main.rs") {
        true => format!("{home}main"),
        false => home.trim_end_matches('/').to_owned(),
    };
    inner.split('/').map(str::to_owned).collect()
}
