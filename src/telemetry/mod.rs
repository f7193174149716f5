//! What the operator tells: logs, metrics, and the audit log of requests and loans. None of them ever holds a secret, and no metric an object's name.

mod audit;
mod logs;
mod metrics;

pub use audit::Audit;
pub use logs::{LogError, LogFormat, LogSettings, start_logging};
pub use metrics::{
    ApiCall, CauseLabel, DecisionLabel, LinkLabel, Metrics, NoticeLabel, PhaseLabel, RequestLabel,
};
