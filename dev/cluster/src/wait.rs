//! Waits until a condition holds, with a deadline and a clear error.

use std::time::{Duration, Instant};

/// The interval between two checks.
const INTERVAL: Duration = Duration::from_millis(25);

/// The condition did not hold in time.
#[derive(Debug, thiserror::Error)]
#[error("timed out after {waited:?} waiting until {what}")]
pub struct TimedOut {
    what: String,
    waited: Duration,
}

/// Checks repeatedly until there is a value: `what` completes the sentence "waiting until ...".
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(path: &std::path::Path) -> Result<(), keyloan_cluster::TimedOut> {
/// let text = keyloan_cluster::wait_until("the file is there", Duration::from_secs(5), async || {
///     std::fs::read_to_string(path).ok()
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn wait_until<T>(
    what: impl Into<String>,
    at_most: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    let started = Instant::now();
    loop {
        if let Some(value) = look().await {
            return Ok(value);
        }
        if started.elapsed() >= at_most {
            return Err(TimedOut {
                what: what.into(),
                waited: at_most,
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_value_is_returned_as_soon_as_there_is_one() {
        let mut looks = 0;
        let value = wait_until("the third check", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some("there")
        });
        assert_eq!(value.await.unwrap(), "there");
    }

    #[tokio::test]
    async fn waiting_in_vain_says_for_what() {
        let look = async || None::<()>;
        let error = wait_until("the moon is blue", Duration::from_millis(50), look).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "timed out after 50ms waiting until the moon is blue"
        );
    }
}
