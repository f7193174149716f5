//! Slack, Teams and webhooks: what a receiver gets, and what its answer means.

use std::net::TcpListener;
use std::time::Duration;

use keyloan::notify::{Again, Channel, Parcel};
use rstest::rstest;
use serde_json::Value;

use super::receiver::{Answer, Receiver};
use super::{
    PATH, attempt, courier, courier_to, event, failure, impatient, notice, slack, url, webhook,
};

const LATER: Again = Again::Later { after: None };

#[tokio::test]
async fn people_get_a_notice_in_the_form_of_their_chat() {
    let receiver = Receiver::start().await;
    let to = receiver.url(PATH);
    let teams = Channel::Teams { url: url(&to) };
    for channel in [slack(&to), teams] {
        let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), None).await;
        sent.unwrap();
    }
    let received = receiver.received();
    let forms = [
        "/blocks/0/text/text",
        "/attachments/0/content/body/0/inlines/0/text",
    ];
    assert_eq!(received.len(), forms.len());
    for (request, pointer) in received.iter().zip(forms) {
        assert_eq!(request.path, PATH);
        assert_eq!(
            request.headers["content-type"],
            "application/json; charset=utf-8"
        );
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let subject = body.pointer(pointer).and_then(Value::as_str);
        assert_eq!(subject, Some(&*notice().subject), "{}", request.body);
    }
}

/// Each answer, whether another attempt makes sense, and the sentence.
#[rstest]
#[case::gone(
    Answer::With(404, vec![], "no_service"),
    LATER,
    "localhost answered with 404 (\"no_service\"): the URL may have been revoked: make a new one and put it into the Secret"
)]
#[case::not_liked(
    Answer::With(400, vec![], "invalid_blocks"),
    Again::Never,
    "localhost answered with 400 (\"invalid_blocks\"): it does not take this notice"
)]
#[case::too_many(
    Answer::With(429, vec![("retry-after", "30".into())], ""),
    Again::Later { after: Some(Duration::from_secs(30)) },
    "localhost answered with 429: it receives too many notices"
)]
#[case::too_many_until_a_date(
    Answer::With(429, vec![
        ("date", "Tue, 24 Nov 2026 10:50:00 GMT".into()),
        ("retry-after", "Tue, 24 Nov 2026 10:51:30 GMT".into()),
    ], ""),
    Again::Later { after: Some(Duration::from_secs(90)) },
    "localhost answered with 429: it receives too many notices"
)]
#[case::down(
    Answer::With(503, vec![("retry-after", "99999".into())], "<h1>Service Unavailable</h1>"),
    Again::Later { after: Some(Duration::from_secs(3600)) },
    "localhost answered with 503 (\"<h1>Service Unavailable</h1>\"): it cannot take notices at the moment"
)]
#[case::broken(
    Answer::With(500, vec![], ""),
    LATER,
    "localhost answered with 500: it cannot take notices at the moment"
)]
#[case::breaks_off(
    Answer::BreakOff,
    LATER,
    "the connection to localhost broke off before an answer came"
)]
#[tokio::test]
async fn an_answer_says_whether_another_attempt_makes_sense(
    #[case] answer: Answer,
    #[case] again: Again,
    #[case] says: &str,
) {
    let receiver = Receiver::start().await;
    receiver.answer_next(answer);
    let channel = slack(&receiver.url(PATH));
    let notice = notice();
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice), None).await;
    let failed = failure(sent);
    assert_eq!((failed.again, &*failed.to_string()), (again, says));
    // The next attempt is taken.
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice), None).await;
    assert_eq!(sent, Ok(()));
}

#[tokio::test]
async fn a_receiver_that_is_silent_is_given_up_in_time() {
    let receiver = Receiver::start().await;
    receiver.answer_next(Answer::Silence);
    let channel = webhook(&receiver.url(PATH));
    let sent = attempt(&impatient(), &channel, Parcel::Event(&event()), None).await;
    let failed = failure(sent);
    assert_eq!(failed.again, LATER);
    assert_eq!(failed.to_string(), "localhost did not answer within 1 s");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (receiver, target) = (Receiver::start().await, Receiver::start().await);
    for status in [301, 302, 307, 308] {
        let location = vec![("location", target.url("/elsewhere"))];
        receiver.answer_next(Answer::With(status, location, ""));
        let channel = webhook(&receiver.url(PATH));
        let sent = attempt(&courier(), &channel, Parcel::Event(&event()), None).await;
        let failed = failure(sent);
        assert_eq!(failed.again, LATER);
        assert!(
            failed.to_string().contains("redirects are not followed"),
            "{failed}"
        );
    }
    assert!(target.received().is_empty());
    // The target itself takes events.
    let channel = webhook(&target.url("/elsewhere"));
    let sent = attempt(&courier(), &channel, Parcel::Event(&event()), None).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(target.received().len(), 1);
}

#[rstest]
#[case::by_name("localhost")]
#[case::by_address("127.0.0.1")]
#[case::in_decimal("2130706433")]
#[case::in_hexadecimal("0x7f.1")]
#[case::in_octal("0177.0.0.1")]
#[case::mapped("[::ffff:127.0.0.1]")]
#[tokio::test]
async fn a_host_that_is_not_public_gets_nothing_unless_it_is_allowed(#[case] host: &str) {
    let receiver = Receiver::start().await;
    let to = receiver.url(PATH).replace("localhost", host);
    let event = event();
    let sent = attempt(&courier_to(&[]), &webhook(&to), Parcel::Event(&event), None).await;
    let failed = failure(sent);
    assert_eq!(failed.again, LATER);
    assert!(
        failed.to_string().contains("notifications.allow.hosts"),
        "{failed}"
    );
    assert!(receiver.received().is_empty());
    // With the name that is in the certificate, and allowed, it gets the event.
    let courier = courier_to(&["localhost"]);
    let sent = attempt(
        &courier,
        &webhook(&receiver.url(PATH)),
        Parcel::Event(&event),
        None,
    )
    .await;
    assert_eq!(sent, Ok(()));
    assert_eq!(receiver.received().len(), 1);
}

#[rstest]
#[case("https://169.254.169.254/latest/meta-data/")]
#[case("https://[fd00:ec2::254]/latest/meta-data/")]
#[case("https://10.96.0.1/api")]
#[case("https://[64:ff9b::a9fe:a9fe]/")]
#[case("https://[2002:a9fe:a9fe::]/")]
#[tokio::test]
async fn addresses_inside_a_cluster_are_refused_before_a_connection_is_made(#[case] to: &str) {
    let event = event();
    let sent = attempt(
        &courier_to(&["localhost"]),
        &webhook(to),
        Parcel::Event(&event),
        None,
    )
    .await;
    let failed = failure(sent).to_string();
    assert!(
        failed.contains("only addresses of the public internet"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let receiver = Receiver::start().await;
    let to = receiver.url(PATH);
    let allowed = keyloan::network::AllowedHosts::parse(&["localhost".to_owned()], &[]);
    let stranger = keyloan::notify::Courier::new(&Default::default(), allowed.unwrap()).unwrap();
    let notice = notice();
    let sent = attempt(&stranger, &slack(&to), Parcel::Notice(&notice), None).await;
    let failed = failure(sent);
    assert_eq!(failed.again, LATER);
    let says = failed.to_string();
    assert!(says.contains("issued by CN=Corp Inspection CA"), "{says}");
    assert!(says.contains("egress.caBundle"), "{says}");
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let receiver = Receiver::start().await;
    let to = receiver.url(PATH).replace("localhost", "127.0.0.1");
    let notice = notice();
    let sent = attempt(&courier(), &slack(&to), Parcel::Notice(&notice), None).await;
    let says = failure(sent).to_string();
    assert!(
        says.contains("have the receiver's certificate corrected"),
        "{says}"
    );
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_port_at_which_nobody_listens_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let channel = slack(&format!("https://localhost:{port}{PATH}"));
    let notice = notice();
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice), None).await;
    let failed = failure(sent);
    assert_eq!(failed.again, LATER);
    let says = failed.to_string();
    assert!(
        says.starts_with("cannot connect to localhost: Connection refused"),
        "{says}"
    );
}

#[tokio::test]
async fn each_channel_takes_its_kind_of_parcel_only() {
    let receiver = Receiver::start().await;
    let to = receiver.url(PATH);
    let (notice, event) = (notice(), event());
    let mixed = [
        (webhook(&to), Parcel::Notice(&notice)),
        (slack(&to), Parcel::Event(&event)),
    ];
    for (channel, parcel) in mixed {
        let sent = attempt(&courier(), &channel, parcel, None).await;
        assert_eq!(failure(sent).again, Again::Never);
    }
    assert!(receiver.received().is_empty());
}
