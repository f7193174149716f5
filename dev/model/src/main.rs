//! Runs a search and prints what it found.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "prints to people and measures real time"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use keyloan_model::{Left, Loan, Variant};
use stateright::{Checker, HasDiscoveries, Model};

/// Search every order of what can happen to a loan, within bounds
#[derive(Parser)]
struct Arguments {
    /// Search these bounds, as crashes=1,decisions=1
    #[arg(long)]
    bounds: Option<Left>,
    /// Break the operator in this place; the search then has to find a broken promise
    #[arg(long, value_name = "PLACE")]
    broken: Option<Variant>,
    /// Stop a search after this many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    #[arg(long)]
    dfs: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all: Vec<Left> = arguments.bounds.map_or(Left::SMALL.to_vec(), |b| vec![b]);
    for bounds in all {
    println!("bounds: {bounds}");
    let model = Loan::new(bounds, arguments.broken);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let builder = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(Duration::from_secs(60 * arguments.minutes));
    if arguments.dfs { run(builder.spawn_dfs()) } else { run(builder.spawn_bfs()) };
    }
    ExitCode::SUCCESS
}

fn run(checker: impl Checker<Loan>) {
    let began = Instant::now();
    let promises = checker.model().promises();
    let mut n = 0;
    while !checker.is_done() {
        std::thread::sleep(Duration::from_millis(100));
        n += 1;
        if n % 100 == 0 {
        println!(
            "{:>5} s  {:>12} states, of which {} differ; depth {}",
            began.elapsed().as_secs(),
            checker.state_count(),
            checker.unique_state_count(),
            checker.max_depth()
        );
        }
    }
    for promise in promises {
        let found = checker.discovery(promise);
        let mark = match (checker.discovery_classification(promise), &found) {
            (_, None) => "",
            (stateright::DiscoveryClassification::Example, Some(_)) => "found ",
            (stateright::DiscoveryClassification::Counterexample, Some(path)) => {
                for action in path.clone().into_actions() {
                    println!("    {action:?}");
                }
                "BROKEN: "
            }
        };
        println!("{mark}{promise}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    println!(
        "{} states differ ({} reached), depth {}, in {:.1} s {peak}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f32()
    );
}
