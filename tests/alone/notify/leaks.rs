//! No failure shows a secret: neither in its sentence nor in any log.

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use keyloan::api::MailSecurity;
use keyloan::network::{AllowedHosts, NetworkSettings};
use keyloan::notify::{Channel, Courier, Parcel};
use tracing::instrument::WithSubscriber as _;
use tracing_subscriber::fmt::MakeWriter;

use super::receiver::{Answer, Receiver};
use super::{
    KEY, OTHER_KEY, PASSWORD, PATH, REASON, USER, courier_to, event, failure, impatient,
    mail_server, mailer, notice, now, person, slack, url, webhook,
};

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One attempt that fails, and everything that it showed.
async fn shown(courier: &Courier, channel: &Channel, parcel: Parcel<'_>) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let attempt = async {
        let failed = failure(
            courier
                .deliver(channel, parcel, Some(&person("bob")), now())
                .await,
        );
        format!("{failed}\n{failed:?}\n{channel:?}\n")
    };
    let said = attempt.with_subscriber(subscriber).await;
    let logged = log.0.lock().unwrap().clone();
    let logged = String::from_utf8(logged).unwrap();
    assert!(
        logged.contains("not delivered"),
        "the log is captured: {logged}"
    );
    said + &logged
}

fn check(of: &str, shown: &str) {
    let sign_in = BASE64_STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let password = BASE64_STANDARD.encode(PASSWORD);
    let [key, other] = [KEY, OTHER_KEY].map(|key| key.trim_start_matches("whsec_"));
    let parts = PATH.split('/').filter(|part| part.len() > 8);
    let secrets = [REASON, PASSWORD, &password, &sign_in, key, other];
    for secret in secrets.into_iter().chain(parts) {
        assert!(!shown.contains(secret), "{of} shows {secret}: {shown}");
    }
}

/// Repeats all that it was told.
fn echo(status: u16) -> Answer {
    Answer::With(
        status,
        vec![("location", format!("https://localhost{PATH}"))],
        "{path} {body}",
    )
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn stranger() -> Courier {
    let allowed = AllowedHosts::parse(&["localhost".to_owned()], &[]).unwrap();
    Courier::new(&NetworkSettings::default(), allowed).unwrap()
}

#[tokio::test]
async fn no_failure_of_a_webhook_or_chat_shows_a_secret() {
    let receiver = Receiver::start().await;
    let answers = [
        ("404", echo(404)),
        ("429", echo(429)),
        ("500", echo(500)),
        ("302", echo(302)),
        ("silence", Answer::Silence),
        ("an end", Answer::BreakOff),
    ];
    let nobody = format!("https://localhost:{}{PATH}", free_port());
    let (notice, event) = (notice(), event());
    let (notice, event) = (Parcel::Notice(&notice), Parcel::Event(&event));
    let channels = |to: &str| {
        let teams = Channel::Teams { url: url(to) };
        [(slack(to), notice), (teams, notice), (webhook(to), event)]
    };
    for (channel, parcel) in channels(&receiver.url(PATH)) {
        for (of, answer) in &answers {
            receiver.answer_next(answer.clone());
            check(of, &shown(&impatient(), &channel, parcel).await);
        }
        check(
            "wrong certificate",
            &shown(&stranger(), &channel, parcel).await,
        );
        check(
            "not allowed",
            &shown(&courier_to(&[]), &channel, parcel).await,
        );
    }
    for (channel, parcel) in channels(&nobody) {
        check("refused", &shown(&impatient(), &channel, parcel).await);
    }
}

#[tokio::test]
async fn no_failure_of_mail_shows_a_secret() {
    let (notice, security) = (notice(), MailSecurity::StartTLS);
    let parcel = Parcel::Notice(&notice);
    let plain = mail_server("None", |_| {}).await;
    let other = mail_server("StartTLS", |options| {
        options.credentials = Some((USER, "other"))
    })
    .await;
    let echo = mail_server("StartTLS", |options| {
        options.refuses_messages = Some("554 5.6.0 not this: {message}");
    })
    .await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = [
        ("no STARTTLS", plain.port(), impatient()),
        ("wrong password", other.port(), impatient()),
        ("refused message", echo.port(), impatient()),
        ("wrong certificate", echo.port(), stranger()),
        ("not allowed", echo.port(), courier_to(&[])),
        ("silence", silent.local_addr().unwrap().port(), impatient()),
        ("refused", free_port(), impatient()),
    ];
    for (of, port, courier) in cases {
        let channel = Channel::Mail(mailer("localhost", port, security));
        check(of, &shown(&courier, &channel, parcel).await);
    }
}

/// The check itself finds what it looks for.
#[test]
#[should_panic(expected = "a test shows")]
fn a_secret_that_is_shown_is_found() {
    check("a test", &format!("POST {PATH} failed"));
}
