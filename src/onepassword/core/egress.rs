//! The only way out of the sandbox: HTTP to the token's own origin, bounded in time and size, and
//! recorded.
//!
//! Redirects are not followed, nothing is repeated, and cookies are not kept: a request of the core
//! is sent once, to the token's origin, or not at all. A proxy on the way has no say in it.

use std::collections::BTreeMap;
use std::error::Error;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::options::{CoreOptions, UnixClock};
use crate::network::{HttpClient, Unconnected};
use crate::onepassword::{Exchange, NoAnswer, Origin, Outcome, Route};

/// The minimum wait. 1Password may ask for less, or name a time in the past, but a request that it
/// has just limited is not repeated at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// The maximum wait. 1Password or something in between may ask for more, but its longest limit is
/// counted by the day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// One sandbox's access to the network.
pub(super) struct Egress {
    client: HttpClient,
    origin: Origin,
    exchange_timeout: Duration,
    max_response: usize,
    clock: UnixClock,
    /// The record of this call's exchanges; the caller holds the other end.
    pub(super) journal: Journal,
}

/// The exchanges of one call, and the time until which it may begin any. Shared, so that they
/// outlive a call that is aborted.
#[derive(Clone)]
pub(super) struct Journal {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    until: Timestamp,
}

/// The core's request.
#[derive(Deserialize)]
pub(super) struct Request {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The core's reply: a status of 0 means "no answer".
#[derive(Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// The core requested something forbidden: its sandbox has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request to another origin than the token's")]
pub(super) struct Foreign;

/// The reason why nothing came back, and the network's explanation.
struct NoResponse {
    why: NoAnswer,
    cause: Option<Arc<str>>,
}

impl Egress {
    pub(super) fn new(
        client: HttpClient,
        origin: Origin,
        options: &CoreOptions,
        clock: UnixClock,
    ) -> Self {
        Self {
            client,
            origin,
            exchange_timeout: options.exchange_timeout,
            max_response: options.max_response,
            clock,
            journal: Journal::until(Timestamp::MAX),
        }
    }

    /// Sends the request, unless it goes to another origin than the token's or is too late. A
    /// time-out stands still while the machine sleeps, and a link that was made afterwards would
    /// open for longer than its record says.
    pub(super) async fn send(&self, request: Request, body: Vec<u8>) -> Result<Reply, Foreign> {
        let method = request.method.as_deref().unwrap_or("GET");
        let target = Url::parse(&request.url)
            .ok()
            .filter(|url| self.leads_home(url));
        let route = target
            .as_ref()
            .map_or(Route::Unknown, |url| Route::of(method, url.path()));
        let mut entry = self.journal.begin(method_name(method), route);
        let uri = target.and_then(|url| url.as_str().parse::<Uri>().ok());
        let (Some(uri), Ok(method)) = (uri, Method::from_bytes(method.as_bytes())) else {
            entry.end(Outcome::Silent(NoAnswer::Foreign));
            return Err(Foreign);
        };
        if (self.clock)() > self.journal.until {
            entry.end(Outcome::Silent(NoAnswer::TooLate));
            return Ok(Reply::default());
        }
        let mut sent = http::Request::new(Full::new(Bytes::from(body)));
        *sent.method_mut() = method;
        *sent.uri_mut() = uri;
        *sent.headers_mut() = headers_of(&request.headers);
        let exchanged = tokio::time::timeout(self.exchange_timeout, self.exchange(sent)).await;
        match exchanged.unwrap_or_else(|_| Err(NoAnswer::Timeout.into())) {
            Ok((outcome, reply)) => {
                entry.end(outcome);
                Ok(reply)
            }
            Err(NoResponse { why, cause }) => {
                entry.cause = cause;
                entry.end(Outcome::Silent(why));
                Ok(Reply::default())
            }
        }
    }

    fn leads_home(&self, url: &Url) -> bool {
        let anonymous = url.username().is_empty() && url.password().is_none();
        anonymous && Origin::of(url).as_ref() == Some(&self.origin)
    }

    async fn exchange(
        &self,
        request: http::Request<Full<Bytes>>,
    ) -> Result<(Outcome, Reply), NoResponse> {
        let response = self.client.request(request).await;
        let response = response.map_err(|error| NoResponse::of(&error))?;
        let status = response.status();
        let date = date_of(response.headers());
        let outcome = Outcome::Answered {
            status: status.as_u16(),
            retry_after: retry_after(response.headers(), date),
            date,
        };
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        // The core reads only the body of a success, so other bodies are not read.
        let body = if status.is_success() {
            self.read(response).await?
        } else {
            Zeroizing::default()
        };
        Ok((
            outcome,
            Reply {
                status: status.as_u16(),
                headers,
                body,
            },
        ))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Zeroizing<Vec<u8>>, NoResponse> {
        let mut incoming = response.into_body();
        let announced = incoming.size_hint().exact().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > self.max_response {
            return Err(NoAnswer::TooLarge.into());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| NoResponse::of(&error))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            if body.len() + chunk.len() > self.max_response {
                return Err(NoAnswer::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl From<NoAnswer> for NoResponse {
    fn from(why: NoAnswer) -> Self {
        Self { why, cause: None }
    }
}

impl NoResponse {
    /// The reason why a request had no answer.
    fn of(error: &(dyn Error + 'static)) -> Self {
        let mut causes = iter::successors(Some(error), |error| (*error).source());
        match causes.find_map(|error| error.downcast_ref::<Unconnected>()) {
            Some(unconnected) => Self {
                why: NoAnswer::Connect(unconnected.why),
                cause: Some(unconnected.to_string().into()),
            },
            None => NoAnswer::Interrupted.into(),
        }
    }
}

impl Journal {
    /// A journal of a call that begins no exchange after this time.
    pub(super) fn until(until: Timestamp) -> Self {
        Self {
            exchanges: Arc::default(),
            until,
        }
    }

    /// All exchanges recorded so far.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records an exchange before it begins: if the call is aborted, it counts as a time-out.
    fn begin(&self, method: &'static str, route: Route) -> Entry<'_> {
        let mut exchanges = self
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        exchanges.push(Exchange {
            method,
            route,
            outcome: Outcome::Silent(NoAnswer::Timeout),
            cause: None,
        });
        Entry {
            journal: self,
            index: exchanges.len() - 1,
            cause: None,
        }
    }
}

struct Entry<'a> {
    journal: &'a Journal,
    index: usize,
    /// The network's explanation, if nothing comes back.
    cause: Option<Arc<str>>,
}

impl Entry<'_> {
    fn end(self, outcome: Outcome) {
        let mut exchanges = self
            .journal
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let exchange = &mut exchanges[self.index];
        exchange.outcome = outcome;
        exchange.cause = self.cause;
        tracing::debug!(
            method = exchange.method,
            route = exchange.route.template(),
            ?outcome,
            "1Password"
        );
    }
}

fn method_name(method: &str) -> &'static str {
    ["GET", "POST", "PUT"]
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("OTHER")
}

/// The core's headers, without those that belong to the connection.
fn headers_of(wanted: &BTreeMap<String, String>) -> HeaderMap {
    let of_connection = [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ];
    let wanted = wanted.iter().filter_map(|(name, value)| {
        Some((
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value).ok()?,
        ))
    });
    wanted
        .filter(|(name, _)| !of_connection.contains(name))
        .collect()
}

pub(super) fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// `Retry-After` in either form, within bounds. A date means something only relative to the `Date`
/// of the same answer.
pub(super) fn retry_after(headers: &HeaderMap, date: Option<Timestamp>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let wait = if is_number {
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let wait = http_date(text)?.duration_since(date?);
        Duration::try_from(wait).unwrap_or_default()
    };
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
