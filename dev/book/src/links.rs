//! Checks the links of all pages: files and anchors in the repository must exist. Links to other
//! sites are not fetched.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use crate::page::Page;
use crate::summary::chapters;

/// The pages outside the book.
const BESIDE: [&str; 5] = [
    "README.md",
    "SECURITY.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
];

/// Each link that leads nowhere, with its place and what is wrong.
///
/// A page of the book may lead to pages of the book, and to files that are no pages: a copy of these
/// is put beside the book.
pub fn broken_links(repository: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let book = chapters(repository)?;
    let in_book: BTreeSet<_> = book.iter().map(|page| page.path.clone()).collect();
    for page in book.into_iter().chain(beside(repository)?) {
        for link in page.links() {
            let wrong = match page.resolve(&link.target) {
                None => link
                    .target
                    .starts_with("http://")
                    .then(|| "use https".to_owned()),
                Some((path, anchor)) => {
                    let leaves = in_book.contains(&page.path)
                        && path.ends_with(".md")
                        && !in_book.contains(&path);
                    match leaves {
                        true => Some(format!("{path} is not a page of the book")),
                        false => missing(repository, &path, anchor.as_deref()),
                    }
                }
            };
            if let Some(wrong) = wrong {
                let (path, line, target) = (&page.path, link.line, &link.target);
                broken.push(format!("{path}:{line}: {target}: {wrong}"));
            }
        }
    }
    Ok(broken)
}

/// The addresses at other sites, each with the pages that lead there.
pub fn links_to_other_sites(repository: &Path) -> Result<BTreeSet<(String, String)>> {
    let mut found = BTreeSet::new();
    for page in chapters(repository)?.into_iter().chain(beside(repository)?) {
        let links = page.links().into_iter().map(|link| link.target);
        let outside = links.filter(|target| page.resolve(target).is_none());
        found.extend(outside.map(|target| (target, page.path.clone())));
    }
    Ok(found)
}

fn beside(repository: &Path) -> Result<Vec<Page>> {
    let pages = BESIDE.iter().map(|path| Page::read(repository, path));
    pages.collect()
}

/// The part of a link's target that is missing.
fn missing(repository: &Path, path: &str, anchor: Option<&str>) -> Option<String> {
    if !repository.join(path).exists() {
        return Some(format!("there is no {path}"));
    }
    let anchor = anchor?;
    let page = Page::read(repository, path);
    let is_there = page.is_ok_and(|page| page.anchors().contains(anchor));
    (!is_there).then(|| format!("{path} has no heading #{anchor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a book of these pages.
    fn broken(pages: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("docs")).expect("made");
        for path in BESIDE {
            std::fs::write(folder.path().join(path), "# Beside\n").expect("written");
        }
        for (path, text) in pages {
            std::fs::write(folder.path().join(path), text).expect("written");
        }
        broken_links(folder.path()).expect("pages")
    }

    #[test]
    fn a_link_leads_to_a_page_a_heading_or_another_site() {
        let found = broken(&[
            ("docs/SUMMARY.md", "[A](a.md)\n[B](b.md)\n"),
            (
                "docs/a.md",
                "# A\n[b](b.md#two-words) [a](#a) [s](https://example.com)\n",
            ),
            ("docs/b.md", "# B\n## Two words\n[p](p.svg)\n"),
            ("docs/p.svg", "<svg/>"),
            ("README.md", "[b](docs/b.md#b) [c](./CHANGELOG.md)\n"),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told_with_its_line() {
        let found = broken(&[
            ("docs/SUMMARY.md", "[A](a.md)\n"),
            (
                "docs/a.md",
                "# A\n\n[x](x.md)\n[a](#b)\n[c](../CHANGELOG.md)\n[h](http://example.com)\n",
            ),
        ]);
        assert_eq!(
            found,
            [
                "docs/a.md:3: x.md: docs/x.md is not a page of the book",
                "docs/a.md:4: #b: docs/a.md has no heading #b",
                "docs/a.md:5: ../CHANGELOG.md: CHANGELOG.md is not a page of the book",
                "docs/a.md:6: http://example.com: use https",
            ]
        );
    }
}
