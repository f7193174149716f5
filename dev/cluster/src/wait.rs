//! Waits for something to become true, with a deadline and a clear error.

use std::time::{Duration, Instant};

/// How long between two looks.
const INTERVAL: Duration = Duration::from_millis(25);

/// What was waited for did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {waited:?} in vain until {what}")]
pub struct TimedOut {
    what: String,
    waited: Duration,
}

/// Looks again and again until there is a value: `what` completes the sentence "waited until ...".
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
        let value = wait_until("the third look", Duration::from_secs(5), async || {
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
            "waited 50ms in vain until the moon is blue"
        );
    }
}
