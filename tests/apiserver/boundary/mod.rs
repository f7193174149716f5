//! Is the boundary in force? The admission policies of a real API server are broken, one way after the other, and mended.

mod breaking;
mod keeping;
mod kinds;
mod looking;
mod operator;
mod telling;

use crate::support::DEADLINE;

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, waiting).await;
    assert!(in_time.is_ok(), "not within {DEADLINE:?}: {what}");
}

/// The value of a metric on the page that tells them all.
fn count(page: &str, metric: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(&format!("keyloan_{metric} ")));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}
