//! The requests that are sent, and their records.

use rstest::rstest;

use super::*;
use crate::network::{Clients, Hindrance, Unreached};

const HOME: &str = "https://my.1password.com";

fn egress() -> Egress {
    egress_to(HOME)
}

fn egress_to(origin: &str) -> Egress {
    let options = CoreOptions::default();
    let clients = Clients::new(&options.network, options.connect_timeout);
    Egress::new(
        clients.expect("a way out").renewed(),
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

#[rstest]
#[case::no_such_name("https://no-such-host.invalid", Hindrance::Name)]
#[case::nobody_listens("http://127.0.0.1:9", Hindrance::Refused)]
#[tokio::test]
async fn why_no_connection_can_be_made_is_told(#[case] origin: &str, #[case] by: Hindrance) {
    let egress = egress_to(origin);
    let reply = egress.send(request(&format!("{origin}/api")), vec![]).await;
    assert_eq!(reply.expect("no answer").status, 0);
    let seen = &egress.journal.exchanges()[0];
    let silent = Outcome::Silent(NoAnswer::Connect(Unreached::Host(by)));
    assert_eq!(seen.outcome, silent, "{:?}", seen.cause);
    assert!(seen.cause.is_some());
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
