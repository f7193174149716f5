//! `cargo xtask image --check`: the image and the charts go to a registry and come from there, and
//! the image runs as a cluster would run it, and lends an item.
//!
//! The pod is the chart's: its command line, its environment, an arbitrary user, a root file system
//! that is read-only, and nothing mounted but its ServiceAccount. The program built for this
//! machine's C library runs in the same way, so that both are measured in the same run.

mod borrow;
mod container;
mod pod;
mod report;
mod root;
mod site;

use std::time::Duration;

use anyhow::{Context, Result};
use keyloan_artifact::OPERATOR;

use crate::layout::Layout;
use crate::platform::Platform;
use crate::say;
use crate::unpack::unpack;

use container::Container;
use report::{Figures, Report};
use root::Root;
use site::Site;

/// How often each program is started.
const STARTS: usize = 5;
/// How long the operator is left alone before its memory is read.
const REST: Duration = Duration::from_secs(5);

/// Checks the image for a platform; an error if it does not lend.
pub async fn run(layout: &Layout, platform: Platform) -> Result<()> {
    root::ensure_possible()?;
    let here = match platform == Platform::HERE {
        true => Some(OPERATOR.build_here().await?),
        false => None,
    };
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let [of_image, of_here] = folders.each_ref().map(|folder| folder.path().join("root"));
    let site = Site::prepare().await?;
    let pulled = site.move_image(layout).await?;
    let image = unpack(&pulled, platform, &of_image)?;
    let pod = site.pod(&image.configuration).await?;
    let mut programs = vec![Root::of_image(&of_image, platform, &pod)?];
    if let Some(program) = here {
        unpack(&pulled, platform, &of_here)?;
        programs.push(Root::with_program(&of_here, &program, &pod)?);
    }
    let mut figures: Vec<Figures> = programs.iter().map(|_| Figures::default()).collect();
    for _ in 0..STARTS {
        // One after the other, because the machine may be busy for a while.
        for (root, figures) in programs.iter().zip(&mut figures) {
            let container = Container::start(root, &pod).await?;
            figures.starts.push(container.ready_after);
            container.stop().await?;
        }
    }
    for (number, (root, figures)) in programs.iter().zip(&mut figures).enumerate() {
        let container = Container::start(root, &pod).await?;
        container.ensure_confined()?;
        let lent = borrow::lend(&site, number).await;
        lent.with_context(|| format!("nothing was lent; {}", container.last_words()))?;
        // Memory that was freed goes back to the system after a second.
        tokio::time::sleep(REST).await;
        figures.memory = container.memory()?;
        container.stop().await?;
    }
    say(Report {
        image: &image,
        figures: &figures,
    });
    site.strike().await;
    Ok(())
}
