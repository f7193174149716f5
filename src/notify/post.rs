//! Sends one message to a receiver by HTTP, and says what the answer means. Redirects are not
//! followed.

use std::error::Error;
use std::iter;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::network::{GuardedClient, NoConnection};

use super::secrets::SecretUrl;
use super::undelivered::{Again, Undelivered, quoted};

/// How much of an answer is read, in bytes, and for how long.
const READ: usize = 4096;
const READING: Duration = Duration::from_secs(2);

/// The longest wait that a receiver may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// A message for a receiver.
pub(super) struct Post<'a> {
    pub(super) url: &'a SecretUrl,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Sends it. The caller bounds the time.
pub(super) async fn send(
    client: &GuardedClient,
    post: Post<'_>,
    now: Timestamp,
) -> Result<(), Undelivered> {
    let host = post.url.host();
    let Some(request) = request(&post) else {
        return Err(Undelivered::never(format!(
            "the message for {host} cannot be sent: its id or its URL is no text for HTTP"
        )));
    };
    let answered = client.http.request(request).await;
    let answer = answered.map_err(|error| unanswered(host, &error))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let wait = retry_after(answer.headers(), now);
    let text = tokio::time::timeout(READING, read(answer.into_body())).await;
    let secrets = [post.url.secret_part()];
    let quote = quoted(&text.unwrap_or_default(), &secrets, &[&post.body]);
    Err(refused(host, status, wait, &quote))
}

fn request(post: &Post<'_>) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(Bytes::from(post.body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = post.url.expose().parse::<Uri>().ok()?;
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(post.content_type),
    );
    headers.insert(header::USER_AGENT, HeaderValue::from_static("keyloan"));
    for (name, value) in &post.headers {
        let value = HeaderValue::from_str(value).ok()?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Some(request)
}

/// No answer came: there was no connection, or it broke off.
fn unanswered(host: &str, error: &(dyn Error + 'static)) -> Undelivered {
    let mut causes = iter::successors(Some(error), |error| (*error).source());
    match causes.find_map(|error| error.downcast_ref::<NoConnection>()) {
        Some(error) => Undelivered::unconnected(host, error),
        None => Undelivered::later(format!(
            "the connection to {host} broke off before an answer came"
        )),
    }
}

/// The beginning of an answer's body.
async fn read(mut body: Incoming) -> String {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let fits = data.len().min(READ - read.len());
            read.extend_from_slice(&data[..fits]);
        }
        if read.len() == READ {
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

fn refused(host: &str, status: StatusCode, wait: Option<Duration>, quote: &str) -> Undelivered {
    let later = Again::Later { after: wait };
    let (again, advice) = match status.as_u16() {
        300..=399 => (
            later,
            "redirects are not followed: put the URL to which it leads into the Secret",
        ),
        408 | 425 => (later, "it asks to send the notice again"),
        429 => (later, "it receives too many notices"),
        // A gateway answers so, too, while the receiver behind it is away.
        401 | 403 | 404 | 410 => (
            later,
            "the URL may have been revoked: make a new one and put it into the Secret",
        ),
        413 => (Again::Never, "it does not take a notice of this size"),
        400..=499 => (Again::Never, "it does not take this notice"),
        _ => (later, "it cannot take notices at the moment"),
    };
    let status = status.as_u16();
    Undelivered::new(
        again,
        format!("{host} answered with {status}{quote}: {advice}"),
    )
}

/// `Retry-After` in either form, bounded. A date counts from the `Date` of the same answer if it
/// has one.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let wanted = text(header::RETRY_AFTER)?;
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match is_number {
        true => wanted.parse().map_or(Duration::MAX, Duration::from_secs),
        false => {
            let from = text(header::DATE).and_then(http_date).unwrap_or(now);
            let wait = http_date(wanted)?.duration_since(from);
            Duration::try_from(wait).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        of.iter().map(pair).collect()
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::seconds(&[("retry-after", "30")], Some(30))]
    #[case::too_long(&[("retry-after", "86400")], Some(3600))]
    #[case::far_too_long(&[("retry-after", "99999999999999999999")], Some(3600))]
    #[case::none_to_wait(&[("retry-after", "0")], Some(0))]
    #[case::negative(&[("retry-after", "-5")], None)]
    #[case::no_time(&[("retry-after", "soon")], None)]
    #[case::date(&[("retry-after", "Tue, 24 Nov 2026 10:51:00 GMT")], Some(60))]
    #[case::date_by_its_own_clock(
        &[("retry-after", "Tue, 24 Nov 2026 12:00:30 GMT"), ("date", "Tue, 24 Nov 2026 12:00:00 GMT")],
        Some(30)
    )]
    #[case::past(&[("retry-after", "Tue, 24 Nov 2026 10:00:00 GMT")], Some(0))]
    fn a_receiver_says_how_long_to_wait(
        #[case] of: &[(&'static str, &'static str)],
        #[case] seconds: Option<u64>,
    ) {
        let now = "2026-11-24T10:50:00Z".parse().unwrap();
        let wait = retry_after(&headers(of), now);
        assert_eq!(wait.map(|wait| wait.as_secs()), seconds);
    }

    #[rstest]
    #[case(302, true)]
    #[case(400, false)]
    #[case(401, true)]
    #[case(404, true)]
    #[case(408, true)]
    #[case(410, true)]
    #[case(413, false)]
    #[case(422, false)]
    #[case(425, true)]
    #[case(429, true)]
    #[case(500, true)]
    #[case(503, true)]
    fn a_status_says_whether_another_attempt_makes_sense(#[case] status: u16, #[case] again: bool) {
        let wait = Some(Duration::from_secs(9));
        let status = StatusCode::from_u16(status).unwrap();
        let refused = refused("hooks.example.com", status, wait, " (\"no_service\")");
        let expected = match again {
            true => Again::Later { after: wait },
            false => Again::Never,
        };
        assert_eq!(refused.again, expected);
        let says = refused.to_string();
        let begin = format!(
            "hooks.example.com answered with {} (\"no_service\"): ",
            status.as_u16()
        );
        assert!(says.starts_with(&begin), "{says}");
    }
}
