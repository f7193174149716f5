//! The table of contents, `docs/SUMMARY.md`, and what a page of the book leads to outside of it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::page::Page;

const SUMMARY: &str = "docs/SUMMARY.md";

/// The pages of the book, in their order.
pub fn chapters(repository: &Path) -> Result<Vec<Page>> {
    let summary = Page::read(repository, SUMMARY)?;
    let mut pages: Vec<Page> = Vec::new();
    for link in summary.links() {
        let path = format!("docs/{}", link.target);
        ensure!(
            pages.iter().all(|page| page.path != path),
            "{SUMMARY}:{}: {path} is there twice",
            link.line
        );
        pages.push(Page::read(repository, &path)?);
    }
    Ok(pages)
}

/// The files outside `docs/` to which the pages lead: a copy of them belongs beside the book.
pub fn files_beside_the_book(repository: &Path) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for page in chapters(repository)? {
        let targets = page.links().into_iter().map(|link| link.target);
        let paths = targets.filter_map(|target| page.resolve(&target));
        files.extend(
            paths
                .map(|(path, _)| path)
                .filter(|p| !p.starts_with("docs/")),
        );
    }
    Ok(files)
}
