//! The steps of the demo, in their order.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use keyloan_simulator::Reason;
use kube::api::DynamicObject;
use serde_json::json;

use super::objects::{
    DECISION, FLOW, GRANT, INTEGRATION, RECORD, ROLE, ROLE_BINDING, SECRET, is, refusal, text,
};
use super::set_up::{Running, set_up};
use super::stage::Stage;
use super::{Arguments, STEP, WAIT, account};
use crate::screen::line;
use crate::workspace;

/// The namespace of the platform team in the examples.
const PLATFORM: &str = "keyloan";
const TEAM: &str = "team-a";
const LINKS: &str = keyloan_cluster::LINKS_NAMESPACE;
const VAULT: &str = "Infra";
const ITEM: &str = "db password";
const BOB: &str = "bob@example.com";
const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";

/// A running loan.
struct Loan {
    request: Request,
    secret: String,
    url: String,
}

/// Runs all steps.
pub async fn play(stage: &mut Stage, arguments: &Arguments) -> Result<()> {
    line("Keyloan sets up everything on this machine and lends a 1Password item.\n");
    let running = set_up(stage, arguments.programs.as_deref()).await?;
    offer(stage, &running).await?;
    let request = ask(stage, &running).await?;
    forge(stage, &running, &request).await?;
    let loan = borrow(stage, &running, request).await?;
    if arguments.show_url {
        stage.tell(&loan.url);
    }
    open(stage, &running, &loan).await?;
    end(stage, &running, &loan).await?;
    line("\nAll steps succeeded.");
    stage.finish();
    if arguments.keep {
        keep(stage, &running).await?;
    }
    running.cluster.shutdown().await;
    Ok(())
}

/// The platform team connects a service account and defines who may borrow what.
async fn offer(stage: &mut Stage, running: &Running) -> Result<()> {
    let Running { admin, control, .. } = running;
    let people = async {
        admin
            .apply(&fs::read_to_string(
                workspace::folder().join("dev/tasks/demo/people.yaml"),
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
    let name = "the integration is ready: the operator signed in and listed its items";
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
        admin.apply(&example("flow-approval.yaml")?).await?;
        let ready = |seen: &DynamicObject| is(seen, "Ready");
        admin
            .until(FLOW, (PLATFORM, "databases"), WAIT, ready)
            .await
    };
    let name = "the flow is ready: engineers borrow \"db *\" if the platform agrees";
    stage.step(name, STEP, offer).await?;
    Ok(())
}

/// Alice's request, which waits for approval.
struct Request {
    name: String,
    uid: String,
    digest: String,
}

/// Alice asks.
async fn ask(stage: &mut Stage, running: &Running) -> Result<Request> {
    let Running { alice, .. } = running;
    let ask = async {
        let asked = alice.apply(&example("grant.yaml")?).await?;
        let grant = asked.into_iter().next();
        let grant = grant.context("the example has no grant")?;
        let who = text(&grant, "/spec/requester/username")?;
        ensure!(who == ALICE, "the requester of the request is {who}");
        Ok(grant)
    };
    let name = "alice asks for \"db password\"; the API server stamps her name";
    let grant = stage.step(name, STEP, ask).await?;
    let name = grant.metadata.name.context("a grant without a name")?;

    let waits = |seen: &DynamicObject| seen.data.pointer("/status/waitingFor").is_some();
    let wait = alice.until(GRANT, (TEAM, &name), WAIT, waits);
    let waiting = stage
        .step("the request waits for approval", STEP, wait)
        .await?;
    stage.tell(format_args!(
        "waiting for {}",
        text(&waiting, "/status/waitingFor")?
    ));
    Ok(Request {
        name,
        uid: waiting
            .metadata
            .uid
            .clone()
            .context("a grant without a uid")?,
        digest: text(&waiting, "/status/digest")?.to_owned(),
    })
}

/// Mallory approves the request in bob's name, then tries to delete it. Her role lets her create
/// decisions and delete grants; the policies prevent the abuse of both.
async fn forge(stage: &mut Stage, running: &Running, request: &Request) -> Result<()> {
    let Running { mallory, .. } = running;
    let bob = json!({ "username": BOB, "groups": ["platform-owners"] });
    let approval = json!({
        "grant": request.name,
        "grantUid": request.uid,
        "digest": request.digest,
        "decision": "Approve",
        "approver": bob,
    });
    let forge = async {
        let forged = mallory.create(DECISION, TEAM, approval).await?;
        let who = text(&forged, "/spec/approver/username")?;
        ensure!(who == MALLORY, "the approval names {who}");
        forged.metadata.name.context("a decision without a name")
    };
    let name = "mallory approves in bob's name; the API server writes hers instead";
    let forged = stage.step(name, STEP, forge).await?;

    let insist = async {
        let change = json!({ "spec": { "approver": bob } });
        refusal(mallory.patch(DECISION, (TEAM, &forged), change).await)
            .context("mallory changes the author of the decision")
    };
    let name = "mallory writes bob's name into it: refused (403)";
    let said = stage.step(name, STEP, insist).await?;
    stage.tell(said);

    let ignored = |seen: &DynamicObject| seen.data.pointer("/status/ignoredDecisions/0").is_some();
    let wait = mallory.until(GRANT, (TEAM, &request.name), WAIT, ignored);
    let name = "her approval has no effect, and the request says why";
    let seen = stage.step(name, STEP, wait).await?;
    ensure!(!is(&seen, "Approved"), "the forged approval counts");
    stage.tell(text(&seen, "/status/ignoredDecisions/0/reason")?);

    let delete = async {
        let said = refusal(mallory.delete(GRANT, (TEAM, &request.name)).await)
            .context("mallory deletes alice's request")?;
        // The policy refuses it, not her role, which has the verb.
        ensure!(said.contains(": keyloan-identity: "), "{said}");
        Ok(said)
    };
    let name = "mallory deletes alice's request: refused by Keyloan's policy (403)";
    let said = stage.step(name, STEP, delete).await?;
    stage.tell(said);
    Ok(())
}

/// Bob approves, and alice gets a link.
async fn borrow(stage: &mut Stage, running: &Running, request: Request) -> Result<Loan> {
    let Running {
        alice,
        cluster,
        programs,
        ..
    } = running;
    let by = |who: &str| cluster.kubeconfig(who);
    let line = ["approve", &request.name, "--yes", "-n", TEAM];
    let bob = by("bob");
    let approve = programs.kubectl_keyloan(&bob, &line);
    let name = "bob approves (kubectl keyloan approve)";
    stage.step(name, STEP, approve).await?;

    let active = |seen: &DynamicObject| is(seen, "Active");
    let wait = alice.until(GRANT, (TEAM, &request.name), WAIT, active);
    let name = "the loan is active: the operator created a share for alice only";
    let active = stage.step(name, STEP, wait).await?;
    stage.tell(format_args!(
        "it ends at {}",
        text(&active, "/status/expiresAt")?
    ));
    let secret = text(&active, "/status/link/secretRef/name")?.to_owned();

    let line = ["open", &request.name, "-o", "url", "-n", TEAM];
    let alice = by("alice");
    let open = programs.kubectl_keyloan(&alice, &line);
    let name = "alice gets the link (kubectl keyloan open)";
    let url = stage.step(name, STEP, open).await?;
    Ok(Loan {
        request,
        secret,
        url: url.trim().to_owned(),
    })
}

/// The recipient sees the item, and nobody else does.
async fn open(stage: &mut Stage, running: &Running, loan: &Loan) -> Result<()> {
    let Running {
        control, mallory, ..
    } = running;
    let open = async {
        let seen = control.open(&loan.url, ALICE).await?;
        ensure!(
            seen.is_all_of(&account::item(VAULT, ITEM)?),
            "the link shows an item that differs from the account's"
        );
        Ok(seen)
    };
    let name = "alice opens the link and sees the item, decrypted from the URL alone";
    let seen = stage.step(name, STEP, open).await?;
    for field in &seen.fields {
        stage.tell(format_args!("{:<10} {}", field.label, field.value));
    }

    let read = async {
        refusal(mallory.get(SECRET, (LINKS, &loan.secret)).await)
            .context("mallory reads the Secret")
            .map(drop)
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

/// Bob revokes the loan.
async fn end(stage: &mut Stage, running: &Running, loan: &Loan) -> Result<()> {
    let Running {
        admin,
        bob,
        cluster,
        programs,
        ..
    } = running;
    let (request, link) = (&loan.request, (LINKS, &*loan.secret));
    let line = [
        "revoke",
        &request.name,
        "--reason",
        "incident is over",
        "-n",
        TEAM,
    ];
    let revoke = async {
        programs
            .kubectl_keyloan(&cluster.kubeconfig("bob"), &line)
            .await?;
        for kind in [SECRET, ROLE, ROLE_BINDING] {
            admin.until_gone(kind, link, WAIT).await?;
        }
        let revoked = |seen: &DynamicObject| seen.data.pointer("/status/endedAt").is_some();
        bob.until(GRANT, (TEAM, &request.name), WAIT, revoked).await
    };
    let name = "bob revokes the loan: Secret, Role and RoleBinding are gone";
    stage.step(name, STEP, revoke).await?;

    let ended = |seen: &DynamicObject| seen.data.pointer("/spec/end").is_some();
    let keep = admin.until(RECORD, (PLATFORM, &request.uid), WAIT, ended);
    let record = stage
        .step("the record of the loan is kept", STEP, keep)
        .await?;
    stage.tell(format_args!(
        "{} borrowed {ITEM}; {} by {}; the link that was handed out may open until {}",
        text(&record, "/spec/requester/username")?,
        text(&record, "/spec/end/reason")?,
        text(&record, "/spec/end/by")?,
        text(&record, "/spec/residualUntil")?,
    ));
    Ok(())
}

/// Keeps everything running, and prints commands to try.
async fn keep(stage: &mut Stage, running: &Running) -> Result<()> {
    let Running {
        cluster,
        programs,
        operator,
        ..
    } = running;
    let kubeconfig = |who: &str| cluster.kubeconfig(who).display().to_string();
    let (admin, alice, bob) = (kubeconfig("admin"), kubeconfig("alice"), kubeconfig("bob"));
    let (kubectl, plugin) = (cluster.binaries().kubectl(), &programs.plugin);
    let (kubectl, plugin) = (kubectl.display(), plugin.display());
    let (simulator, log) = (programs.simulator.display(), operator.log.display());
    line(format_args!(
        r#"
Everything keeps running until Ctrl-C. In another terminal, as alice:

    alias kubectl={kubectl}
    alias kubectl-keyloan="{plugin} -n {TEAM}"
    export KUBECONFIG={alice}
    kubectl-keyloan request "{VAULT}/{ITEM}" --integration {PLATFORM}/prod --justification "to try it" --name mine --no-wait

As bob:

    export KUBECONFIG={bob}
    kubectl-keyloan list --for-me
    kubectl-keyloan approve mine

As alice again:

    export KUBECONFIG={alice}
    {simulator} open "$(kubectl-keyloan open mine -o url)" {ALICE}

As the administrator, who sees integrations, flows and records:

    export KUBECONFIG={admin}
    kubectl --namespace {PLATFORM} get onepasswordintegrations,accessflows,accessrecords

The other people's kubeconfigs are beside these. The operator's log: {log}"#
    ));
    Err(stage.until_one_ends().await)
}

fn example(file: &str) -> Result<String> {
    let path = workspace::folder().join("examples").join(file);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
