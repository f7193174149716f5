//! Making a call once more that got no answer: where one thing takes many calls, one that fails would have all of them made again, and asked
//! of 1Password once more what it was asked.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::errors::{ApiError, Trouble};

/// So often more at most.
const TIMES: usize = 3;
/// The first wait; the next ones are longer.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Makes a call, and makes it again where it failed by nobody's refusal; but one that has used up its time is not made again. Twice must be
/// as good as once.
pub async fn insistently<T, F>(call: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let waits = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_times(TIMES)
        .with_jitter();
    call.retry(waits)
        .when(|error| matches!(error.trouble, Trouble::Unavailable(_)))
        .await
}
