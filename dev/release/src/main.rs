//! Makes the files of a release: `cargo xtask release`.

mod charts;
mod check;
mod krew;
mod plugin;
mod sbom;
mod sums;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use keyloan_artifact::{OPERATOR, PLUGIN, Target, Zig};

use sbom::Subject;

/// Make the files of a release: kubectl-keyloan for each system, its manifest for krew, the charts,
/// lists of everything that is in the programs (SBOM), and checksums
///
/// The same commit gives the same files, byte for byte, except for the packages of the charts.
///
/// Needs Linux and Python with pip, which installs a C compiler (zig) into the cache folder; rustup
/// adds Rust's libraries for the systems. `cargo xtask image` makes the operator's image.
#[derive(Parser)]
#[command(name = "cargo xtask release", bin_name = "cargo xtask release")]
struct Arguments {
    /// A system to build the plugin for; may be repeated. Default: all
    #[arg(long = "target", value_enum, value_name = "TARGET")]
    targets: Vec<Target>,
    /// The folder of the files
    #[arg(long, value_name = "FOLDER", default_value = "target/files")]
    out: PathBuf,
    /// The address of the source repository, such as `https://github.com/OWNER/NAME`. The charts name
    /// it, and krew downloads the plugin from its releases. Without it, there is no manifest for krew
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Then unpack everything, install it, and run what can run here
    #[arg(long)]
    check: bool,
}

/// The files of a release by their names.
type Release = BTreeMap<String, Vec<u8>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let targets = match &arguments.targets[..] {
        [] => &Target::ALL[..],
        targets => targets,
    };
    let release = make(targets, arguments.source.as_deref()).await?;
    write(&release, &arguments.out)?;
    if arguments.check {
        check::run(&arguments.out, targets).await?;
    }
    Ok(())
}

/// Makes all files.
async fn make(targets: &[Target], source: Option<&str>) -> Result<Release> {
    let source = source.map(|source| source.trim_end_matches('/'));
    let zig = Zig::find()?;
    let mut release = Release::new();
    for target in targets {
        let archive = plugin::archive(*target, &zig).await?;
        release.insert(plugin::file_name(*target), archive);
    }
    if let Some(source) = source {
        let manifest = krew::manifest(&release, targets, source)?;
        release.insert(krew::FILE.to_owned(), manifest.into_bytes());
    }
    let image = [Target::LinuxAmd64, Target::LinuxArm64];
    for (subject, program, targets) in [
        (Subject::Image, &OPERATOR, &image[..]),
        (Subject::Plugin, &PLUGIN, targets),
    ] {
        let list = sbom::list(subject, program, targets, source, &zig).await?;
        release.insert(subject.file_name(), list.into_bytes());
    }
    release.extend(charts::packages(source).await?);
    let sums = sums::of(&release);
    release.insert(sums::FILE.to_owned(), sums.into_bytes());
    Ok(release)
}

/// Writes the files, and prints the size of each. No file of an earlier release stays.
fn write(release: &Release, folder: &Path) -> Result<()> {
    let cannot = || format!("cannot write {}", folder.display());
    if folder.join(sums::FILE).exists() {
        std::fs::remove_dir_all(folder).with_context(cannot)?;
    }
    std::fs::create_dir_all(folder).with_context(cannot)?;
    for (name, content) in release {
        std::fs::write(folder.join(name), content).with_context(cannot)?;
        say(format_args!("{:>11}  {name}", size(content.len())));
    }
    say(folder.display());
    Ok(())
}

/// A size in megabytes (10^6 bytes), or in kilobytes if it is smaller than one.
fn size(bytes: usize) -> String {
    let tenths = |unit: usize| (bytes * 10 + unit / 2) / unit;
    let (tenths, unit) = match bytes {
        1_000_000.. => (tenths(1_000_000), "MB"),
        _ => (tenths(1_000), "kB"),
    };
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

/// Prints a line. Nobody may be reading.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(size(949), "0.9 kB");
        assert_eq!(size(4_960_000), "5.0 MB");
    }
}
