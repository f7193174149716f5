//! Sends a notice to one person by e-mail, over a connection that is encrypted before anything about
//! the notice or the user is said.

mod line;
mod start_tls;

use std::time::Duration;

use http::Uri;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;

use crate::api::{Email, MailSecurity};
use crate::desk::notice::Notice;
use crate::network::GuardedConnector;

use self::line::Line;
use super::channel::Mailer;
use super::mail;
use super::secrets::Credentials;
use super::undelivered::{Again, Undelivered, quoted};

/// The time for saying good-bye.
const QUIT: Duration = Duration::from_secs(1);

/// Sends the notice to this person. `limit` bounds each step: the connection, and the message.
pub(super) async fn send(
    connector: &GuardedConnector,
    mailer: &Mailer,
    notice: &Notice,
    to: &Email,
    limit: Duration,
) -> Result<(), Undelivered> {
    let too_late = || Undelivered::too_late(&mailer.server, limit);
    let opened = tokio::time::timeout(limit, open(connector, mailer)).await;
    let opened = opened.unwrap_or_else(|_| Err(too_late()));
    let mut connection = opened.map_err(Undelivered::of_server)?;
    let sent = tokio::time::timeout(limit, one(&mut connection, mailer, notice, to)).await;
    tokio::time::timeout(QUIT, connection.quit()).await.ok();
    sent.unwrap_or_else(|_| Err(too_late()))
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
    let mut connection = greeted.map_err(|error| refused(mailer, &error, &[]).again())?;
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

/// Sends the message.
async fn one(
    connection: &mut AsyncSmtpConnection,
    mailer: &Mailer,
    notice: &Notice,
    to: &Email,
) -> Result<(), Undelivered> {
    let unwritten = |error: mail::Unwritten| Undelivered::never(error.to_string());
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
    let announced = announced.await;
    announced.map_err(|error| refused(mailer, &error, &[]))?;
    let sent = connection.message(&message).await;
    // A server may repeat the message as it was sent, or as a reader sees it.
    let says = mail::text(notice);
    let read = [&*String::from_utf8_lossy(&message), &says];
    sent.map_err(|error| refused(mailer, &error, &read))?;
    Ok(())
}

/// What the error of a command means.
fn refused(mailer: &Mailer, error: &smtp::Error, sent: &[&str]) -> Undelivered {
    let host = &mailer.server;
    let Some(code) = error.status() else {
        return Undelivered::later(match error.is_response() {
            true => format!("{host} does not answer as a mail server"),
            false => format!("the connection to {host} broke off"),
        });
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
    let later = Again::Later { after: None };
    let (again, advice) = match &*code {
        "530" => (later, "it asks to sign in: set the notifier's credentials"),
        _ if error.is_transient() => (later, "it cannot take the message at the moment"),
        _ => (Again::Never, "it does not take this message"),
    };
    let why = format!("{host} answered with {code}{quote}: {advice}");
    let failed = Undelivered::new(again, why);
    match &*code {
        "530" => failed.of_server(),
        _ => failed,
    }
}
