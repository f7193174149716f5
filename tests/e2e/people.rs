//! A person is a mailbox, on real parts: nobody is two people by another spelling, and nobody whom the cluster knows by no address
//! approves.

#[path = "../support/spellings.rs"]
mod spellings;
use keyloan::api::*;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{Ask, PLATFORM, Say, World, condition, needs_approval};
use spellings::{SPELLINGS, address};

const ONE: &[(&str, &str, u32)] = &[("deputies", "deputies", 1)];
const TWO: &[(&str, &str, u32)] = &[("deputies", "deputies", 2)];

const BEN: &str = "ben@other.org";
const RECEIVES: &str = "recipients of the link cannot approve the request";
const OWN: &str = "requesters cannot approve their own request";
const TWICE: &str = "this person has already approved; each person counts once";
const UNKNOWN: &str = "the cluster knows no e-mail address for the approver, so it cannot rule out";

/// A world that lends to two domains: at once by the flow "oncall", on the approval of one by "reviewed" and of two by "sealed".
async fn lending() -> World {
    let world = World::start().await;
    world
        .integration_with("prod", "lender", |integration| {
            let domains = ["example.com", "other.org"];
            integration.recipient_domains = domains.map(|d| Domain(d.into())).to_vec();
        })
        .await;
    let listed = |flow: &mut AccessFlowSpec| flow.grant.recipients = RecipientRule::Listed;
    world.flow("oncall", listed).await;
    for (name, deputies) in [("reviewed", ONE), ("sealed", TWO)] {
        let change = |flow: &mut AccessFlowSpec| {
            needs_approval("AnyOf", deputies)(flow);
            listed(flow);
            flow.requesters[0].name = name.into();
        };
        world.flow(name, change).await;
    }
    world
}

/// A person of this group asks for a link to this address. A person without an address sets the end
/// of the request.
async fn ask(world: &World, who: &str, group: &str, to: &str) -> AccessGrant {
    let ask = Ask::item("db password").to(to);
    match address(who) {
        Some(_) => world.ask_as(who, group, ask).await,
        None => world.ask_without_email(who, group, ask).await,
    }
}

async fn asked(world: &World, who: &str, group: &str, to: &str) -> AccessGrant {
    let grant = ask(world, who, group, to).await;
    let waits = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.waiting_for.is_some());
    world.until(&grant, waits).await
}

async fn decide(world: &World, who: &str, grant: &AccessGrant, say: Say) -> AccessDecision {
    let client = world.impersonating(who, vec!["deputies".into()]).await;
    world
        .try_to_decide_as(client, grant, say)
        .await
        .unwrap_or_else(|refusal| panic!("{who}: {refusal}"))
}

async fn approve(world: &World, who: &str, grant: &AccessGrant) -> AccessDecision {
    decide(world, who, grant, Say::approve(grant)).await
}

/// Waits until so many decisions on a request have had no effect, and returns why.
async fn ignored(world: &World, grant: &AccessGrant, number: usize) -> Vec<(String, String)> {
    let of = |g: &AccessGrant| {
        let status = g.status.as_ref();
        let ignored = status.map_or(&[][..], |s| &s.ignored_decisions);
        let why = ignored.iter().map(|i| (i.user.clone(), i.reason.clone()));
        why.collect::<Vec<_>>()
    };
    of(&world.until(grant, |g| of(g).len() == number).await)
}

async fn block(world: &World, blocked: Value) {
    let api: Api<OnePasswordIntegration> = Api::namespaced(world.admin.clone(), PLATFORM);
    let change = json!({ "spec": { "limits": { "blocked": blocked } } });
    api.patch("prod", &PatchParams::default(), &Patch::Merge(change))
        .await
        .expect("blocked");
}

async fn is_refused(world: &World, grant: &AccessGrant) -> String {
    let refused = |g: &AccessGrant| condition(g, ACCEPTED).is_some_and(|c| c.status == "False");
    let refused = world.until(grant, refused).await;
    condition(&refused, ACCEPTED).expect("said").reason.clone()
}

async fn shares(world: &World) -> usize {
    world.control.shares().await.expect("shares").len()
}

/// Decisions of one request are made by half of the spellings, because a status shows no more than twenty.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_spellings_of_one_mailbox_are_one_person_or_nobody_in_each_role() {
    let world = lending().await;
    for spellings in SPELLINGS.chunks(15) {
        let to_ben = asked(&world, "alice@example.com", "reviewed", BEN).await;
        for spelling in spellings {
            approve(&world, spelling, &to_ben).await;
        }
        for (who, why) in ignored(&world, &to_ben, spellings.len()).await {
            assert!(why == RECEIVES || why.starts_with(UNKNOWN), "{who}: {why}");
        }
        assert_eq!(shares(&world).await, 0, "as recipient");
    }

    let first = &SPELLINGS[..1];
    for spellings in SPELLINGS[1..].chunks(15) {
        let grant = asked(&world, "alice@example.com", "sealed", "alice@example.com").await;
        approve(&world, first[0], &grant).await;
        let counts = |g: &AccessGrant| g.status.as_ref().is_some_and(|s| s.decisions.len() == 1);
        world.until(&grant, counts).await;
        for spelling in spellings {
            approve(&world, spelling, &grant).await;
        }
        for (who, why) in ignored(&world, &grant, spellings.len()).await {
            assert!(why == TWICE || why.starts_with(UNKNOWN), "{who}: {why}");
        }
        assert_eq!(shares(&world).await, 0, "counted twice");
    }

    for spelling in SPELLINGS {
        let his = asked(&world, spelling, "reviewed", BEN).await;
        approve(&world, BEN, &his).await;
        for (_, why) in ignored(&world, &his, 1).await {
            assert!(why == OWN || why == RECEIVES, "{spelling}: {why}");
        }
    }
    assert_eq!(shares(&world).await, 0, "as requester");

    block(
        &world,
        json!([{ "kind": "User", "name": "Ben+x@Other.org" }]),
    )
    .await;
    for spelling in SPELLINGS {
        let his = ask(&world, spelling, "engineering", BEN).await;
        assert_eq!(is_refused(&world, &his).await, "Blocked", "{spelling}");
    }
    assert_eq!(shares(&world).await, 0, "blocked");

    let twin = asked(&world, "alice@example.com", "sealed", "erin@other.org").await;
    for deputy in ["carol@other.org", "Dave@other.org"] {
        approve(&world, deputy, &twin).await;
    }
    world.until_active(&twin).await;
    assert_eq!(shares(&world).await, 1);
}

/// A client certificate or a break-glass account of the one who asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_an_address_approves_only_where_the_flow_says_so() {
    let world = lending().await;
    let alice = "alice@example.com";
    let grant = asked(&world, alice, "reviewed", alice).await;
    approve(&world, "alice-adm", &grant).await;
    let (_, why) = ignored(&world, &grant, 1).await.remove(0);
    for words in [UNKNOWN, "emailDomain", "approval.withoutAddress: Allowed"] {
        assert!(why.contains(words), "{why}");
    }
    approve(&world, "bob@example.com", &grant).await;
    world.until_active(&grant).await;

    // Guests of Entra have no address, and are not all one person.
    let guests = [
        "ben_other.org#EXT#@contoso.onmicrosoft.com",
        "cat_third.net#EXT#@contoso.onmicrosoft.com",
    ];
    let grant = asked(&world, alice, "sealed", alice).await;
    let allowed = json!({ "spec": { "approval": { "withoutAddress": "Allowed" } } });
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), PLATFORM);
    flows
        .patch("sealed", &PatchParams::default(), &Patch::Merge(allowed))
        .await
        .expect("allowed");
    let agreed_anew = |g: &AccessGrant| {
        let digest = |g: &AccessGrant| g.status.as_ref().and_then(|s| s.digest.clone());
        digest(g) != digest(&grant)
    };
    let grant = world.until(&grant, agreed_anew).await;
    for guest in guests {
        approve(&world, guest, &grant).await;
    }
    world.until_active(&grant).await;

    // A no counts from everybody.
    let grant = asked(&world, alice, "reviewed", alice).await;
    decide(&world, guests[0], &grant, Say::deny(&grant)).await;
    world
        .until(&grant, |g| {
            condition(g, APPROVED).is_some_and(|c| c.reason == "Denied")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_mailbox_is_lent_nothing_and_loses_what_runs() {
    let world = lending().await;
    let alice = "alice@example.com";
    let runs = ask(&world, alice, "engineering", "erin@example.com").await;
    world.until_active(&runs).await;
    let other = ask(
        &world,
        "carol@example.com",
        "engineering",
        "carol@example.com",
    )
    .await;
    world.until_active(&other).await;

    block(
        &world,
        json!([{ "kind": "User", "name": "erin@example.com" }]),
    )
    .await;
    let ended = |r: &AccessRecord| r.spec.end.is_some();
    let record = world.until_record(&runs, ended).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Blocked));
    for (who, to) in [
        (alice, "erin@example.com"),
        (alice, "erin+links@example.com"),
        ("Erin@Example.com", "erin@example.com"),
        ("Erin@Example.com", alice),
    ] {
        let grant = ask(&world, who, "engineering", to).await;
        assert_eq!(is_refused(&world, &grant).await, "Blocked", "{who} to {to}");
    }
    let waits = asked(&world, alice, "reviewed", alice).await;
    approve(&world, "ERIN@example.com", &waits).await;
    let (_, why) = ignored(&world, &waits, 1).await.remove(0);
    assert!(
        why.contains("have blocked the person who made the decision"),
        "{why}"
    );
    assert_eq!(shares(&world).await, 2);

    approve(&world, "bob@example.com", &waits).await;
    world.until_active(&waits).await;
    let still = world.until_record(&other, |_| true).await;
    assert!(still.spec.end.is_none(), "{}", other.name_any());
}

/// `system:admin` of k3s and OpenShift: no person, and the one who mends what is broken.
#[tokio::test(flavor = "multi_thread")]
async fn who_holds_the_verb_revokes_whoever_they_are() {
    let world = lending().await;
    let loan = ask(
        &world,
        "alice@example.com",
        "engineering",
        "alice@example.com",
    )
    .await;
    world.until_active(&loan).await;
    let without_the_verb = decide(&world, "system:node:a", &loan, Say::revoke(&loan)).await;
    assert_ne!(without_the_verb.spec.may_revoke, Some(true));
    ignored(&world, &loan, 1).await;
    let admin = world
        .impersonating("system:admin", vec!["system:masters".into()])
        .await;
    let revoked = world
        .try_to_decide_as(admin, &loan, Say::revoke(&loan))
        .await;
    assert_eq!(revoked.expect("decided").spec.may_revoke, Some(true));
    let ended = |r: &AccessRecord| r.spec.end.is_some();
    let end = world
        .until_record(&loan, ended)
        .await
        .spec
        .end
        .expect("one");
    assert_eq!(end.reason, EndReason::Revoked);
    assert_eq!(end.by.as_deref(), Some("system:admin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_address_is_unknown_reads_where_to_set_it() {
    let world = lending().await;
    for username in [
        "oidc:alice@example.com",
        "https://sso.example.com#alice@example.com",
        "arn:aws:sts::123456789012:assumed-role/Dev/alice@example.com",
        "u-x7k2p",
        "CORP\\alice",
        "r&d@example.com",
        "system:admin",
        "kubernetes-admin",
    ] {
        let asked = Ask::item("db password");
        let grant = world
            .ask_without_email(username, "engineering", asked)
            .await;
        assert_eq!(is_refused(&world, &grant).await, "NoRecipient");
        let said = world
            .until(&grant, |g| condition(g, ACCEPTED).is_some())
            .await;
        let message = &condition(&said, ACCEPTED).expect("said").message;
        let words = format!("(username {username:?})");
        assert!(message.contains(&words), "{message}");
        assert!(
            message.contains("emailDomain configured in the keyloan-crds chart"),
            "{message}"
        );
    }
}
