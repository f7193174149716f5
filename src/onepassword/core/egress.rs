//! The only way out of the sandbox: HTTP to the token's own origin, bounded in time and size, and
//! recorded.
//!
//! Redirects are not followed, nothing is repeated, cookies are not kept, and the environment's
//! proxy settings are ignored: a request of the core is sent once, straight to the token's origin,
//! or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::no_response::NoResponse;
use super::options::{CoreOptions, UnixClock};
use super::trust;
use crate::onepassword::{Exchange, NoAnswer, Origin, Outcome, Route};

/// The minimum wait. 1Password may ask for less, or name a time in the past, but a request that it
/// has just limited is not repeated at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// The maximum wait. 1Password or something in between may ask for more, but its longest limit is
/// counted by the day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// One sandbox's access to the network.
pub(super) struct Egress {
    client: reqwest::Client,
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

/// The client that all sandboxes share. It keeps connections, never anything about a caller.
pub(super) fn client(options: &CoreOptions) -> Result<reqwest::Client, ClientError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust::config()?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(1)
        .build()?;
    Ok(client)
}

/// The reason why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS to 1Password: {0}")]
    Tls(#[from] rustls::Error),
    /// The client cannot be created.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Egress {
    pub(super) fn new(
        client: reqwest::Client,
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
        let (Some(url), Ok(method)) = (target, Method::from_bytes(method.as_bytes())) else {
            entry.end(Outcome::Silent(NoAnswer::Foreign));
            return Err(Foreign);
        };
        if (self.clock)() > self.journal.until {
            entry.end(Outcome::Silent(NoAnswer::TooLate));
            return Ok(Reply::default());
        }
        let request = self
            .client
            .request(method, url)
            .headers(headers_of(&request.headers))
            .timeout(self.exchange_timeout)
            .body(body);
        match self.exchange(request).await {
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
        request: reqwest::RequestBuilder,
    ) -> Result<(Outcome, Reply), NoResponse> {
        let response = request
            .send()
            .await
            .map_err(|error| NoResponse::of(&error))?;
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

    async fn read(&self, mut response: Response) -> Result<Zeroizing<Vec<u8>>, NoResponse> {
        let announced =
            usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > self.max_response {
            return Err(NoAnswer::TooLarge.into());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| NoResponse::of(&error))?
        {
            if body.len() + chunk.len() > self.max_response {
                return Err(NoAnswer::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
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
    wanted
        .iter()
        .filter_map(|(name, value)| {
            Some((
                HeaderName::from_bytes(name.as_bytes()).ok()?,
                HeaderValue::from_str(value).ok()?,
            ))
        })
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
