//! The one way out of the sandbox: HTTP to the token's own origin, bounded in time and size, and written down.
//!
//! Redirects are not followed, nothing is repeated, cookies are not kept, and the proxy settings of the environment
//! are not looked at: what the core asks for is sent once, straight to where the token says, or not at all.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::trust::Trust;
use super::{CoreOptions, UnixClock};
use crate::onepassword::{Exchange, NoAnswer, Origin, Outcome, Route, Unreached};

/// 1Password may ask us to wait for less, or for a time that is over: what it has just limited is not sent again at once.
const SHORTEST_WAIT: Duration = Duration::from_secs(5);

/// 1Password may ask us to wait for longer, or something in between may: its longest limit is counted by the day.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// One sandbox's access to the network.
pub(super) struct Egress {
    client: reqwest::Client,
    trust: Arc<Trust>,
    origin: Origin,
    exchange_timeout: Duration,
    max_response: usize,
    clock: UnixClock,
    /// Where this call's exchanges are written down; the caller holds the other end.
    pub(super) journal: Journal,
}

/// The exchanges of one call, and until when it may begin any. Shared, so that they outlive a call that is broken off.
#[derive(Clone)]
pub(super) struct Journal {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    until: Timestamp,
}

/// What the core asks for.
#[derive(Deserialize)]
pub(super) struct Request {
    url: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// What the core gets: a status of 0 stands for "no answer".
#[derive(Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// The core asked for something that it must not have: its sandbox has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request to another origin than the token's")]
pub(super) struct Foreign;

/// The way to the network that all sandboxes share.
#[derive(Clone)]
pub(super) struct Network {
    client: reqwest::Client,
    trust: Arc<Trust>,
}

/// Makes it. It keeps connections, never anything about a caller.
pub(super) fn network(options: &CoreOptions) -> Result<Network, NetworkError> {
    let trust = Arc::new(Trust::of_this_machine()?);
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust.clone().config()?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .pool_max_idle_per_host(1)
        .build()?;
    Ok(Network { client, trust })
}

/// Why there is no way to the network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// TLS cannot be set up.
    #[error("cannot set up TLS to 1Password: {0}")]
    Tls(#[from] rustls::Error),
    /// The HTTP client cannot be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Egress {
    pub(super) fn new(
        network: Network,
        origin: Origin,
        options: &CoreOptions,
        clock: UnixClock,
    ) -> Self {
        let Network { client, trust } = network;
        Self {
            client,
            trust,
            origin,
            exchange_timeout: options.exchange_timeout,
            max_response: options.max_response,
            clock,
            journal: Journal::until(Timestamp::MAX),
        }
    }

    /// Sends the request, unless it leads elsewhere than to the token's origin, or comes too late: a time-out stands still while the
    /// machine sleeps, and a link that was made afterwards would open for longer than its record says.
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
            Err(Silence { why, cause }) => {
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
    ) -> Result<(Outcome, Reply), Silence> {
        let response = request.send().await.map_err(|error| self.silence(&error))?;
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
        // The core looks at the body of a success only, so nobody needs to read any other.
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

    async fn read(&self, mut response: Response) -> Result<Zeroizing<Vec<u8>>, Silence> {
        let announced =
            usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        if announced > self.max_response {
            return Err(NoAnswer::TooLarge.into());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(announced));
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.silence(&error))?
        {
            if body.len() + chunk.len() > self.max_response {
                return Err(NoAnswer::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Why nothing came back.
    fn silence(&self, error: &reqwest::Error) -> Silence {
        let first: &(dyn Error + 'static) = error;
        let causes = || iter::successors(Some(first), |error| (*error).source());
        if !error.is_connect() {
            let timed_out = error.is_timeout();
            let why = if timed_out {
                NoAnswer::Timeout
            } else {
                NoAnswer::Interrupted
            };
            return why.into();
        }
        if let Some(tls) = causes().find_map(tls_error) {
            let distrusts = matches!(tls, rustls::Error::InvalidCertificate(_));
            let issuer = distrusts.then(|| self.trust.issuer_refused()).flatten();
            return Silence {
                why: NoAnswer::Connect(match distrusts {
                    true => Unreached::Untrusted,
                    false => Unreached::Other,
                }),
                cause: Some(match issuer {
                    Some(issuer) => format!("{tls}; it is issued by {issuer}").into(),
                    None => tls.to_string().into(),
                }),
            };
        }
        let refused = |error: &(dyn Error + 'static)| {
            error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        };
        let unresolved = |error: &(dyn Error + 'static)| error.to_string().contains("dns error");
        let why = if causes().any(refused) {
            Unreached::Refused
        } else if causes().any(unresolved) {
            Unreached::Name
        } else {
            Unreached::Other
        };
        // What lies at the bottom names what happened, and no address with a path.
        let bottom = causes().last().map(|error| error.to_string().into());
        Silence {
            why: NoAnswer::Connect(why),
            cause: bottom,
        }
    }
}

/// Why nothing came back, and what the network says of it.
struct Silence {
    why: NoAnswer,
    cause: Option<Arc<str>>,
}

impl From<NoAnswer> for Silence {
    fn from(why: NoAnswer) -> Self {
        Self { why, cause: None }
    }
}

/// The TLS error that an error is or holds: an I/O error shows what it wraps to nobody who only asks for its source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(tls) = error.downcast_ref() {
        return Some(tls);
    }
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    tls_error(wrapped)
}

impl Journal {
    /// Of a call that begins nothing after that.
    pub(super) fn until(until: Timestamp) -> Self {
        Self {
            exchanges: Arc::default(),
            until,
        }
    }

    /// Everything written down so far.
    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Writes an exchange down before it begins: if the call is broken off, it was a time-out.
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
    /// What the network says of it, where nothing comes back.
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

/// The core's headers, but for those that belong to the connection.
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

fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(header::DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// `Retry-After` in either form, within reason; a date only means something beside the `Date` of the same answer.
fn retry_after(headers: &HeaderMap, date: Option<Timestamp>) -> Option<Duration> {
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
mod tests {
    use super::*;
    use rstest::rstest;

    const HOME: &str = "https://my.1password.com";

    fn egress() -> Egress {
        egress_to(HOME)
    }

    fn egress_to(origin: &str) -> Egress {
        let options = CoreOptions::default();
        Egress::new(
            network(&options).expect("a client"),
            Origin::parse(origin).expect("an origin"),
            &options,
            Arc::new(|| Timestamp::UNIX_EPOCH),
        )
    }

    fn request(url: &str) -> Request {
        Request {
            url: url.to_owned(),
            method: None,
            headers: BTreeMap::new(),
        }
    }

    #[rstest]
    #[case::scheme("http://my.1password.com/api")]
    #[case::port("https://my.1password.com:8443/api")]
    #[case::neighbour("https://your.1password.com/api")]
    #[case::parent("https://1password.com/api")]
    #[case::look_alike("https://my.1password.com.evil.example/api")]
    #[case::user("https://my.1password.com@evil.example/api")]
    #[case::credentials("https://a:b@my.1password.com/api")]
    #[case::file("file:///etc/passwd")]
    #[case::nonsense("my.1password.com")]
    #[tokio::test]
    async fn nothing_but_the_tokens_origin_is_asked(#[case] url: &str) {
        let egress = egress();
        assert_eq!(
            egress.send(request(url), Vec::new()).await.err(),
            Some(Foreign)
        );
        let seen = egress.journal.exchanges();
        assert_eq!(seen[0].outcome, Outcome::Silent(NoAnswer::Foreign));
    }

    #[tokio::test]
    async fn nothing_is_sent_once_the_calls_time_is_over_by_the_wall_clock() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let mut egress = egress_to(&origin);
        let second = Timestamp::from_second;
        egress.journal = Journal::until(second(-1).expect("in range"));
        let url = format!("{origin}/api/v4/itemshare");
        let reply = egress.send(request(&url), Vec::new()).await;
        assert_eq!(reply.expect("no answer").status, 0);
        assert!(listener.accept().is_err(), "nobody came");
        let seen = egress.journal.exchanges();
        assert_eq!(seen[0].outcome, Outcome::Silent(NoAnswer::TooLate));
        assert!(!seen[0].was_sent());
    }

    #[test]
    fn the_tokens_origin_may_be_written_in_any_way() {
        for url in [
            "https://my.1password.com/api?x=1",
            "https://MY.1password.com:443/",
        ] {
            assert!(
                egress().leads_home(&Url::parse(url).expect("a URL")),
                "{url}"
            );
        }
    }

    #[test]
    fn headers_of_the_connection_are_not_the_cores_business() {
        let wanted = [
            ("Host", "evil.example"),
            ("Content-Length", "0"),
            ("x-agilebits-mac", "v1|1|x"),
            ("bad name", "x"),
        ];
        let wanted = wanted
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let passed = headers_of(&wanted);
        assert_eq!(passed.len(), 1);
        assert_eq!(passed["x-agilebits-mac"], "v1|1|x");
    }

    #[rstest]
    #[case("30", Some(30))]
    #[case("Mon, 23 Nov 2026 12:01:00 GMT", Some(60))]
    #[case::past("Mon, 23 Nov 2026 11:00:00 GMT", Some(5))]
    #[case::at_once("0", Some(5))]
    #[case::a_day("86400", Some(86_400))]
    #[case::a_year("31536000", Some(86_400))]
    #[case::a_date_in_a_year("Tue, 23 Nov 2027 12:00:00 GMT", Some(86_400))]
    #[case::more_than_a_number_holds("99999999999999999999999", Some(86_400))]
    #[case::negative("-5", None)]
    #[case::empty("", None)]
    #[case("soon", None)]
    fn retry_after_is_understood_in_both_forms_and_kept_within_reason(
        #[case] text: &str,
        #[case] seconds: Option<u64>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::DATE,
            HeaderValue::from_static("Mon, 23 Nov 2026 12:00:00 GMT"),
        );
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from_str(text).expect("a header"),
        );
        let date = date_of(&headers);
        assert_eq!(
            retry_after(&headers, date),
            seconds.map(Duration::from_secs)
        );
    }

    /// Made by `openssl req -x509 -newkey ed25519 -nodes -days 36500 -subj "/CN=Corp Inspection CA" -addext subjectAltName=DNS:localhost`.
    const INSPECTING: &str = include_str!("inspecting_proxy.pem");

    /// What people use to read their traffic: something that answers for 1Password with a certificate of its own.
    fn inspecting() -> String {
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let certificate = CertificateDer::from_pem_slice(INSPECTING.as_bytes()).expect("one");
        let key = PrivateKeyDer::from_pem_slice(INSPECTING.as_bytes()).expect("its key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a server");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut server = rustls::ServerConnection::new(Arc::new(config)).expect("a server");
            // It ends with the alert by which the client refuses the certificate.
            while server.is_handshaking() && server.complete_io(&mut stream).is_ok() {}
        });
        format!("https://localhost:{port}")
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_trusted_is_told_with_its_issuer() {
        let origin = inspecting();
        let egress = egress_to(&origin);
        let reply = egress
            .send(request(&format!("{origin}/api/v3/auth/start")), vec![])
            .await;
        assert_eq!(reply.expect("no answer").status, 0);
        let seen = &egress.journal.exchanges()[0];
        let untrusted = Outcome::Silent(NoAnswer::Connect(Unreached::Untrusted));
        assert_eq!(seen.outcome, untrusted, "{:?}", seen.cause);
        let cause = seen.cause.as_deref().expect("a cause");
        assert!(
            cause.ends_with("it is issued by CN=Corp Inspection CA"),
            "{cause}"
        );
    }

    #[rstest]
    #[case::no_such_name("https://no-such-host.invalid", Unreached::Name)]
    #[case::nobody_listens("http://127.0.0.1:9", Unreached::Refused)]
    #[tokio::test]
    async fn why_no_connection_can_be_made_is_told(#[case] origin: &str, #[case] why: Unreached) {
        let egress = egress_to(origin);
        let reply = egress.send(request(&format!("{origin}/api")), vec![]).await;
        assert_eq!(reply.expect("no answer").status, 0);
        let seen = &egress.journal.exchanges()[0];
        let silent = Outcome::Silent(NoAnswer::Connect(why));
        assert_eq!(seen.outcome, silent, "{:?}", seen.cause);
        assert!(!seen.was_sent());
    }

    #[test]
    fn an_exchange_that_is_broken_off_was_a_time_out() {
        let journal = Journal::until(Timestamp::MAX);
        let _never_ended = journal.begin("POST", Route::Share);
        assert_eq!(
            journal.exchanges()[0].outcome,
            Outcome::Silent(NoAnswer::Timeout)
        );
    }
}
