//! The run: the measurements and their order.

mod ending;
mod findings;
mod ground;
mod lending;
pub mod load;
mod rotating;
mod setting;
mod silence;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::host;
use crate::report::{Report, Run};
use crate::scale::Scale;
use crate::stopwatch::Progress;
use findings::Findings;
use setting::Setting;

/// The measured programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The operator.
    pub operator: PathBuf,
    /// `kubectl keyloan`.
    pub plugin: PathBuf,
    /// The simulated 1Password service.
    pub simulator: PathBuf,
    /// This program, which can run as an operator itself.
    pub this: PathBuf,
}

impl Programs {
    /// The programs that were built together with this one.
    pub fn beside_this_one() -> Result<Self> {
        let this = std::env::current_exe().context("cannot tell where this program is")?;
        let beside = |name: &str| {
            let path = this.with_file_name(name);
            anyhow::ensure!(
                path.exists(),
                "{} is not there; `cargo xtask bench` builds it",
                path.display()
            );
            Ok(path)
        };
        Ok(Self {
            operator: beside("keyloan")?,
            plugin: beside("kubectl-keyloan")?,
            simulator: beside("keyloan-simulator")?,
            this,
        })
    }
}

/// Measures everything.
pub async fn run(scale: Scale, command: &str, programs: &Programs) -> Result<Report> {
    let (begun, progress) = (Run::begin(command, scale.quick), Progress::start());
    let mut found = Findings::new(&scale);
    let mut set = Setting::set(programs, scale, progress).await?;

    found.core = host::measure(
        &set.ground.compiled_core,
        set.ground.service.token(1).await?,
        set.ground.service.control.clone(),
        &progress,
    )?;
    let pattern = set.connect_all(&mut found).await?;
    let floor = set.measure_floor(&pattern).await?;
    set.lend_one_at_a_time(&floor, &mut found).await?;
    set.renew(&mut found).await?;
    set.rotate(&mut found).await?;
    set.lend_many_at_a_time(&floor, &mut found).await?;
    set.keep_silent(&mut found).await?;
    set.lend_on_rebuilt_clients(&mut found).await?;
    set.delete_some(&mut found).await?;
    let cut_off = set.cut_some_off().await?;
    set.let_all_end(cut_off, &mut found).await?;
    set.strike().await?;

    Ok(begun.report(progress.elapsed().as_secs(), found.sections()))
}
