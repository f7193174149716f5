//! What the operator tells about itself: logs and metrics. Neither ever holds a secret, and no metric an object's name.

mod logs;
mod metrics;

pub use logs::{LogError, LogFormat, LogSettings, start_logging};
pub use metrics::{
    ApiCall, CauseLabel, DecisionLabel, LinkLabel, Metrics, PhaseLabel, RequestLabel,
};
