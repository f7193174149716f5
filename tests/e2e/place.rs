//! A place before a share: if a link could not be handed over, none is made; the status says what
//! refuses it, and the loan recovers by itself once the cause is removed.

use std::time::Duration;

use crate::world::{Ask, Hindrance, LINKS, Say, World, condition};
use data_encoding::BASE64;
use k8s_openapi::api::core::v1::Secret;
use keyloan::api::{ACTIVE, ENDED, EndReason, LinkOutcome, Phase, RENEW_ANNOTATION, STALLED};
use kube::Api;
use rstest::rstest;

const RBAC: &str = "rbac.authorization.k8s.io";

fn teamless(group: &'static str, resource: &'static str) -> Hindrance {
    let has_team = "has(object.metadata.labels) && 'team' in object.metadata.labels";
    let message = "'each ' + object.metadata.name + ' needs the label team'";
    Hindrance::policy(group, resource, "CREATE", has_team, message)
}

/// (what hinders) -> the reason, and the words that are quoted.
#[rstest]
#[case::quota(Hindrance::quota(), "NoPlaceForLink", "exceeded quota: few-secrets")]
#[case::label_policy(teamless("", "secrets"), "NoPlaceForLink", "needs the label team")]
#[case::webhook_down(Hindrance::webhook_down(), "NoPlaceForLink", "down.example.com")]
#[case::role_refused(teamless(RBAC, "roles"), "NoPlaceForLink", "needs the label team")]
#[case::binding_refused(
    teamless(RBAC, "rolebindings"),
    "NoPlaceForLink",
    "needs the label team"
)]
#[case::record_refused(
    teamless("keyloan.dev", "accessrecords"),
    "RecordRefused",
    "needs the label team"
)]
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_shared_that_could_not_be_handed_over_and_it_comes_right_once_mended(
    #[case] hindrance: Hindrance,
    #[case] reason: &str,
    #[case] quoted: &str,
) {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world.hinder(&hindrance).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let told = world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == reason)
        })
        .await;
    let message = &condition(&told, ACTIVE).expect("said").message;
    assert!(message.contains(quoted), "{message}");
    let phase = told.status.as_ref().and_then(|s| s.phase);
    assert_eq!(phase, Some(Phase::Issuing));
    // Two more tries, and still nothing.
    for _ in 0..2 {
        let before = message.clone();
        world.advance(Duration::from_secs(10 * 60)).await;
        world
            .until(&grant, |g| {
                condition(g, ACTIVE).is_some_and(|c| c.message != before)
            })
            .await;
    }
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);

    world.mend(&hindrance).await;
    world.advance(Duration::from_secs(10 * 60)).await;
    let grant = world.until_active(&grant).await;
    assert!(condition(&grant, STALLED).is_none());
    let link = world.read_link("alice", &grant).await.expect("readable");
    let opened = world.control.open(&link["url"], "alice@example.com").await;
    opened.expect("it opens");
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_policies_want_labels_the_install_can_be_told_them() {
    let mut world = World::without_operator().await;
    let labels = [("team".to_owned(), "platform".to_owned())];
    world.settings.install.link_labels = labels.into();
    world.restart_operator().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    world.hinder(&teamless("*", "*")).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    world.until_active(&grant).await;
}

/// The refusal of a change may quote the previous content: the link that still opens.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_refused_makes_no_share_names_who_refuses_and_repeats_none_of_their_words()
 {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let ask = Ask::item("db password").lasting("3h");
    let grant = world.until_active(&world.ask("alice", ask).await).await;
    let first = world.read_link("alice", &grant).await.expect("readable");
    let echo = "'was: ' + oldObject.data['url']";
    let refusal = Hindrance::policy("", "secrets", "UPDATE", "false", echo);
    world.hinder(&refusal).await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let now = world.now().to_string();
    world.annotate(&grant, RENEW_ANNOTATION, &now).await;
    let told = world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "NoPlaceForLink")
        })
        .await;
    let message = &condition(&told, ACTIVE).expect("said").message;
    assert!(
        message.contains("the ValidatingAdmissionPolicy hindrance"),
        "{message}"
    );
    let echoed = BASE64.encode(first["url"].as_bytes());
    assert!(!message.contains(&echoed), "{message}");
    assert_eq!(world.control.shares().await.expect("shares").len(), 1);
    let record = world.until_record(&grant, |_| true).await;
    assert_eq!(record.spec.links.len(), 1);

    world.mend(&refusal).await;
    world.advance(Duration::from_secs(10 * 60)).await;
    world.until_active(&grant).await;
    let second = world.read_link("alice", &grant).await.expect("readable");
    assert_eq!(second["sequence"], "2");
}

/// A pass that fails says why: here it cannot write the loan's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_loan_whose_end_cannot_be_written_says_so_and_ends_once_it_can() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    let message = "'records are frozen'";
    let frozen = Hindrance::policy("keyloan.dev", "accessrecords", "UPDATE", "false", message);
    world.hinder(&frozen).await;
    world.decide("alice", &grant, Say::revoke(&grant)).await;
    let told = world
        .until(&grant, |g| {
            condition(g, STALLED).is_some_and(|c| c.reason == "WriteRefused")
        })
        .await;
    let message = &condition(&told, STALLED).expect("said").message;
    assert!(message.contains("records are frozen"), "{message}");
    world.until_link_gone(&grant).await;

    world.mend(&frozen).await;
    world.advance(Duration::from_secs(10 * 60)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Revoked));
    assert_eq!(record.spec.links[0].outcome, Some(LinkOutcome::Issued));
    world
        .until(&grant, |g| condition(g, STALLED).is_none())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_links_namespace_out_of_reach_is_told_of_and_keeps_no_loan_alive() {
    let mut world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let grant = world.ask("alice", Ask::item("db password")).await;
    let grant = world.until_active(&grant).await;
    world.take_links_namespace().await;

    let other = world.ask("alice", Ask::item("db password")).await;
    let told = world
        .until(&other, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "NoPlaceForLink")
        })
        .await;
    let message = &condition(&told, ACTIVE).expect("said").message;
    assert!(message.contains(LINKS), "{message}");
    world.delete("alice", &other).await;
    world.advance(Duration::from_secs(61 * 60)).await;
    let record = world.until_record(&grant, |r| r.spec.end.is_some()).await;
    assert_eq!(record.spec.end.map(|e| e.reason), Some(EndReason::Expired));
    let ended = world
        .until(&grant, |g| {
            g.status.as_ref().and_then(|s| s.phase) == Some(Phase::Ended)
        })
        .await;
    let message = &condition(&ended, ENDED).expect("said").message;
    let secret = grant
        .status
        .and_then(|s| s.link)
        .expect("a link")
        .secret_ref;
    assert!(message.contains(&secret.to_string()), "{message}");

    world.give_rights_back().await;
    world.advance(Duration::from_secs(11 * 60)).await;
    world.until_link_gone(&ended).await;
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), LINKS);
    let left = secrets.list(&Default::default()).await.expect("listed");
    assert_eq!(left.items.len(), 0);
}
