//! E-mail, against a real mail server.

use keyloan::api::MailSecurity;
use keyloan::notify::{Again, Channel, Credentials, Parcel};
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::{
    REASON, USER, attempt, courier, courier_to, failure, impatient, mail_server, mailer, notice,
    person,
};

const LATER: Again = Again::Later { after: None };

#[rstest]
#[case("StartTLS", MailSecurity::StartTLS)]
#[case("TLS", MailSecurity::TLS)]
#[tokio::test]
async fn each_person_gets_a_message_of_their_own_over_an_encrypted_connection(
    #[case] offered: &str,
    #[case] security: MailSecurity,
) {
    let mut server = mail_server(offered, |_| {}).await;
    let channel = Channel::Mail(mailer("localhost", server.port(), security));
    let people = [person("bob"), person("carol")];
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), &people).await;
    sent.unwrap();
    for person in &people {
        let mail = server.next_mail().await.unwrap();
        assert_eq!(
            (&*mail.from, &*mail.to),
            ("keyloan@example.com", &[person.0.clone()][..])
        );
        assert_eq!(mail.user.as_deref(), Some(USER));
        assert!(mail.encrypted);
        let (headers, body) = mail.content.split_once("\r\n\r\n").unwrap();
        assert!(headers.contains(&format!("To: {person}")), "{headers}");
        assert!(
            headers.contains("Subject: alice@example.com asks for Infra/db"),
            "{headers}"
        );
        assert!(
            headers.contains("Auto-Submitted: auto-generated"),
            "{headers}"
        );
        assert_eq!(
            body.matches(REASON).count(),
            2,
            "in plain text and in HTML: {body}"
        );
    }
}

#[tokio::test]
async fn a_server_that_asks_for_no_user_is_told_none() {
    let mut server = mail_server("StartTLS", |options| options.credentials = None).await;
    let mut mailer = mailer("localhost", server.port(), MailSecurity::StartTLS);
    mailer.credentials = None;
    let channel = Channel::Mail(mailer);
    let sent = attempt(
        &courier(),
        &channel,
        Parcel::Notice(&notice()),
        &[person("bob")],
    )
    .await;
    sent.unwrap();
    assert_eq!(server.next_mail().await.unwrap().user, None);
}

#[tokio::test]
async fn nobody_to_write_to_needs_no_server() {
    let channel = Channel::Mail(mailer("localhost", 1, MailSecurity::TLS));
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), &[]).await;
    assert_eq!(sent, Ok(()));
}

/// What is wrong, and the sentence. None of these servers receives a message.
#[rstest]
#[case::no_start_tls(
    "None",
    MailSecurity::StartTLS,
    "localhost",
    "it does not offer STARTTLS"
)]
#[case::certificate_for_another_name(
    "StartTLS",
    MailSecurity::StartTLS,
    "127.0.0.1",
    "certificate corrected"
)]
#[case::certificate_for_another_name_with_tls(
    "TLS",
    MailSecurity::TLS,
    "127.0.0.1",
    "certificate corrected"
)]
#[case::encrypts_from_the_beginning(
    "TLS",
    MailSecurity::StartTLS,
    "localhost",
    "did not answer within 1 s"
)]
#[case::does_not_encrypt_from_the_beginning(
    "StartTLS",
    MailSecurity::TLS,
    "localhost",
    "cannot connect to localhost"
)]
#[tokio::test]
async fn nothing_is_said_to_a_server_without_the_right_encryption(
    #[case] offered: &str,
    #[case] security: MailSecurity,
    #[case] host: &str,
    #[case] why: &str,
) {
    let mut server = mail_server(offered, |_| {}).await;
    let channel = Channel::Mail(mailer(host, server.port(), security));
    let bob = [person("bob")];
    let sent = attempt(&impatient(), &channel, Parcel::Notice(&notice()), &bob).await;
    let failed = failure(sent);
    assert_eq!((failed.again, &*failed.remaining), (LATER, &bob[..]));
    assert!(failed.to_string().contains(why), "{failed}");
    // The first message that this server receives is the one of an honest mailer, if it has one.
    let security = match offered {
        "StartTLS" => MailSecurity::StartTLS,
        "TLS" => MailSecurity::TLS,
        _ => return,
    };
    let channel = Channel::Mail(mailer("localhost", server.port(), security));
    let carol = [person("carol")];
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), &carol).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(server.next_mail().await.unwrap().to, ["carol@example.com"]);
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_refused() {
    let server = mail_server("StartTLS", |_| {}).await;
    let allowed = keyloan::network::AllowedHosts::parse(&["localhost".to_owned()], &[]);
    let stranger = keyloan::notify::Courier::new(&Default::default(), allowed.unwrap()).unwrap();
    let channel = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let sent = attempt(
        &stranger,
        &channel,
        Parcel::Notice(&notice()),
        &[person("bob")],
    )
    .await;
    let says = failure(sent).to_string();
    assert!(says.contains("issued by CN=Corp Inspection CA"), "{says}");
}

#[tokio::test]
async fn a_relay_inside_the_cluster_is_refused_unless_it_is_allowed() {
    let server = mail_server("StartTLS", |_| {}).await;
    let channel = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let (notice, bob) = (notice(), [person("bob")]);
    let sent = attempt(&courier_to(&[]), &channel, Parcel::Notice(&notice), &bob).await;
    let says = failure(sent).to_string();
    assert!(
        says.contains("add localhost to the chart's value"),
        "{says}"
    );
    let sent = attempt(
        &courier_to(&["localhost"]),
        &channel,
        Parcel::Notice(&notice),
        &bob,
    )
    .await;
    assert_eq!(sent, Ok(()));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_again_with_the_right_one() {
    let mut server = mail_server("StartTLS", |_| {}).await;
    let mut wrong = mailer("localhost", server.port(), MailSecurity::StartTLS);
    wrong.credentials = Some(Credentials::parse(USER.as_bytes(), b"wrong-horse").unwrap());
    let (notice, bob) = (notice(), [person("bob")]);
    let channel = Channel::Mail(wrong);
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice), &bob).await;
    let failed = failure(sent);
    assert_eq!((failed.again, &*failed.remaining), (LATER, &bob[..]));
    assert_eq!(
        failed.to_string(),
        "localhost does not accept the user and the password (535): put the right ones into the Secret"
    );
    let right = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let sent = attempt(&courier(), &right, Parcel::Notice(&notice), &bob).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(
        server.next_mail().await.unwrap().user.as_deref(),
        Some(USER)
    );
}

#[tokio::test]
async fn one_recipient_who_is_refused_keeps_nobody_else_from_the_notice() {
    let mut server = mail_server("StartTLS", |options| {
        options
            .refuses
            .insert("busy@example.com", "451 4.7.1 greylisted");
    })
    .await;
    let channel = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let people = ["nobody", "bob", "busy", "carol"].map(person);
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), &people).await;
    let failed = failure(sent);
    // Those who have it are not sent it again, and who is refused for good is told once.
    assert_eq!(
        (failed.again, &*failed.remaining),
        (LATER, &[person("busy")][..])
    );
    assert_eq!(
        failed.to_string(),
        "nobody@example.com: localhost answered with 550 (\"5.1.1 no such user\"): it does not take \
         this message; busy@example.com: localhost answered with 451 (\"4.7.1 greylisted\"): it \
         cannot take the message at the moment"
    );
    for name in ["bob", "carol"] {
        assert_eq!(server.next_mail().await.unwrap().to, [person(name).0]);
    }
    let nobody = [person("nobody")];
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), &nobody).await;
    let failed = failure(sent);
    assert_eq!(
        (failed.again, &*failed.remaining),
        (Again::Never, &nobody[..])
    );
}

#[tokio::test]
async fn a_server_that_never_stops_talking_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let talking = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.write_all(b"220-welcome\r\n").await.is_ok() {}
    });
    let channel = Channel::Mail(mailer("localhost", port, MailSecurity::StartTLS));
    let sent = attempt(
        &courier(),
        &channel,
        Parcel::Notice(&notice()),
        &[person("bob")],
    )
    .await;
    let failed = failure(sent);
    assert!(
        failed
            .to_string()
            .contains("it does not speak SMTP on this port"),
        "{failed}"
    );
    talking.await.unwrap();
}
