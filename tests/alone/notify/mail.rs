//! E-mail, against a real mail server.

use keyloan::api::MailSecurity;
use keyloan::notify::{About, Again, Channel, Credentials, Parcel};
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
    for person in &[person("bob"), person("carol")] {
        let sent = attempt(
            &courier(),
            &channel,
            Parcel::Notice(&notice()),
            Some(person),
        )
        .await;
        sent.unwrap();
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
        Some(&person("bob")),
    )
    .await;
    sent.unwrap();
    assert_eq!(server.next_mail().await.unwrap().user, None);
}

#[tokio::test]
async fn a_mail_to_nobody_is_given_up() {
    let channel = Channel::Mail(mailer("localhost", 1, MailSecurity::TLS));
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice()), None).await;
    assert_eq!(failure(sent).again, Again::Never);
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
    let bob = person("bob");
    let sent = attempt(
        &impatient(),
        &channel,
        Parcel::Notice(&notice()),
        Some(&bob),
    )
    .await;
    let failed = failure(sent);
    assert_eq!((failed.again, failed.about), (LATER, About::Server));
    assert!(failed.to_string().contains(why), "{failed}");
    // The first message that this server receives is the one of an honest mailer, if it has one.
    let security = match offered {
        "StartTLS" => MailSecurity::StartTLS,
        "TLS" => MailSecurity::TLS,
        _ => return,
    };
    let channel = Channel::Mail(mailer("localhost", server.port(), security));
    let carol = person("carol");
    let sent = attempt(
        &courier(),
        &channel,
        Parcel::Notice(&notice()),
        Some(&carol),
    )
    .await;
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
        Some(&person("bob")),
    )
    .await;
    let says = failure(sent).to_string();
    assert!(says.contains("issued by CN=Corp Inspection CA"), "{says}");
}

#[tokio::test]
async fn a_relay_inside_the_cluster_is_refused_unless_it_is_allowed() {
    let server = mail_server("StartTLS", |_| {}).await;
    let channel = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let (notice, bob) = (notice(), person("bob"));
    let sent = attempt(
        &courier_to(&[]),
        &channel,
        Parcel::Notice(&notice),
        Some(&bob),
    )
    .await;
    let says = failure(sent).to_string();
    assert!(
        says.contains("add localhost to the chart's value"),
        "{says}"
    );
    let sent = attempt(
        &courier_to(&["localhost"]),
        &channel,
        Parcel::Notice(&notice),
        Some(&bob),
    )
    .await;
    assert_eq!(sent, Ok(()));
}

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_again_with_the_right_one() {
    let mut server = mail_server("StartTLS", |_| {}).await;
    let mut wrong = mailer("localhost", server.port(), MailSecurity::StartTLS);
    wrong.credentials = Some(Credentials::parse(USER.as_bytes(), b"wrong-horse").unwrap());
    let (notice, bob) = (notice(), person("bob"));
    let channel = Channel::Mail(wrong);
    let sent = attempt(&courier(), &channel, Parcel::Notice(&notice), Some(&bob)).await;
    let failed = failure(sent);
    assert_eq!((failed.again, failed.about), (LATER, About::Server));
    assert_eq!(
        failed.to_string(),
        "localhost does not accept the user and the password (535): put the right ones into the Secret"
    );
    let right = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let sent = attempt(&courier(), &right, Parcel::Notice(&notice), Some(&bob)).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(
        server.next_mail().await.unwrap().user.as_deref(),
        Some(USER)
    );
}

#[tokio::test]
async fn what_a_server_says_of_one_recipient_is_not_about_the_others() {
    let mut server = mail_server("StartTLS", |options| {
        options
            .refuses
            .insert("busy@example.com", "451 4.7.1 greylisted");
    })
    .await;
    let channel = Channel::Mail(mailer("localhost", server.port(), MailSecurity::StartTLS));
    let notice = notice();
    let tell = async |name: &str| {
        let parcel = Parcel::Notice(&notice);
        attempt(&courier(), &channel, parcel, Some(&person(name))).await
    };
    let busy = failure(tell("busy").await);
    assert_eq!((busy.again, busy.about), (LATER, About::Receiver));
    assert_eq!(
        busy.to_string(),
        "localhost answered with 451 (\"4.7.1 greylisted\"): it cannot take the message at the moment"
    );
    let nobody = failure(tell("nobody").await);
    assert_eq!(
        (nobody.again, nobody.about),
        (Again::Never, About::Receiver)
    );
    assert_eq!(
        nobody.to_string(),
        "localhost answered with 550 (\"5.1.1 no such user\"): it does not take this message"
    );
    assert_eq!(tell("carol").await, Ok(()));
    assert_eq!(server.next_mail().await.unwrap().to, [person("carol").0]);
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
        Some(&person("bob")),
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
