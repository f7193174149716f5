//! Runs searches and prints what they found.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "prints to people and measures real time"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use keyloan_model::{Left, Loan, Variant};
use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

/// Search every order of what can happen to a loan, within bounds
#[derive(Parser)]
struct Arguments {
    /// Search within these bounds, such as crashes=1,decisions=1,renewals=1
    #[arg(long)]
    bounds: Option<Left>,
    /// Break the operator in this place; the search then has to find a broken promise
    #[arg(long, value_name = "PLACE")]
    broken: Option<Variant>,
    /// Stop a search after this many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = arguments
        .bounds
        .map_or(Left::SMALL.to_vec(), |bounds| vec![bounds]);
    let mut broken = 0;
    for bounds in all {
        println!("bounds: {bounds}");
        let limit = Duration::from_secs(60 * arguments.minutes);
        let checker = Loan::new(bounds, arguments.broken)
            .checker()
            .threads(std::thread::available_parallelism().map_or(1, usize::from))
            .finish_when(HasDiscoveries::AnyFailures)
            .timeout(limit)
            .spawn_bfs();
        let began = Instant::now();
        broken += report(checker, began);
        if began.elapsed() >= limit {
            println!("the search was stopped: it has not seen everything");
            return ExitCode::FAILURE;
        }
    }
    match (broken > 0) == arguments.broken.is_some() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Waits for a search, and prints its progress and result; returns how many promises are broken.
fn report(checker: impl Checker<Loan>, began: Instant) -> usize {
    let mut said = Instant::now();
    while !checker.is_done() {
        std::thread::sleep(Duration::from_millis(50));
        if said.elapsed() >= Duration::from_secs(10) {
            said = Instant::now();
            println!("  {}", figures(&checker, began));
        }
    }
    let mut broken = 0;
    for promise in checker.model().promises() {
        let found = checker.discovery(promise);
        match (checker.discovery_classification(promise), found) {
            (DiscoveryClassification::Counterexample, Some(path)) => {
                broken += 1;
                println!("  BROKEN  {promise}");
                for action in path.into_actions() {
                    println!("          {action:?}");
                }
            }
            (DiscoveryClassification::Counterexample, None) => println!("  holds   {promise}"),
            (DiscoveryClassification::Example, Some(_)) => println!("  seen    {promise}"),
            (DiscoveryClassification::Example, None) => println!("  unseen  {promise}"),
        }
    }
    println!("  {}", figures(&checker, began));
    broken
}

fn figures(checker: &impl Checker<Loan>, began: Instant) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!(
        "{} states ({} reached), depth {}, {:.1} s, peak {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f32(),
        peak.unwrap_or("unknown").trim()
    )
}
