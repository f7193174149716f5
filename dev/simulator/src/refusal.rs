//! The service's refusals: a status, and a reason for developers. The core reads only the status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::crypto::CryptoError;

/// The reason of a refusal, for the log.
#[derive(Clone)]
pub struct Why(pub String);

/// An error response.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    reason: String,
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            retry_after: None,
        }
    }

    /// 400: the request is invalid, or a policy forbids it.
    pub fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 401: no valid credential, session or MAC.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, reason)
    }

    /// 403: authenticated, but without the right.
    pub fn forbidden(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, reason)
    }

    /// 404: the object does not exist.
    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// 409: the object has changed in the meantime, or exists already.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, reason)
    }

    /// 410: the object no longer exists.
    pub fn gone(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, reason)
    }

    /// 500: the simulator itself failed.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
    }

    /// 429, with the number of seconds after which to try again.
    pub fn rate_limited(reason: impl Into<String>, retry_after: u64) -> Self {
        let retry_after = Some(retry_after);
        Self {
            retry_after,
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, reason)
        }
    }
}

impl From<CryptoError> for Refusal {
    /// Only for data that the simulator itself seals: invalid data from clients is refused with
    /// `bad_request`.
    fn from(error: CryptoError) -> Self {
        Self::internal(error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "errorCode": self.status.as_u16(), "errorMessage": &self.reason }));
        let mut response = (self.status, body).into_response();
        response.extensions_mut().insert(Why(self.reason));
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
