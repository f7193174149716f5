//! `cargo xtask test`: every check and every test, each step shown with its time.
//!
//! A test that needs a control plane is in `tests/apiserver` or `tests/e2e` of its package: these
//! names tell `--fast` what to leave out. All others need only the SDK core. Each folder is one
//! program, because linking a program takes longer than running most tests.

mod deny;
mod gitops;
mod left_out;
mod report;
mod run;
mod tally;
mod targets;

use std::num::NonZero;

use anyhow::Result;
use keyloan_cluster::{Binaries, CHOICE, VERSIONS};
use tokio::process::Command;

use report::{Outcome, Report};
use targets::Targets;

use crate::book;
use crate::screen::line;
use crate::workspace::cargo;

/// The name of a step.
const ON_A_CONTROL_PLANE: &str = "tests on a control plane";

/// Options of the command.
#[derive(clap::Args)]
pub struct Arguments {
    /// Leave out the tests that need a control plane; takes some two minutes after a build
    #[arg(long)]
    fast: bool,
    /// Run the tests on a control plane, and nothing else, on this version of Kubernetes
    #[arg(long, value_name = "VERSION", conflicts_with = "fast", value_parser = VERSIONS)]
    kubernetes: Option<String>,
}

/// Runs all steps, even after a failed one; the error names the failed steps.
pub async fn run(Arguments { fast, kubernetes }: Arguments) -> Result<()> {
    let targets = Targets::of_workspace().await?;
    let mut report = Report::new(|text| line(text));
    if let Some(version) = kubernetes {
        if prepare(&mut report).await {
            let mut tests = targets.on_control_plane(cargo("test --workspace --no-fail-fast"));
            left_out::leave_out(&mut report, &mut tests, &version);
            beside_control_plane(&mut report, tests, &version).await;
        }
        return report.finish();
    }
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
    // Builds the rooms that make no calls without a client, tokio and HTTP, which proves that they
    // need none.
    let lint = "clippy --package keyloan --lib --no-default-features -- -D warnings";
    report.step("lint, pure rooms", run::check(lint)).await;

    // A workspace of its own, which is built only to run it otherwise.
    let mut lint = cargo("clippy --manifest-path fuzz/Cargo.toml --locked -- -D warnings");
    lint.env("RUSTFLAGS", "--cfg fuzzing")
        .env("CARGO_TARGET_DIR", "target/fuzz-lint");
    report.step("lint, fuzz targets", run::run(lint)).await;

    let mut document = cargo("doc --workspace --no-deps");
    document.env("RUSTDOCFLAGS", "-D warnings");
    report.step("documentation", run::run(document)).await;
    report.step("links to other sites", list_links()).await;
}

/// Builds all tests. Returns whether they can run.
async fn prepare(report: &mut Report) -> bool {
    let build = "test --workspace --no-run";
    let ready = report.step("build", run::check(build)).await
        && report.step("SDK core", fetch_core()).await;
    if !ready {
        report.leave_out(
            "tests",
            "the tests were not built, or the core is not available",
        );
    }
    ready
}

async fn tests(report: &mut Report, targets: &Targets, fast: bool) {
    if !prepare(report).await {
        return;
    }
    let alone = targets.alone(cargo("test --workspace --no-fail-fast --lib --bins"));
    report.tests("tests", alone).await;

    let examples = cargo("test --workspace --no-fail-fast --doc");
    report.tests("examples in the docs", examples).await;

    match fast {
        true => report.leave_out(ON_A_CONTROL_PLANE, "--fast"),
        false => {
            let tests = targets.on_control_plane(cargo("test --workspace --no-fail-fast"));
            beside_control_plane(report, tests, VERSIONS[0]).await;
            gitops::run(report).await;
        }
    }
}

async fn beside_control_plane(report: &mut Report, mut tests: Command, kubernetes: &str) {
    if !report
        .step("control plane", fetch_control_plane(kubernetes))
        .await
    {
        return report.leave_out(ON_A_CONTROL_PLANE, "the control plane is not available");
    }
    // They wait for programs more than they compute, so one more runs than there are processors.
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    tests
        .env("RUST_TEST_THREADS", (processors + 1).to_string())
        .env(CHOICE, kubernetes);
    report.tests(ON_A_CONTROL_PLANE, tests).await;
}

/// The links within the documentation are checked by a test.
async fn list_links() -> Result<Outcome> {
    let links = book::list_links_to_other_sites()?;
    Ok(Outcome::Skipped(format!(
        "{links} links are listed above, and not fetched"
    )))
}

async fn fetch_core() -> Result<Outcome> {
    keyloan_cluster::core_wasm().await?;
    Ok(Outcome::Passed)
}

async fn fetch_control_plane(kubernetes: &str) -> Result<Outcome> {
    Binaries::of(kubernetes).await?;
    Ok(Outcome::Passed)
}
