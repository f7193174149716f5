//! One file: its lines, its functions, and its parsed items.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A file of the source.
pub struct File {
    /// All its lines.
    pub lines: usize,
    /// Its lines of code: without tests, comments and empty lines.
    pub code: usize,
    /// Its functions, without those of tests.
    pub functions: Vec<Function>,
    pub(crate) items: Vec<syn::Item>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name alone.
    pub name: String,
    /// Where it begins, from 1.
    pub line: usize,
    /// From its first line to its last, comments included.
    pub lines: usize,
}

/// All files below a folder by relative path, without files that contain only tests.
pub(crate) fn all(src: &Path) -> Result<BTreeMap<String, File>> {
    let mut files = BTreeMap::new();
    let mut tests = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let relative = path.strip_prefix(src)?.display().to_string();
                let text = std::fs::read_to_string(&path);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                let (file, test_modules) =
                    read(&text).with_context(|| format!("{} is not valid Rust", path.display()))?;
                let home = home(&relative);
                tests.extend(test_modules.into_iter().map(|name| format!("{home}{name}")));
                files.insert(relative, file);
            }
        }
    }
    for test in tests {
        let (alone, within) = (format!("{test}.rs"), format!("{test}/"));
        files.retain(|path, _| *path != alone && !path.starts_with(&within));
    }
    Ok(files)
}

/// The folder of the modules that a file declares.
pub(crate) fn home(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = match folder {
        "" => String::new(),
        folder => format!("{folder}/"),
    };
    match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder,
        name => format!("{folder}{}/", name.trim_end_matches(".rs")),
    }
}

/// The parsed text, and the names of its test modules in other files.
fn read(text: &str) -> Result<(File, Vec<String>)> {
    let parsed = syn::parse_file(text)?;
    let (tests, items): (Vec<_>, Vec<_>) = parsed.items.into_iter().partition(is_test);
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let in_tests = |number: usize| {
        tests.iter().any(|test| {
            let (first, last) = extent(test.span());
            (first..=last).contains(&number)
        })
    };
    let numbered = text.lines().zip(1..);
    let code = numbered.filter(|(line, number)| is_code(line) && !in_tests(*number));
    let mut functions = Functions::default();
    items.iter().for_each(|item| functions.visit_item(item));
    let elsewhere = tests.iter().filter_map(|test| match test {
        syn::Item::Mod(module) if module.content.is_none() => Some(module.ident.to_string()),
        _ => None,
    });
    let file = File {
        lines: text.lines().count(),
        code: code.count(),
        functions: functions.0,
        items,
    };
    Ok((file, elsewhere.collect()))
}

fn is_test(item: &syn::Item) -> bool {
    let syn::Item::Mod(module) = item else {
        return false;
    };
    is_for_tests(&module.attrs)
}

/// Whether these attributes leave their item out of all builds but tests.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|what| what == "test")
    })
}

fn extent(span: Span) -> (usize, usize) {
    (span.start().line, span.end().line)
}

#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn add(&mut self, name: &syn::Ident, span: Span) {
        let (first, last) = extent(span);
        self.0.push(Function {
            name: name.to_string(),
            line: first,
            lines: last + 1 - first,
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig.ident, function.span());
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig.ident, function.span());
        visit::visit_impl_item_fn(self, function);
    }
}
