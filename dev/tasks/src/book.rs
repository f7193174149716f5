//! `cargo xtask book`: checks the links of the documentation and builds it with mdBook.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::installed::Installed;
use crate::screen::line;
use crate::workspace::{self, shown};

/// The newest version when this was written.
const MDBOOK: Installed = Installed::new("mdbook", "0.5.4");

/// Where the book is built, as book.toml says, and the files to which its pages lead beside it.
const SITE: &str = "target/book";

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only check the links, and list those that lead to other sites
    #[arg(long)]
    links: bool,
}

/// Runs the command.
pub async fn run(Arguments { links }: Arguments) -> Result<()> {
    check_links()?;
    if links {
        list_links_to_other_sites()?;
        return Ok(());
    }
    MDBOOK.install().await?;
    let site = workspace::folder().join(SITE);
    // A page that was renamed must not stay.
    if site.exists() {
        fs::remove_dir_all(&site).with_context(|| format!("cannot empty {}", site.display()))?;
    }
    build().await?;
    copy_files_beside_the_book(&site)?;
    let first = PathBuf::from(SITE).join("docs/index.html");
    ensure!(
        workspace::folder().join(&first).exists(),
        "mdBook wrote no {}",
        first.display()
    );
    line(format_args!("The book begins at {}.", first.display()));
    Ok(())
}

/// Prints the addresses at other sites, with the pages that lead there; returns how many there are.
pub fn list_links_to_other_sites() -> Result<usize> {
    let links = keyloan_book::links_to_other_sites(&workspace::folder())?;
    for (address, page) in &links {
        line(format_args!("{address}  ({page})"));
    }
    Ok(links.len())
}

fn check_links() -> Result<()> {
    let broken = keyloan_book::broken_links(&workspace::folder())?;
    ensure!(
        broken.is_empty(),
        "{} links lead nowhere:\n{}",
        broken.len(),
        broken.join("\n")
    );
    Ok(())
}

async fn build() -> Result<()> {
    let mut mdbook = Command::new(MDBOOK.program()?);
    mdbook
        .arg("build")
        .current_dir(workspace::folder())
        .kill_on_drop(true);
    let status = mdbook.status().await;
    let status = status.with_context(|| format!("cannot start {}", shown(&mdbook)))?;
    ensure!(status.success(), "{} failed ({status})", shown(&mdbook));
    Ok(())
}

/// The book is in a folder `docs` as in the repository, so the pages' links to files elsewhere in the
/// repository lead to copies of these.
fn copy_files_beside_the_book(site: &Path) -> Result<()> {
    for path in keyloan_book::files_beside_the_book(&workspace::folder())? {
        let (from, to) = (workspace::folder().join(&path), site.join(&path));
        copy(&from, &to).with_context(|| format!("cannot copy {path} to {}", to.display()))?;
    }
    Ok(())
}

/// Copies a file, or a folder with everything in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        return fs::copy(from, to).map(drop);
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
