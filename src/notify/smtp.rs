//! Sends a notice by e-mail: one message for each person, over one connection, which is encrypted
//! before anything about the notice or the user is said.

mod line;
mod start_tls;

use std::time::Duration;

use http::Uri;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;

use crate::api::{Email, MailSecurity};
use crate::desk::notice::Notice;
use crate::network::GuardedConnector;

use self::line::Line;
use super::channel::Mailer;
use super::mail;
use super::secrets::Credentials;
use super::undelivered::{Again, Undelivered, quoted};

/// The time for all messages of one notice, in times of one step.
const STEPS: u32 = 6;

/// The time for saying good-bye.
const QUIT: Duration = Duration::from_secs(1);

/// The number of people whom a sentence names.
const NAMED: usize = 3;

/// A message that was not sent.
struct Failure {
    why: Undelivered,
    /// The connection cannot be used for the next message.
    is_broken: bool,
}

/// Sends the notice to these people. `limit` bounds each step: the connection, and each message.
pub(super) async fn send(
    connector: &GuardedConnector,
    mailer: &Mailer,
    notice: &Notice,
    to: &[Email],
    limit: Duration,
) -> Result<(), Undelivered> {
    if to.is_empty() {
        return Ok(());
    }
    let too_late = || Undelivered::too_late(&mailer.server, limit);
    let opened = tokio::time::timeout(limit, open(connector, mailer)).await;
    let opened = opened.unwrap_or_else(|_| Err(too_late()));
    let mut connection = opened.map_err(|error| error.with_remaining(to.to_vec()))?;
    let mut failed = Vec::new();
    let mut done = 0;
    let all = async {
        for person in to {
            let sent = tokio::time::timeout(limit, one(&mut connection, mailer, notice, person));
            let sent = sent.await.unwrap_or_else(|_| {
                let (why, is_broken) = (too_late(), true);
                Err(Failure { why, is_broken })
            });
            done += 1;
            if let Err(Failure { why, is_broken }) = sent {
                failed.push((person.clone(), why));
                if is_broken {
                    break;
                }
            }
        }
        tokio::time::timeout(QUIT, connection.quit()).await.ok();
    };
    tokio::time::timeout(limit * STEPS, all).await.ok();
    let left = to
        .iter()
        .skip(done)
        .map(|person| (person.clone(), too_late()));
    failed.extend(left);
    together(failed)
}

/// One failure for all people who have not got the notice: for those for whom another attempt makes
/// sense, if there are any.
fn together(failed: Vec<(Email, Undelivered)>) -> Result<(), Undelivered> {
    let is_later = |(_, why): &&(Email, Undelivered)| why.again != Again::Never;
    let (later, never): (Vec<_>, Vec<_>) = failed.iter().partition(is_later);
    let decisive = if later.is_empty() { &never } else { &later };
    let Some((_, first)) = decisive.first() else {
        return Ok(());
    };
    // The reasons of those for whom nothing follows are told now or never.
    let told = never.iter().chain(&later).take(NAMED);
    let told: Vec<_> = told
        .map(|(person, why)| format!("{person}: {why}"))
        .collect();
    let mut message = told.join("; ");
    if failed.len() > NAMED {
        message += &format!("; and {} more", failed.len() - NAMED);
    }
    let remaining = decisive.iter().map(|(person, _)| person.clone());
    Err(Undelivered::new(first.again, message).with_remaining(remaining.collect()))
}

/// A connection that is encrypted and, if the mailer has credentials, signed in.
async fn open(
    connector: &GuardedConnector,
    mailer: &Mailer,
) -> Result<AsyncSmtpConnection, Undelivered> {
    let host = &*mailer.server;
    let own_name = mailer.from.domain();
    let unconnected = |error| Undelivered::unconnected(host, &error);
    let encrypted = uri("smtps", mailer)?;
    let line = match mailer.security {
        MailSecurity::TLS => {
            let wire = connector.connect(&encrypted).await;
            Line::fresh(wire.map_err(unconnected)?)
        }
        MailSecurity::StartTLS => {
            let wire = connector.connect(&uri("smtp", mailer)?).await;
            let mut wire = wire.map_err(unconnected)?;
            let started = start_tls::start(&mut wire, own_name).await;
            started.map_err(|error| {
                let port = mailer.port;
                Undelivered::later(format!(
                    "{host} cannot be used on port {port} with StartTLS: {error}; check the \
                     server's port and its settings, or set security: TLS if it encrypts from the \
                     beginning (mostly on port 465)"
                ))
            })?;
            Line::greeted(
                connector
                    .secure(wire, &encrypted)
                    .await
                    .map_err(unconnected)?,
            )
        }
    };
    let own_name = ClientId::Domain(own_name.to_owned());
    let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(line), &own_name).await;
    let mut connection = greeted.map_err(|error| refused(mailer, &error, "").why)?;
    if let Some(credentials) = &mailer.credentials {
        sign_in(&mut connection, host, credentials).await?;
    }
    Ok(connection)
}

fn uri(scheme: &str, mailer: &Mailer) -> Result<Uri, Undelivered> {
    let Mailer { server, port, .. } = mailer;
    let uri = format!("{scheme}://{server}:{port}").parse();
    uri.map_err(|_| Undelivered::never(format!("{server} is not the name of a mail server")))
}

/// No answer is quoted: it could repeat what it was told.
async fn sign_in(
    connection: &mut AsyncSmtpConnection,
    host: &str,
    credentials: &Credentials,
) -> Result<(), Undelivered> {
    let mechanisms = [Mechanism::Plain, Mechanism::Login];
    if connection
        .server_info()
        .get_auth_mechanism(&mechanisms)
        .is_none()
    {
        return Err(Undelivered::later(format!(
            "{host} offers no way to sign in that Keyloan knows (AUTH PLAIN or LOGIN): take the \
             credentials out of the notifier if the server asks for none"
        )));
    }
    let (user, password) = (
        credentials.user().to_owned(),
        credentials.password().to_owned(),
    );
    let credentials = smtp::authentication::Credentials::new(user, password);
    let signed_in = connection.auth(&mechanisms, &credentials).await;
    match signed_in {
        Ok(_) => Ok(()),
        Err(error) => Err(Undelivered::later(match error.status() {
            Some(code) if error.is_permanent() => format!(
                "{host} does not accept the user and the password ({code}): put the right ones \
                 into the Secret"
            ),
            Some(code) => format!("{host} cannot check the user and the password now ({code})"),
            None => format!("the connection to {host} broke off while signing in"),
        })),
    }
}

/// Sends one message.
async fn one(
    connection: &mut AsyncSmtpConnection,
    mailer: &Mailer,
    notice: &Notice,
    to: &Email,
) -> Result<(), Failure> {
    let unwritten = |error: mail::Unwritten| Failure {
        why: Undelivered::never(error.to_string()),
        is_broken: false,
    };
    let message = mail::message(notice, &mailer.from, to).map_err(unwritten)?;
    let from = mail::address(&mailer.from).map_err(unwritten)?;
    let recipient = mail::address(to).map_err(unwritten)?;
    let message = message.formatted();
    let announced = async {
        connection
            .command(Mail::new(Some(from), Vec::new()))
            .await?;
        connection.command(Rcpt::new(recipient, Vec::new())).await?;
        connection.command(Data).await
    };
    let mut failure = match announced.await {
        Err(error) => refused(mailer, &error, ""),
        Ok(_) => match connection.message(&message).await {
            Err(error) => refused(mailer, &error, &String::from_utf8_lossy(&message)),
            Ok(_) => return Ok(()),
        },
    };
    failure.is_broken = failure.is_broken || connection.command(Rset).await.is_err();
    Err(failure)
}

/// What the error of a command means.
fn refused(mailer: &Mailer, error: &smtp::Error, sent: &str) -> Failure {
    let host = &mailer.server;
    let Some(code) = error.status() else {
        let why = match error.is_response() {
            true => format!("{host} does not answer as a mail server"),
            false => format!("the connection to {host} broke off"),
        };
        return Failure {
            why: Undelivered::later(why),
            is_broken: true,
        };
    };
    let code = code.to_string();
    let answer = std::error::Error::source(error).map(ToString::to_string);
    let credentials = mailer.credentials.as_ref();
    let secrets = credentials.map(|secret| [secret.user(), secret.password()]);
    let quote = quoted(
        &answer.unwrap_or_default(),
        secrets.as_ref().map_or(&[], |both| both),
        sent,
    );
    let (again, advice) = match &*code {
        "530" => (
            Again::Later { after: None },
            "it asks to sign in: set the notifier's credentials",
        ),
        _ if error.is_transient() => (
            Again::Later { after: None },
            "it cannot take the message at the moment",
        ),
        _ => (Again::Never, "it does not take this message"),
    };
    Failure {
        why: Undelivered::new(
            again,
            format!("{host} answered with {code}{quote}: {advice}"),
        ),
        is_broken: code == "421",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Email {
        Email(format!("{name}@example.com"))
    }

    #[test]
    fn only_those_who_may_still_get_it_remain() {
        let failed = vec![
            (person("bob"), Undelivered::never("no such user")),
            (person("carol"), Undelivered::later("try again")),
        ];
        let error = together(failed).unwrap_err();
        assert_eq!(error.again, Again::Later { after: None });
        assert_eq!(error.remaining, [person("carol")]);
        let says = error.to_string();
        assert_eq!(
            says,
            "bob@example.com: no such user; carol@example.com: try again"
        );
    }

    #[test]
    fn if_nobody_can_get_it_any_more_all_of_them_are_told() {
        let people = ["a", "b", "c", "d", "e"];
        let never = |name: &&str| (person(name), Undelivered::never("no"));
        let error = together(people.iter().map(never).collect()).unwrap_err();
        assert_eq!(error.again, Again::Never);
        assert_eq!(error.remaining, people.map(person));
        let says = error.to_string();
        assert_eq!(
            says,
            "a@example.com: no; b@example.com: no; c@example.com: no; and 2 more"
        );
        assert!(together(Vec::new()).is_ok());
    }
}
