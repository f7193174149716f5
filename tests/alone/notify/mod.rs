//! The senders of notices against real receivers.

mod guide;
mod https;
mod leaks;
mod mail;
#[path = "../../support/private_server.rs"]
mod private_server;
#[path = "../../support/receiver.rs"]
mod receiver;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keyloan::api::{Email, MailSecurity, NoticeEvent};
use keyloan::desk::cloud_event::{CloudEvent, Data, Person, SCHEMA};
use keyloan::desk::notice::{Audience, Notice};
use keyloan::network::{AllowedHosts, NetworkSettings};
use keyloan::notify::{
    Channel, Courier, Credentials, Mailer, Parcel, SecretUrl, SigningKey, Undelivered,
};
use keyloan::plan::timeline::Subject;
use keyloan_cluster::{MailServer, MailServerOptions};

use crate::plan::world::World;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// The path of a URL, as Slack makes them.
const PATH: &str = "/services/T0A1B2C3D/B9Z8Y7X6W/abcDEF123ghiJKL456";
const USER: &str = "keyloan-mailer";
const PASSWORD: &str = "correct-horse-battery";
const REASON: &str = "INC-1234: the replica lags behind, by Alice";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/private-ca")
        .join(name)
}

fn owned(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// A courier that trusts the authority of the fixtures and may reach these hosts.
fn courier_to(hosts: &[&str]) -> Courier {
    let network = NetworkSettings {
        ca_bundle: Some(fixture("ca.pem")),
        ..NetworkSettings::default()
    };
    let allowed = AllowedHosts::parse(&owned(hosts), &[]).unwrap();
    Courier::new(&network, allowed).unwrap()
}

fn courier() -> Courier {
    courier_to(&["localhost", "127.0.0.1"])
}

/// A courier that waits as long as nothing but silence takes.
fn impatient() -> Courier {
    courier().with_attempt(Duration::from_secs(1))
}

fn now() -> Timestamp {
    "2026-11-24T10:50:07Z".parse().unwrap()
}

/// What those who can approve are told of alice's request.
fn notice() -> Notice {
    let world = World::by_owner_and_two_of_security().with(|w| {
        w.grant().spec.justification = Some(REASON.to_owned());
        w.requester().username = "alice@example.com".to_owned();
    });
    let subject = Subject {
        grant: world.seen.grant.as_deref(),
        record: None,
    };
    let steps = subject.steps(None, now());
    let mut requests = steps.iter();
    let request = requests.find(|step| step.event == NoticeEvent::Requested);
    Notice::of(&subject, request.unwrap(), Audience::Approvers, None)
}

fn event() -> CloudEvent {
    CloudEvent {
        specversion: "1.0",
        id: "5f6c1f0e-0001/Requested".to_owned(),
        source: "/keyloan/prod".to_owned(),
        kind: "dev.keyloan.requested".to_owned(),
        subject: "team-a/alice-db".to_owned(),
        time: "2026-11-24T10:50:00Z".parse().unwrap(),
        datacontenttype: "application/json",
        dataschema: SCHEMA,
        data: Data {
            justification: Some(REASON.to_owned()),
            requester: Some(Person {
                username: "Zoë".to_owned(),
                email: None,
            }),
            ..Data::default()
        },
    }
}

fn url(text: &str) -> SecretUrl {
    SecretUrl::parse(text.as_bytes()).unwrap()
}

fn slack(to: &str) -> Channel {
    Channel::Slack { url: url(to) }
}

fn webhook(to: &str) -> Channel {
    let keys = [KEY, OTHER_KEY].map(|key| SigningKey::parse(key.as_bytes()).unwrap());
    Channel::Webhook {
        url: url(to),
        keys: keys.into(),
    }
}

fn person(name: &str) -> Email {
    Email(format!("{name}@example.com"))
}

fn mailer(server: &str, port: u16, security: MailSecurity) -> Mailer {
    Mailer {
        server: server.to_owned(),
        port,
        security,
        credentials: Some(Credentials::parse(USER.as_bytes(), PASSWORD.as_bytes()).unwrap()),
        from: person("keyloan"),
    }
}

async fn mail_server(
    security: &str,
    change: impl FnOnce(&mut MailServerOptions<'_>),
) -> MailServer {
    let (certificate, key) = (fixture("server.pem"), fixture("server-key.pem"));
    let mut options = MailServerOptions {
        security,
        certificate: &certificate,
        key: &key,
        credentials: Some((USER, PASSWORD)),
        refuses: [("nobody@example.com", "550 5.1.1 no such user")].into(),
        refuses_messages: None,
    };
    change(&mut options);
    MailServer::start(&options).await.unwrap()
}

async fn attempt(
    courier: &Courier,
    channel: &Channel,
    parcel: Parcel<'_>,
    to: Option<&Email>,
) -> Result<(), Undelivered> {
    courier.deliver(channel, parcel, to, now()).await
}

fn failure(outcome: Result<(), Undelivered>) -> Undelivered {
    outcome.expect_err("an attempt that fails")
}
