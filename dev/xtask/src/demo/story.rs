//! What happens in the demo, in its order.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use keyloan_simulator::Reason;
use kube::api::DynamicObject;

use super::objects::{FLOW, GRANT, INTEGRATION, RECORD, ROLE, ROLE_BINDING, SECRET, is, text};
use super::set_up::{Running, set_up};
use super::stage::Stage;
use super::{Arguments, STEP, WAIT, account};
use crate::screen::line;
use crate::workspace;

/// What the examples are about.
const PLATFORM: &str = "keyloan";
const TEAM: &str = "team-a";
const VAULT: &str = "Infra";
const ITEM: &str = "db password";
const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";

/// A loan that runs.
struct Loan {
    grant: (String, String),
    uid: String,
    secret: String,
    url: String,
}

/// Plays the whole story.
pub async fn play(stage: &mut Stage, arguments: &Arguments) -> Result<()> {
    line("Keyloan lends an item of 1Password, from nothing, on this machine.\n");
    let running = set_up(stage, arguments).await?;
    offer(stage, &running).await?;
    let loan = borrow(stage, &running).await?;
    if arguments.show_url {
        stage.tell(&loan.url);
    }
    open(stage, &running, &loan).await?;
    end(stage, &running, &loan).await?;
    line("\nEach step was seen to work.");
    stage.finish();
    if arguments.keep {
        keep(stage, &running).await?;
    }
    running.cluster.shutdown().await;
    Ok(())
}

/// The platform team connects a service account and says who may borrow what.
async fn offer(stage: &mut Stage, running: &Running) -> Result<()> {
    let Running { admin, control, .. } = running;
    let people = async {
        admin
            .apply(&fs::read_to_string(
                workspace::folder().join("dev/xtask/demo/people.yaml"),
            )?)
            .await
    };
    stage
        .step(
            "namespaces for the platform team and for alice's",
            STEP,
            people,
        )
        .await?;

    let connect = async {
        let token = control.token(account::SERVICE_ACCOUNT).await?;
        admin
            .apply(&example("integration.yaml")?.replace("ops_REPLACE_ME", &token))
            .await?;
        admin
            .until(INTEGRATION, (PLATFORM, "prod"), WAIT, |seen| {
                is(seen, "Ready")
            })
            .await
    };
    let name = "the integration is ready: the operator signed in and looked around";
    let integration = stage.step(name, STEP, connect).await?;
    for vault in integration.data["status"]["vaults"]
        .as_array()
        .into_iter()
        .flatten()
    {
        stage.tell(format_args!(
            "vault {}: {} items",
            vault["title"], vault["items"]
        ));
    }

    let offer = async {
        admin.apply(&example("flow-automatic.yaml")?).await?;
        admin
            .until(FLOW, (PLATFORM, "oncall"), WAIT, |seen| is(seen, "Ready"))
            .await
    };
    stage
        .step(
            "the flow is ready: engineers may borrow \"db *\" for up to 2 h",
            STEP,
            offer,
        )
        .await?;
    Ok(())
}

/// Alice asks, and gets a link.
async fn borrow(stage: &mut Stage, running: &Running) -> Result<Loan> {
    let Running { alice, .. } = running;
    let ask = async {
        let asked = alice.apply(&example("grant.yaml")?).await?;
        let grant = asked
            .into_iter()
            .next()
            .context("the example has no grant")?;
        let who = text(&grant, "/spec/requester/username")?;
        ensure!(who == ALICE, "the request says that {who} asks");
        Ok(grant)
    };
    let grant = stage
        .step(
            "alice asks for \"db password\"; the API server stamps her name",
            STEP,
            ask,
        )
        .await?;
    let uid = grant.metadata.uid.clone().context("a grant without uid")?;
    let grant = (
        TEAM.to_owned(),
        grant
            .metadata
            .name
            .clone()
            .context("a grant without name")?,
    );

    let wait = alice.until(GRANT, (&grant.0, &grant.1), WAIT, |seen| is(seen, "Active"));
    let name = "the loan is active: the operator made a share for alice alone";
    let active = stage.step(name, STEP, wait).await?;
    stage.tell(format_args!(
        "it ends at {}",
        text(&active, "/status/expiresAt")?
    ));
    let secret = text(&active, "/status/link/secretName")?.to_owned();

    let read = async {
        let secret = alice.get(SECRET, (TEAM, &secret)).await?;
        link_of(&secret)
    };
    let url = stage
        .step("alice reads the link in her Secret", STEP, read)
        .await?;
    stage.tell(format_args!(
        "kubectl --namespace {TEAM} get secret {secret}"
    ));
    Ok(Loan {
        grant,
        uid,
        secret,
        url,
    })
}

/// The recipient sees the item, and nobody else does.
async fn open(stage: &mut Stage, running: &Running, loan: &Loan) -> Result<()> {
    let Running {
        control, mallory, ..
    } = running;
    let open = async {
        let seen = control.open(&loan.url, ALICE).await?;
        account::compare(&seen, &account::item(VAULT, ITEM)?)?;
        Ok(seen)
    };
    let name = "alice opens the link and sees the item, decrypted from the URL alone";
    let seen = stage.step(name, STEP, open).await?;
    for field in &seen.fields {
        stage.tell(format_args!("{:<10} {}", field.label, field.value));
    }

    let read = async {
        match mallory.get(SECRET, (TEAM, &loan.secret)).await {
            Err(kube::Error::Api(refused)) if refused.code == 403 => Ok(()),
            Err(other) => Err(other.into()),
            Ok(_) => bail!("mallory can read the Secret"),
        }
    };
    stage
        .step(
            "mallory, in the same team, cannot read the Secret (403)",
            STEP,
            read,
        )
        .await?;
    let open = async {
        match control.open(&loan.url, MALLORY).await {
            Err(refusal) if refusal.reason == Reason::WrongRecipient => Ok(()),
            Err(other) => Err(other.into()),
            Ok(_) => bail!("the link opens for mallory"),
        }
    };
    stage
        .step("mallory, given the link, cannot open it", STEP, open)
        .await
}

/// Alice gives it back.
async fn end(stage: &mut Stage, running: &Running, loan: &Loan) -> Result<()> {
    let Running { admin, alice, .. } = running;
    let link = (TEAM, &*loan.secret);
    let delete = async {
        alice.delete(GRANT, (&loan.grant.0, &loan.grant.1)).await?;
        for kind in [SECRET, ROLE, ROLE_BINDING] {
            admin.until_gone(kind, link, WAIT).await?;
        }
        Ok(())
    };
    stage
        .step(
            "alice deletes her request: Secret, Role and RoleBinding are gone",
            STEP,
            delete,
        )
        .await?;

    let ended = |seen: &DynamicObject| seen.data.pointer("/spec/end").is_some();
    let keep = admin.until(RECORD, (PLATFORM, &loan.uid), WAIT, ended);
    let record = stage
        .step("the record of the loan is kept", STEP, keep)
        .await?;
    stage.tell(format_args!(
        "{} borrowed {ITEM}; end: {}; the link that was handed out may open until {}",
        text(&record, "/spec/requester/username")?,
        text(&record, "/spec/end/reason")?,
        text(&record, "/spec/residualUntil")?,
    ));
    Ok(())
}

/// Leaves everything running, and says what can be done with it.
async fn keep(stage: &mut Stage, running: &Running) -> Result<()> {
    let Running {
        cluster,
        programs,
        operator_log,
        ..
    } = running;
    let kubectl = cluster.binaries().kubectl();
    let (kubectl, admin, alice) = (
        kubectl.display(),
        cluster.kubeconfig("admin"),
        cluster.kubeconfig("alice"),
    );
    let (admin, alice, log) = (admin.display(), alice.display(), operator_log.display());
    let grant = workspace::folder()
        .join("examples/grant.yaml")
        .canonicalize()?;
    let (grant, simulator) = (grant.display(), programs.simulator.display());
    line(format_args!(
        r#"
Everything runs on until Ctrl-C. In another terminal, as alice:

    alias kubectl={kubectl}
    export KUBECONFIG={alice}
    kubectl create -f {grant}
    kubectl --namespace {TEAM} wait --for=condition=Active accessgrant/db-password
    kubectl --namespace {TEAM} get accessgrant db-password -o yaml
    secret=$(kubectl --namespace {TEAM} get accessgrant db-password -o jsonpath='{{.status.link.secretName}}')
    url=$(kubectl --namespace {TEAM} get secret "$secret" -o jsonpath='{{.data.url}}' | base64 -d)
    {simulator} open "$url" {ALICE}

As the administrator, who sees integrations, flows and records:

    export KUBECONFIG={admin}
    kubectl --namespace {PLATFORM} get onepasswordintegrations,accessflows,accessrecords

The other people's kubeconfigs are beside these. The operator's log: {log}"#
    ));
    Err(stage.until_one_ends().await)
}

/// The URL in a link Secret.
fn link_of(secret: &DynamicObject) -> Result<String> {
    let url = BASE64.decode(text(secret, "/data/url")?.as_bytes())?;
    String::from_utf8(url).context("the URL is no text")
}

fn example(file: &str) -> Result<String> {
    let path = workspace::folder().join("examples").join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
