//! Makes the operator's container image without a container engine: `cargo xtask image`.

mod check;
mod files;
mod labels;
mod layout;
mod platform;
mod unpack;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Parser;
use keyloan_artifact::{OPERATOR, Zig, revision, tar_gz, time};

use layout::Layout;
use platform::Platform;

/// Make the operator's container image without a container engine, as an OCI layout
///
/// The image contains one static program, 1Password's SDK core compiled for it, and the certificate
/// authorities of Mozilla's list. The same commit gives the same image, byte for byte.
///
/// Needs Linux and Python with pip, which installs a C compiler (zig) into the cache folder; rustup
/// adds Rust's library for the platform.
#[derive(Parser)]
#[command(name = "cargo xtask image", bin_name = "cargo xtask image")]
struct Arguments {
    /// A platform of the image; may be repeated. Default: this machine's
    #[arg(long = "platform", value_enum, value_name = "PLATFORM")]
    platforms: Vec<Platform>,
    /// Where to write the OCI layout: a folder, or an archive if the name ends in .tar
    #[arg(long, value_name = "PATH", default_value = "target/image")]
    out: PathBuf,
    /// The address of the source repository, for the image's labels
    #[arg(long, value_name = "URL")]
    source: Option<String>,
    /// Write the files of the image into this folder, for a Dockerfile, and make no image
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["check", "out"])]
    files: Option<PathBuf>,
    /// Then run the image (of the first platform) as a cluster would, and lend an item. Needs root
    #[arg(long)]
    check: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    keyloan::cluster::install_tls();
    let arguments = Arguments::parse();
    let platforms = match &arguments.platforms[..] {
        [] => &[Platform::HERE],
        platforms => platforms,
    };
    if let Some(folder) = &arguments.files {
        let files = files_of(platforms[0], &Zig::find()?).await?;
        return files::write(&files, folder);
    }
    let layout = make(platforms, arguments.source.as_deref(), &arguments.out).await?;
    if arguments.check {
        check::run(&layout, platforms[0]).await?;
    }
    Ok(())
}

/// Makes the image and writes it to a path; prints its digest and its size.
async fn make(platforms: &[Platform], source: Option<&str>, out: &Path) -> Result<Layout> {
    let zig = Zig::find()?;
    let created = time()?;
    let mut layers = Vec::new();
    for platform in platforms {
        let files = files_of(*platform, &zig).await?;
        let layer = tar_gz(&files, created)?;
        say(format_args!(
            "{}: {} unpacked, {} compressed",
            platform.name(),
            megabytes(layer.uncompressed_size),
            megabytes(layer.bytes.len()),
        ));
        layers.push((*platform, layer));
    }
    let labels = labels::of(created, revision().as_deref(), source);
    let layout = Layout::of(&layers, &labels, created)?;
    layout.write(out)?;
    say(format_args!("{} {}", out.display(), layout.digest));
    Ok(layout)
}

async fn files_of(platform: Platform, zig: &Zig) -> Result<keyloan_artifact::Files> {
    let program = OPERATOR.build(platform.target(), zig).await?;
    files::collect(&program, platform, zig).await
}

/// A size in megabytes (10^6 bytes).
fn megabytes(bytes: usize) -> String {
    #[allow(
        clippy::cast_precision_loss,
        reason = "an image is smaller than 2^52 bytes"
    )]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

/// Prints a line. Nobody may be reading.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}
