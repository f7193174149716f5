//! Bad requests: each gets a clear condition, and 1Password hears nothing of it.

use crate::world::{Ask, World, condition};
use keyloan::api::{
    ACCEPTED, ACTIVE, AccessFlow, FromNamespaces, RecipientRule, Requirement, Span,
};
use kube::Api;

/// A request that is refused: what is asked, which reason it gets, and what the message has to tell.
struct Refused {
    what: &'static str,
    who: &'static str,
    ask: Ask,
    reason: &'static str,
    tells: &'static str,
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_no_rule_covers_are_refused_without_asking_1password() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| {
            flow.namespaces.from = FromNamespaces::Selector;
            flow.namespaces.selector = Some(crate::world::labels("lends", "yes"));
            flow.grant.recipients = RecipientRule::Listed;
        })
        .await;
    world
        .flow("reasoned", |flow| {
            flow.requesters[0].name = "security".into();
            flow.grant.justification = Requirement::Required;
            flow.grant.max_duration = Span("2h".into());
        })
        .await;
    let cases = [
        Refused {
            what: "a person whom no flow names",
            who: "erin",
            ask: Ask::item("db password"),
            reason: "NoFlow",
            tells: "no flow of this integration lets you request items from this namespace",
        },
        Refused {
            what: "a stranger who asks for something that does not exist learns no more than that",
            who: "erin",
            ask: Ask::item("no such item"),
            reason: "NoFlow",
            tells: "no flow of this integration lets you request items from this namespace",
        },
        Refused {
            what: "a namespace that no flow names",
            who: "alice",
            ask: Ask::item("db password").from("team-b"),
            reason: "NoFlow",
            tells: "no flow",
        },
        Refused {
            what: "an integration that does not exist",
            who: "alice",
            ask: Ask::item("db password").of("nowhere"),
            reason: "IntegrationNotFound",
            tells: "OnePasswordIntegration \"nowhere\" was not found",
        },
        Refused {
            what: "a vault off the allow-list",
            who: "alice",
            ask: Ask::item("bank").in_vault("Finance"),
            reason: "VaultNotAllowed",
            tells: "none of the flows available to you covers vault \"Finance\"",
        },
        Refused {
            what: "a recipient outside the domains",
            who: "alice",
            ask: Ask::item("db password").to("alice@elsewhere.org"),
            reason: "RecipientNotAllowed",
            tells: "alice@elsewhere.org",
        },
        Refused {
            what: "a loan that is too long",
            who: "alice",
            ask: Ask::item("db password").lasting("9h"),
            reason: "NoFlowCoversRequest",
            tells: "the maximum duration is 8h",
        },
        Refused {
            what: "a request without the justification that is asked for",
            who: "carol",
            ask: Ask::item("db password"),
            reason: "NoFlowCoversRequest",
            tells: "justification",
        },
        Refused {
            what: "an archived item",
            who: "alice",
            ask: Ask::item("old console"),
            reason: "ItemArchived",
            tells: "restore it",
        },
    ];
    world.control.reset_requests().await.expect("reset");
    for case in cases {
        let grant = world.ask(case.who, case.ask).await;
        // A pipeline that waits is told; of what may have been applied together with the request, some seconds later.
        let refused = world
            .until(&grant, |g| condition(g, "Stalled").is_some())
            .await;
        let accepted = condition(&refused, ACCEPTED).expect("said");
        assert_eq!(
            (accepted.status.as_str(), accepted.reason.as_str()),
            ("False", case.reason),
            "{}: {}",
            case.what,
            accepted.message
        );
        assert!(
            accepted.message.contains(case.tells),
            "{}: {}",
            case.what,
            accepted.message
        );
        assert_eq!(refused.status.and_then(|s| s.record), None, "{}", case.what);
        let log = world.control.requests().await.expect("log");
        let listings = log.count("GET /api/v1/vault/{vault}/items/overviews");
        // An archived item, which comes last here, is looked for once more: it may have been restored.
        let at_most = u64::from(case.reason == "ItemArchived");
        assert!(
            log.total <= at_most && log.total == listings,
            "{}: {:?}",
            case.what,
            log.by_route
        );
    }
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_says_which_of_its_rules_match_nothing_and_lends_nothing_past_a_misspelt_exclude() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("whole", |_| {}).await;
    let rule = |vault: &str, tag: &str| keyloan::api::ItemSelector {
        vault: keyloan::api::TitleOrId(vault.into()),
        ids: vec![],
        titles: vec![],
        tags: vec![keyloan::api::Tag(tag.into())],
    };
    for (name, excluded) in [("misspelt", "Infraa"), ("early", "Infra")] {
        world
            .flow(name, |flow| {
                flow.requesters[0].name = "security".into();
                flow.items.exclude = vec![rule(excluded, "not-yet")];
            })
            .await;
    }
    let flows: Api<AccessFlow> = Api::namespaced(world.admin.clone(), crate::world::PLATFORM);
    let said = async |name: &str, type_: &str, reason: &str| {
        let what = format!("{name} says {type_} {reason}");
        let look = async || {
            let status = flows.get(name).await.expect("readable").status?;
            let mut conditions = status.conditions.iter();
            let found = conditions.find(|c| c.type_ == type_ && c.reason == reason)?;
            Some((found.message.clone(), status.lends))
        };
        let most = std::time::Duration::from_secs(60);
        keyloan_cluster::wait_until(what, most, look)
            .await
            .expect("it is said")
    };
    let (_, lends) = said("whole", "MatchesItems", "RulesMatch").await;
    assert!(
        lends.is_some_and(|lends| lends.vaults == 1 && lends.items > 0),
        "{lends:?}"
    );
    let (message, _) = said("misspelt", "MatchesItems", "RuleMatchesNothing").await;
    let told = r#"exclude[0] names vault "Infraa", which the integration does not lend from (similar: "Infra")"#;
    assert!(message.contains(told), "{message}");
    let (_, lends) = said("misspelt", "Ready", "ExcludeNamesNoVault").await;
    assert_eq!(lends, Some(Default::default()), "it lends nothing");
    let (message, _) = said("early", "MatchesItems", "RuleMatchesNothing").await;
    assert!(
        message.contains(r#"exclude[0].tags lists "not-yet""#),
        "{message}"
    );
    let (_, lends) = said("early", "Ready", "Valid").await;
    assert!(lends.is_some_and(|lends| lends.items > 0), "{lends:?}");

    let only_by = async |flow: &str| world.ask("carol", Ask::item("db password").by(flow)).await;
    let refused = only_by("misspelt").await;
    let refused = world
        .until(&refused, |g| condition(g, ACCEPTED).is_some())
        .await;
    let accepted = condition(&refused, ACCEPTED).expect("said");
    assert_eq!(
        (&*accepted.status, &*accepted.reason),
        ("False", "NoFlowCoversRequest")
    );
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);
    let lent = only_by("early").await;
    world.until_active(&lent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requester_without_an_address_gets_no_link() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world
        .flow("oncall", |flow| flow.requesters[0].name = "robots".into())
        .await;
    world.control.reset_requests().await.expect("reset");
    let grant = world
        .ask_without_email("robot", "robots", Ask::item("db password"))
        .await;
    let refused = world
        .until(&grant, |g| condition(g, ACCEPTED).is_some())
        .await;
    assert_eq!(
        condition(&refused, ACCEPTED).map(|c| c.reason.as_str()),
        Some("NoRecipient")
    );
    assert_eq!(world.control.requests().await.expect("log").total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_each_link_opens_just_once_only_a_loan_that_is_over_with_it_is_granted() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    let mut policy = world.control.policy().await.expect("a policy");
    policy.max_views = Some(1);
    world.control.set_policy(&policy).await.expect("set");

    let grant = world.ask("alice", Ask::item("db password")).await;
    let refused = world
        .until(&grant, |g| {
            condition(g, ACTIVE).is_some_and(|c| c.reason == "ViewOnceRequired")
        })
        .await;
    let message = &condition(&refused, ACTIVE).expect("said").message;
    assert!(
        message.contains("request again with viewOnce: true"),
        "{message}"
    );
    assert!(condition(&refused, "Stalled").is_some());
    assert_eq!(refused.status.and_then(|s| s.record), None);
    assert_eq!(world.control.shares().await.expect("shares").len(), 0);

    // What the message says to do works, and so does another policy.
    let once = world.ask("alice", Ask::item("db password").once()).await;
    world.until_active(&once).await;
    policy.max_views = None;
    world.control.set_policy(&policy).await.expect("set");
    world.advance(std::time::Duration::from_secs(61 * 60)).await;
    world.until_active(&grant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_or_ambiguous_title_costs_one_listing_and_none_when_repeated() {
    let world = World::start().await;
    world.integration("prod", "lender").await;
    world.flow("oncall", |_| {}).await;
    for (title, reason, tells) in [
        (
            "no such item",
            "ItemNotFound",
            "has no item \"no such item\"",
        ),
        ("api key", "ItemAmbiguous", "apikeyoneaaaaaaaaaaaaaaaae"),
    ] {
        for listings in [1, 0] {
            world.control.reset_requests().await.expect("reset");
            let grant = world.ask("alice", Ask::item(title)).await;
            let refused = world
                .until(&grant, |g| {
                    condition(g, ACCEPTED).is_some_and(|c| c.reason == reason)
                })
                .await;
            let message = condition(&refused, ACCEPTED)
                .map(|c| c.message.clone())
                .expect("said");
            assert!(message.contains(tells), "{message}");
            let log = world.control.requests().await.expect("log");
            assert_eq!(log.total, listings, "{title}: {:?}", log.by_route);
        }
        // A vault is listed at most once a minute for names that it does not have.
        world.advance(std::time::Duration::from_secs(61)).await;
    }
    // What the message of the ambiguous one says to do works.
    let grant = world
        .ask("alice", Ask::item("apikeytwoaaaaaaaaaaaaaaaae"))
        .await;
    world.until_active(&grant).await;
}
