//! Those who are told of a run: a program, a channel of Slack and an archive of mails. Their addresses and keys must not leak, and no
//! message may show what is secret.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{AccessGrant, AccessNotifier};
use keyloan_cluster::{MailServer, MailServerOptions};
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Planted, secret_in_etcd};
use crate::receiver::Receiver;
use crate::world::{PLATFORM, World};

const PROGRAM_PATH: &str = "/hook/planted-path-of-a-program";
const CHAT_PATH: &str = "/services/T0/B0/planted-path-of-a-chat";
const SIGNING_KEY: &str = "whsec_cGxhbnRlZC1zaWduaW5nLWtleS1vZi1hLXByb2dyYW0=";
const USER: &str = "planted-user-of-a-mail-server";
const PASSWORD: &str = "planted-password-of-a-mail-server";
const ARCHIVE: &str = "archive@example.com";

/// The events of which people are told: a program is told of more.
const FOR_PEOPLE: [&str; 11] = [
    "requested",
    "reminder",
    "approved",
    "denied",
    "taken-back",
    "lapsed",
    "failed",
    "link-issued",
    "link-lost",
    "ends-soon",
    "ended",
];

/// Those who are told.
pub struct Told {
    program: Receiver,
    chat: Receiver,
    mail: MailServer,
}

impl Told {
    /// Starts them, and makes a notifier for each. Returns what is secret of them, too.
    pub async fn start(world: &World) -> (Self, Vec<Planted>) {
        let (certificate, key) = (fixture("server.pem"), fixture("server-key.pem"));
        let options = MailServerOptions {
            security: "StartTLS",
            certificate: &certificate,
            key: &key,
            credentials: Some((USER, PASSWORD)),
            refuses: [].into(),
            refuses_messages: None,
        };
        let told = Self {
            program: Receiver::start().await,
            chat: Receiver::start().await,
            mail: MailServer::start(&options).await.expect("a mail server"),
        };
        let webhook = json!({ "webhook": { "signingKeys": ["signing"] } });
        let values = json!({ "url": told.program.url(PROGRAM_PATH), "signing": SIGNING_KEY });
        notifier(world, "program", webhook, values).await;
        let values = json!({ "url": told.chat.url(CHAT_PATH) });
        notifier(world, "chat", json!({ "slack": {} }), values).await;
        let email = json!({ "email": {
            "server": {
                "host": "localhost", "port": told.mail.port(),
                "credentials": { "usernameKey": "user", "passwordKey": "password" },
            },
            "from": "keyloan@example.com",
            "to": { "addresses": [ARCHIVE] },
        } });
        let values = json!({ "user": USER, "password": PASSWORD });
        notifier(world, "mail", email, values).await;
        let planted = [
            ("program", "the URL of a program", PROGRAM_PATH),
            ("program", "a signing key", SIGNING_KEY),
            ("chat", "the URL of a chat", CHAT_PATH),
            ("mail", "the user of a mail server", USER),
            ("mail", "the password of a mail server", PASSWORD),
        ];
        let planted = planted.map(|(name, what, value)| {
            Planted::new(what, value, Some(&secret_in_etcd(PLATFORM, name)))
        });
        (told, planted.into())
    }

    /// The words with which an operator may send to them.
    pub fn words() -> [String; 2] {
        [
            "--notice-host=localhost".to_owned(),
            format!("--ca-bundle={}", fixture("ca.pem").display()),
        ]
    }

    /// All that they were told until the end of this loan.
    pub async fn everything(mut self, loan: &AccessGrant) -> String {
        let uid = loan.uid().expect("a uid");
        let ended = |event: &Value| kind(event) == "ended" && event["data"]["grant"]["uid"] == *uid;
        let wait = async {
            while !self.events().iter().any(ended) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let events = self.events();
            let of_people = |event: &&Value| FOR_PEOPLE.contains(&kind(event));
            let for_people = events.iter().filter(of_people);
            let ids: BTreeSet<_> = for_people.map(|event| event["id"].to_string()).collect();
            let for_people = ids.len();
            let mut mails = Vec::new();
            while mails.len() < for_people {
                mails.push(self.mail.next_mail().await.expect("a mail").content);
            }
            while self.chat.received().len() < for_people {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            mails
        };
        let told = tokio::time::timeout(Duration::from_secs(60), wait).await;
        let mails = told.expect("everybody is told of everything");
        let received = [self.program.received(), self.chat.received()].concat();
        let received = received
            .iter()
            .map(|it| format!("{:?}\n{}", it.headers, it.body));
        received.chain(mails).collect::<Vec<_>>().join("\n")
    }

    fn events(&self) -> Vec<Value> {
        let received = self.program.received();
        let events = received.iter().map(|it| serde_json::from_str(&it.body));
        events.collect::<Result<_, _>>().expect("JSON")
    }
}

fn kind(event: &Value) -> &str {
    let kind = event["type"].as_str().expect("a type");
    kind.trim_start_matches("dev.keyloan.")
}

fn fixture(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/fixtures/private-ca").join(name)
}

async fn notifier(world: &World, name: &str, channel: Value, values: Value) {
    let secret = json!({
        "metadata": {
            "name": name,
            "labels": { "keyloan.dev/secret": "notifier", "keyloan.dev/notifier": name },
        },
        "stringData": values,
    });
    create::<Secret>(world, secret).await;
    let mut spec = channel;
    spec["secretRef"] = json!({ "name": name });
    let object = json!({ "metadata": { "name": name }, "spec": spec });
    create::<AccessNotifier>(world, object).await;
}

async fn create<K>(world: &World, object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let api: Api<K> = Api::namespaced(world.admin.clone(), PLATFORM);
    let mut object = object;
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let object: K = serde_json::from_value(object).expect("an object");
    let made = api.create(&PostParams::default(), &object).await;
    made.expect("created");
}
