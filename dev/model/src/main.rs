//! Runs searches and prints what they found.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "prints to people and measures real time"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use keyloan_model::{Found, Left, Loan, Options, Search, Variant, story};

/// Search every order of what can happen to a loan, within bounds
#[derive(Parser)]
struct Arguments {
    /// Search within these bounds, such as crashes=1,decisions=1,renewals=1
    #[arg(long, conflicts_with = "deep")]
    bounds: Option<Left>,
    /// Search within wide bounds, which takes about ten minutes
    #[arg(long)]
    deep: bool,
    /// Break the operator in this place; the search then has to find a broken promise
    #[arg(long, value_name = "PLACE")]
    broken: Option<Variant>,
    /// Count every link that the borrower could read, also those that the promise excepts
    #[arg(long)]
    strict: bool,
    /// Stop a search after this many minutes
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Stop a search that needs about this many gigabytes
    #[arg(long, default_value_t = 8)]
    gigabytes: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = match (arguments.bounds, arguments.deep) {
        (Some(bounds), _) => vec![bounds],
        (None, true) => vec![Left::DEEP],
        (None, false) => Left::SMALL.to_vec(),
    };
    let mut broken = 0;
    for bounds in all {
        println!("bounds: {bounds}");
        match search(bounds, &arguments) {
            Some(more) => broken += more,
            None => {
                println!("the search was stopped: it has not seen everything");
                return ExitCode::FAILURE;
            }
        }
    }
    match (broken > 0) == arguments.broken.is_some() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Searches within these bounds, and prints its progress and result; returns how many promises are
/// broken, unless it did not see everything.
fn search(bounds: Left, arguments: &Arguments) -> Option<usize> {
    let mut model = Loan::new(bounds, arguments.broken);
    model.is_strict = arguments.strict;
    let options = Options {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        tells: false,
        most: arguments.gigabytes << 30,
    };
    let search = Search::new(&model, options);
    let began = Instant::now();
    let limit = Duration::from_secs(60 * arguments.minutes);
    let is_complete = std::thread::scope(|scope| {
        let done = scope.spawn(|| search.run());
        let mut said = Instant::now();
        while !done.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            if said.elapsed() >= Duration::from_secs(10) {
                said = Instant::now();
                println!("  {}", figures(&search, began));
            }
            if began.elapsed() >= limit {
                search.stop();
            }
        }
        done.join().unwrap_or(false)
    });
    println!("  {}", figures(&search, began));
    let seen = search.examples();
    for example in model.examples() {
        let word = if seen.contains(&example) {
            "seen"
        } else {
            "unseen"
        };
        println!("  {word:7} {example}");
    }
    let found = search.found();
    for promise in model.promises() {
        let is_broken = found.as_ref().is_some_and(|found| found.promise == promise);
        let word = match (is_broken, is_complete) {
            (true, _) => "BROKEN",
            (false, true) => "holds",
            (false, false) => "unknown",
        };
        println!("  {word:7} {promise}");
    }
    match found {
        Some(found) => {
            tell(&model, &found);
            Some(1)
        }
        None => is_complete.then_some(0),
    }
}

/// Searches again for a broken promise, within the bounds that breaking it took, and tells how.
fn tell(model: &Loan, found: &Found) {
    let is_strict = model.is_strict;
    let mut model = Loan::new(model.bounds.without(found.state.left), model.variant);
    model.is_strict = is_strict;
    let options = Options {
        threads: 1,
        tells: true,
        most: usize::MAX,
    };
    println!("  within {}:", model.bounds);
    let search = Search::new(&model, options);
    search.run();
    let told = search.found();
    for line in told.iter().flat_map(|told| story(&model, &told.story)) {
        println!("    {line}");
    }
    if let Some(told) = told {
        println!("  then \"{}\" is broken", told.promise);
    }
}

fn figures(search: &Search<'_>, began: Instant) -> String {
    let progress = search.progress();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!(
        "{} states ({} reached), {} waiting, left {}, {:.1} s, peak {}",
        progress.states,
        progress.reached,
        progress.waiting,
        progress.left,
        began.elapsed().as_secs_f32(),
        peak.unwrap_or("unknown").trim()
    )
}
