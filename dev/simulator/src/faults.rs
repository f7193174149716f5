//! Faults that the control API orders: what goes wrong, on which route, how many times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A fault for the next requests of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// A route's template as in the request log, such as `POST /api/v4/itemshare`; `*` for every route of the service.
    pub route: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many requests; `u32::MAX` means all.
    pub times: u32,
}

impl Fault {
    /// A fault for the next request of a route.
    pub fn once(route: impl Into<String>, kind: FaultKind) -> Self {
        Self {
            route: route.into(),
            kind,
            times: 1,
        }
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum FaultKind {
    /// An error response; the request has no effect.
    Status {
        /// Any status from 200 to 599.
        status: u16,
        /// The text of the header `Retry-After`.
        retry_after: Option<String>,
    },
    /// An error response, although the request had its effect.
    StatusAfterEffect {
        /// Any status from 200 to 599.
        status: u16,
    },
    /// The correct response comes late.
    Delay {
        /// The delay in milliseconds.
        milliseconds: u64,
    },
    /// The correct response comes late, but the request has its effect at once.
    DelayAfterEffect {
        /// The delay in milliseconds.
        milliseconds: u64,
    },
    /// No response comes; the request has no effect.
    Hang,
    /// No response comes, although the request had its effect.
    HangAfterEffect,
    /// The connection is reset; the request has no effect.
    ResetBeforeEffect,
    /// The connection is reset, although the request had its effect.
    ResetAfterEffect,
    /// Status 200 and a body that is not JSON, although the request had its effect.
    Garbage,
    /// Status 200 and a body without an obvious end, although the request had its effect.
    Oversized {
        /// Its total length.
        bytes: u64,
    },
    /// Status 307; the request has no effect. The request log shows clients that follow it to the
    /// default location.
    Redirect {
        /// The location. Default: `/redirected` on the simulator.
        location: Option<String>,
    },
    /// The request's session has ended.
    ExpiredSession,
}

impl FaultKind {
    /// An error response without `Retry-After`.
    pub fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
        }
    }

    /// 429, with `Retry-After` if seconds are given.
    pub fn rate_limited(retry_after: Option<u64>) -> Self {
        Self::Status {
            status: 429,
            retry_after: retry_after.map(|seconds| seconds.to_string()),
        }
    }

    /// A late response.
    pub fn delay(by: Duration) -> Self {
        Self::Delay {
            milliseconds: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// A late response to a request that has its effect at once.
    pub fn delay_after_effect(by: Duration) -> Self {
        Self::DelayAfterEffect {
            milliseconds: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// For the request log.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Status { status, .. } => format!("status {status}"),
            Self::StatusAfterEffect { status } => format!("status {status} after the effect"),
            Self::Delay { milliseconds } => format!("delay of {milliseconds} ms"),
            Self::DelayAfterEffect { milliseconds } => {
                format!("delay of {milliseconds} ms after the effect")
            }
            Self::Hang => "hang".into(),
            Self::HangAfterEffect => "hang after the effect".into(),
            Self::ResetBeforeEffect => "reset before the effect".into(),
            Self::ResetAfterEffect => "reset after the effect".into(),
            Self::Garbage => "garbage".into(),
            Self::Oversized { bytes } => format!("{bytes} bytes"),
            Self::Redirect { .. } => "redirect".into(),
            Self::ExpiredSession => "expired session".into(),
        }
    }
}

/// The remaining faults, in order.
#[derive(Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Drops all faults.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the first fault that matches a request of this route.
    pub fn take(&mut self, route: &str) -> Option<FaultKind> {
        let fits = |fault: &&mut Fault| fault.route == route || fault.route == "*";
        let fault = self.0.iter_mut().find(fits)?;
        let kind = fault.kind.clone();
        if fault.times != u32::MAX {
            fault.times = fault.times.saturating_sub(1);
        }
        self.0.retain(|fault| fault.times > 0);
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_used_up_in_order_by_the_route_they_name() {
        let mut faults = Faults::default();
        faults.add(Fault {
            route: "GET /a".into(),
            kind: FaultKind::Hang,
            times: 2,
        });
        faults.add(Fault::once("*", FaultKind::Garbage));
        assert_eq!(faults.take("GET /a"), Some(FaultKind::Hang));
        assert_eq!(faults.take("GET /b"), Some(FaultKind::Garbage));
        assert_eq!(faults.take("GET /b"), None);
        assert_eq!(faults.take("GET /a"), Some(FaultKind::Hang));
        assert_eq!(faults.take("GET /a"), None);
    }

    #[test]
    fn a_fault_can_be_for_ever_until_it_is_cleared() {
        let mut faults = Faults::default();
        faults.add(Fault {
            route: "*".into(),
            kind: FaultKind::Hang,
            times: u32::MAX,
        });
        assert!((0..1000).all(|_| faults.take("GET /a").is_some()));
        faults.clear();
        assert_eq!(faults.take("GET /a"), None);
    }
}
