//! The paths that a file names: the bindings of its `use` declarations, and the paths in its code.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

/// A path, segment by segment, as written.
pub(crate) type Written = Vec<String>;

/// The paths that a file names.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// The path of each name that a top-level `use` declaration binds.
    pub bound: BTreeMap<String, Written>,
    /// The bound names that are re-exported: the file itself need not use them.
    pub passed_on: Vec<String>,
    /// The paths of `use a::*`.
    pub all_of: Vec<Written>,
    /// The paths that the code names, or that a function declares with `use`.
    pub named: Vec<Written>,
}

impl Uses {
    /// Collects the paths of these items.
    pub fn of(items: &[syn::Item]) -> Self {
        let mut uses = Self::default();
        for item in items {
            match item {
                syn::Item::Use(declared) => {
                    let passed_on = !matches!(declared.vis, syn::Visibility::Inherited);
                    uses.bind(&declared.tree, &mut Vec::new(), passed_on);
                }
                item => uses.visit_item(item),
            }
        }
        uses
    }

    fn bind(&mut self, tree: &syn::UseTree, before: &mut Written, passed_on: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bind(&path.tree, before, passed_on);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.bind(tree, before, passed_on);
                }
            }
            syn::UseTree::Glob(_) => self.all_of.push(before.clone()),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let name = before.last().cloned().unwrap_or_default();
                self.add(name, before.clone(), passed_on);
            }
            syn::UseTree::Name(name) => {
                let path = [&before[..], &[name.ident.to_string()]].concat();
                self.add(name.ident.to_string(), path, passed_on);
            }
            syn::UseTree::Rename(renamed) => {
                let path = match &renamed.ident {
                    own if own == "self" => before.clone(),
                    name => [&before[..], &[name.to_string()]].concat(),
                };
                self.add(renamed.rename.to_string(), path, passed_on);
            }
        }
    }

    fn add(&mut self, name: String, path: Written, passed_on: bool) {
        if passed_on {
            self.passed_on.push(name.clone());
        }
        self.bound.insert(name, path);
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.named
            .push(segments.map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    /// `pub(super)` names no file.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    /// A declaration within a function.
    fn visit_item_use(&mut self, declared: &'ast syn::ItemUse) {
        let mut within = Self::default();
        within.bind(&declared.tree, &mut Vec::new(), false);
        self.named.extend(within.bound.into_values());
        self.named.extend(within.all_of);
    }
}
