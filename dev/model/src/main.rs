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
use stateright::{Checker, Model};

/// Search every order of what can happen to a loan, within bounds
#[derive(Parser)]
struct Arguments {
    /// Search the wide bounds, which takes minutes
    #[arg(long)]
    deep: bool,
    /// Break the operator in this place; the search then has to find a broken promise
    #[arg(long, value_name = "PLACE")]
    broken: Option<Variant>,
    /// Stop after this many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bounds = match arguments.deep {
        true => Left::DEEP,
        false => Left::SMALL,
    };
    println!("bounds: {bounds:?}");
    let began = Instant::now();
    let model = Loan::new(bounds, arguments.broken);
    let promises = model.promises();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model
        .checker()
        .threads(threads)
        .timeout(Duration::from_secs(60 * arguments.minutes))
        .spawn_bfs();
    while !checker.is_done() {
        std::thread::sleep(Duration::from_secs(5));
        println!(
            "{:>5} s  {:>12} states, of which {} differ; depth {}",
            began.elapsed().as_secs(),
            checker.state_count(),
            checker.unique_state_count(),
            checker.max_depth()
        );
    }
    let mut is_broken = false;
    for promise in promises {
        let found = checker.discovery(promise);
        let mark = match (checker.discovery_classification(promise), &found) {
            (_, None) => "",
            (stateright::DiscoveryClassification::Example, Some(_)) => "",
            (stateright::DiscoveryClassification::Counterexample, Some(path)) => {
                is_broken = true;
                for action in path.clone().into_actions() {
                    println!("    {action:?}");
                }
                "BROKEN: "
            }
        };
        println!("{mark}{promise}");
    }
    println!(
        "{} states differ ({} reached), depth {}, in {} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs()
    );
    match is_broken == arguments.broken.is_some() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
