//! `cargo xtask test`: every check and every test, each step shown with its time.
//!
//! A test that needs a control plane is in `tests/apiserver` or `tests/e2e` of its package: by that name `--fast` knows what to leave
//! out. All others need nothing but the SDK core. Each is one program: a program takes longer to link than most tests run.

mod deny;
mod report;
mod run;
mod tally;
mod targets;

use anyhow::Result;

use report::{Outcome, Report};
use targets::Targets;

use crate::screen::line;
use crate::workspace::cargo;

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out the tests that need a control plane: some two minutes after a build
    #[arg(long)]
    fast: bool,
}

/// Runs all steps, also after one that failed; the error names those that did.
pub async fn run(Arguments { fast }: Arguments) -> Result<()> {
    let targets = Targets::of_workspace().await?;
    let mut report = Report::new(|text| line(text));
    checks(&mut report, fast).await;
    tests(&mut report, &targets, fast).await;
    report.finish()
}

async fn checks(report: &mut Report, fast: bool) {
    let format = "fmt --all --check";
    report.step("format", run::check(format)).await;

    report.step("cargo-deny", deny::install()).await;
    report.step("dependencies", deny::check_policy()).await;
    match fast {
        true => report.leave_out("advisories", "--fast"),
        false => drop(report.step("advisories", deny::check_advisories()).await),
    }

    let lint = "clippy --workspace --all-targets -- -D warnings";
    report.step("lint", run::check(lint)).await;
    // What makes no calls is built without a client, tokio and HTTP: so it cannot.
    let lint = "clippy --package keyloan --lib --no-default-features -- -D warnings";
    report.step("lint, pure rooms", run::check(lint)).await;

    let mut document = cargo("doc --workspace --no-deps");
    document.env("RUSTDOCFLAGS", "-D warnings");
    report.step("documentation", run::run(document)).await;
}

async fn tests(report: &mut Report, targets: &Targets, fast: bool) {
    let build = "test --workspace --no-run";
    let ready = report.step("build", run::check(build)).await
        && report.step("SDK core", fetch_core()).await;
    if !ready {
        return report.leave_out("tests", "what they need is not there");
    }
    let alone = targets.alone(cargo("test --workspace --no-fail-fast --lib --bins"));
    report.tests("tests", alone).await;

    let examples = cargo("test --workspace --no-fail-fast --doc");
    report.tests("examples in the docs", examples).await;

    let name = "tests on a control plane";
    if fast {
        return report.leave_out(name, "--fast");
    }
    if !report.step("control plane", fetch_control_plane()).await {
        return report.leave_out(name, "there is no control plane");
    }
    let beside = targets.on_control_plane(cargo("test --workspace --no-fail-fast"));
    report.tests(name, beside).await;
}

async fn fetch_core() -> Result<Outcome> {
    keyloan_cluster::core_wasm().await?;
    Ok(Outcome::Passed)
}

async fn fetch_control_plane() -> Result<Outcome> {
    keyloan_cluster::Binaries::find().await?;
    Ok(Outcome::Passed)
}
