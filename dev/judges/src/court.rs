//! A session of the court: each judge takes all steps against one simulated account.

use anyhow::{Context, Result};
use keyloan_simulator::account::{Account, Item};
use keyloan_simulator::{Control, Options, Simulator};
use serde_json::{Value, json};

use crate::client::Client;
use crate::install;
use crate::own::Own;
use crate::steps::{Answer, RECIPIENT, Scene, Step, Taken, Testimony};

/// The account of the court.
const ACCOUNT: &str = include_str!("../../simulator/account.example.yaml");
const SERVICE_ACCOUNT: &str = "lender";
const VAULT: &str = "Infra";
const ITEM: &str = "db password";
const ARCHIVED: &str = "old console";

/// The name of a request for something that the simulated service does not have.
const NO_ROUTE: &str = "(no route)";

/// What the account has, and what the judges say, Keyloan first.
pub struct Session {
    /// What the account has, for each step that asks for some of it.
    pub truth: Truth,
    /// The judges.
    pub testimonies: Vec<Testimony>,
}

/// What the simulated account has.
pub struct Truth {
    vaults: Value,
    items: Value,
    item: Item,
}

enum Judge {
    Own(Own),
    Client(Box<Client>),
}

/// Installs and starts all that is needed, and hears each judge.
pub async fn hold() -> Result<Session> {
    let cache = keyloan_cluster::cache_dir()?.join("judges");
    let mut clients = Vec::new();
    for client in [&install::NODE, &install::PYTHON] {
        let (command, name) = (client.command(&cache), client.packages.name);
        clients.push(command.with_context(|| format!("the judge {name} is missing"))?);
    }
    let account = Account::parse(ACCOUNT)?;
    let simulator = Simulator::start(account.clone(), Options::default())?;
    let control = simulator.control();
    let (scene, truth) = scene(&control, &account).await?;

    let own = Own::start(&scene, &simulator.origin()).await?;
    let mut testimonies = vec![Testimony {
        about: Own::about(),
        steps: hear(Judge::Own(own), &scene, &control).await?,
    }];
    for command in clients {
        let mut client = Client::start(command)?;
        let about = client.about().await?;
        let steps = hear(Judge::Client(Box::new(client)), &scene, &control).await;
        let steps = steps.with_context(|| format!("{} was not heard", about.client))?;
        testimonies.push(Testimony { about, steps });
    }
    Ok(Session { truth, testimonies })
}

async fn scene(control: &Control, account: &Account) -> Result<(Scene, Truth)> {
    let vaults = control.vaults().await?;
    let vault = vaults.iter().find(|vault| vault.title == VAULT);
    let vault = vault.context("the account has no such vault")?;
    let id = |title: &str| {
        let item = vault.items.iter().find(|item| item.title == title);
        item.map(|item| item.id.clone())
            .context("the account has no such item")
    };
    let items = account.vaults.iter().find(|vault| vault.title == VAULT);
    let items = items.map_or(&[][..], |vault| &vault.items);
    let content = items.iter().find(|item| item.title == ITEM);
    let content = content.context("the account has no such item")?.clone();
    let lender = account
        .service_accounts
        .iter()
        .find(|account| account.name == SERVICE_ACCOUNT)
        .context("the account has no such service account")?;
    let readable = vaults
        .iter()
        .filter(|vault| lender.vaults.contains_key(&vault.title));
    let truth = Truth {
        vaults: readable
            .map(|vault| {
                let active = vault.items.iter().filter(|item| !item.archived).count();
                json!({ "id": vault.id, "title": vault.title, "activeItemCount": active })
            })
            .collect(),
        items: vault
            .items
            .iter()
            .zip(items)
            .map(|(item, content)| {
                json!({
                    "id": item.id, "title": item.title, "category": content.category,
                    "tags": content.tags, "updatedAt": item.updated_at,
                    "state": if item.archived { "archived" } else { "active" },
                })
            })
            .collect(),
        item: content.clone(),
    };
    let scene = Scene {
        token: control.token(SERVICE_ACCOUNT).await?,
        vault: vault.id.clone(),
        vault_title: vault.title.clone(),
        item: id(ITEM)?,
        archived: id(ARCHIVED)?,
        content,
    };
    Ok((scene, truth))
}

async fn hear(mut judge: Judge, scene: &Scene, control: &Control) -> Result<Vec<Taken>> {
    let mut steps = Vec::new();
    let policy = control.policy().await?;
    for step in Step::ALL {
        let mut now = policy.clone();
        now.members_only = step == Step::ShareStranger;
        control.set_policy(&now).await?;
        control.reset_requests().await?;
        let answer = match &mut judge {
            Judge::Own(own) => own.take(step, scene).await,
            Judge::Client(client) => client.take(step, scene).await,
        };
        let answer = answer.with_context(|| format!("the step `{}` was not taken", step.name()))?;
        let log = control.requests().await?;
        let unknown = log
            .by_route
            .keys()
            .filter(|route| route.ends_with(NO_ROUTE));
        let unknown = unknown.cloned().collect();
        let answer = match answer {
            Answer::Said(link) if step == Step::Share => open(&link, control).await,
            // Nobody may print a link.
            Answer::Said(_) if step.refusal().is_some() => Answer::Said(Value::Null),
            other => other,
        };
        steps.push(Taken {
            step,
            answer,
            requests: log.total,
            unknown,
        });
    }
    control.set_policy(&policy).await?;
    Ok(steps)
}

/// The item behind a link, as its recipient sees it.
async fn open(link: &Value, control: &Control) -> Answer {
    let link = link.as_str().unwrap_or_default();
    match control.open(link, RECIPIENT).await {
        Ok(item) => Answer::Said(json!(item)),
        Err(refusal) => Answer::Refused(refusal.to_string()),
    }
}

impl Truth {
    /// What a step has to answer, as far as the account says.
    pub fn of(&self, step: Step) -> Value {
        let field = |label: &str| {
            let field = self.item.fields.iter().find(|field| field.label == label);
            field.map(|field| json!({ "value": field.value }))
        };
        match step {
            Step::Vaults => self.vaults.clone(),
            Step::Items => self.items.clone(),
            Step::Item => json!({
                "title": self.item.title, "tags": self.item.tags, "version": 1,
            }),
            Step::Resolve => field(crate::steps::FIELD).unwrap_or_default(),
            Step::Share => json!({
                "title": self.item.title,
                "notes": self.item.notes,
                "fields": self.item.fields.iter().map(|field| json!({
                    "label": field.label, "value": field.value, "kind": field.kind,
                })).collect::<Vec<_>>(),
            }),
            Step::SignIn | Step::Policy | Step::ShareArchived | Step::ShareStranger => Value::Null,
        }
    }
}
