//! Which flow a request goes by, and what somebody learns for whom there is none.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use keyloan::api::*;
use keyloan::plan::flow::full_for;
use keyloan::plan::inventory::ItemSeen;
use keyloan::plan::observed::Usage;
use keyloan::plan::validity::Lender;
use rstest::rstest;

use super::world::*;

fn with_flows(flows: Vec<AccessFlow>) -> World {
    World::asked().with(|w| w.seen.flows = flows.into_iter().map(Arc::new).collect())
}

fn named(name: &str, change: impl FnOnce(&mut AccessFlowSpec)) -> AccessFlow {
    let mut flow = flow(name);
    change(&mut flow.spec);
    flow
}

fn considered(world: &World) -> Vec<String> {
    let status = world.plan_at(0).status.expect("a status");
    let line = |f: ConsideredFlow| format!("{}: {}", f.name, f.reason);
    status.considered_flows.into_iter().map(line).collect()
}

#[test]
fn flows_are_tried_without_approval_first_then_with_the_fewest_approvals_then_by_name() {
    let needs = |mode, required: &[u32]| {
        let approval = approval(mode, required);
        move |spec: &mut AccessFlowSpec| {
            spec.approval = approval;
            // None of them covers the request, so all are tried.
            spec.suspend = true;
        }
    };
    let world = with_flows(vec![
        named("d-three", needs(ApprovalMode::AllOf, &[1, 2])),
        named("c-two", needs(ApprovalMode::AllOf, &[1, 1])),
        named("b-any", needs(ApprovalMode::AnyOf, &[3, 1])),
        named("z-auto", needs(ApprovalMode::None, &[])),
        named("a-auto", needs(ApprovalMode::None, &[])),
    ]);
    let names: Vec<_> = considered(&world)
        .into_iter()
        .map(|line| line.split(':').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["a-auto", "z-auto", "b-any", "c-two", "d-three"]);
}

#[test]
fn the_first_flow_that_covers_the_request_is_chosen_and_each_other_one_says_why_it_was_not() {
    let stranger = subject(SubjectKind::User, "bob", None);
    let world = with_flows(vec![
        named("d", |spec| spec.requesters = vec![stranger]),
        named("c", |_| {}),
        named("b", |_| {}),
        named("a", |spec| spec.items.exclude = vec![of_vault("Infra")]),
    ]);
    let plan = world.plan_at(0);
    assert_eq!(issued(&plan).agreement.terms.flow.name, "b");
    assert_eq!(
        considered(&world),
        [
            "a: NoFlowCoversRequest: the flow does not lend this item",
            "c: FlowChosen: flow \"b\" covers the request and takes precedence",
        ]
    );
}

#[test]
fn of_many_flows_those_are_shown_that_come_first() {
    let flows: Vec<_> = (0..30).map(|n| flow(&format!("flow-{n:02}"))).collect();
    let chosen = considered(&with_flows(flows.clone()));
    assert_eq!(chosen.len(), 20);
    assert!(chosen[0].starts_with("flow-01: FlowChosen"), "{chosen:?}");
    let mut none = with_flows(flows);
    none.grant().spec.duration = Some(span("9h"));
    assert_eq!(considered(&none).len(), 20);
}

#[test]
fn a_request_that_names_a_flow_goes_by_no_other() {
    let mut world = with_flows(vec![flow("a"), flow("b")]);
    world.grant().spec.flow = Some("b".into());
    assert_eq!(issued(&world.plan_at(0)).agreement.terms.flow.name, "b");
    world.grant().spec.flow = Some("c".into());
    assert_eq!(reason(&world.plan_at(0), ACCEPTED), "NoFlow");
}

/// What makes alice a stranger.
#[rstest]
#[case::in_no_group_of_the_flow(|w: &mut World| w.requester().groups.clear())]
#[case::a_group_of_the_system_counts_for_nobody(|w: &mut World| {
    w.requester().groups = vec![PrincipalName("system:authenticated".into())];
    w.flow().spec.requesters[0].name = "system:authenticated".into();
})]
#[case::another_user(|w: &mut World| w.flow().spec.requesters = vec![subject(SubjectKind::User, "bob", None)])]
#[case::a_service_account_of_another_namespace(|w: &mut World| {
    w.requester().username = "system:serviceaccount:team-a:ci".into();
    w.flow().spec.requesters = vec![subject(SubjectKind::ServiceAccount, "ci", Some("team-b"))];
})]
#[case::from_another_namespace(|w: &mut World| w.flow().spec.namespaces.from = FromNamespaces::Same)]
#[case::from_a_namespace_without_the_label(|w: &mut World| w.flow().spec.namespaces = labelled("lend", "yes"))]
#[case::from_a_namespace_that_is_not_known_yet(|w: &mut World| w.flow().spec.namespaces = not_labelled("lend", "no"))]
#[case::from_a_namespace_that_has_the_label(|w: &mut World| {
    w.flow().spec.namespaces = not_labelled("lend", "no");
    w.seen.namespace_labels = [("lend".to_owned(), "no".to_owned())].into();
})]
#[case::the_flow_is_of_another_integration(|w: &mut World| w.flow().spec.integration = IntegrationName("dev".into()))]
#[case::the_flow_lies_in_another_namespace(|w: &mut World| w.flow().metadata.namespace = Some("team-a".into()))]
#[case::there_is_no_flow(|w: &mut World| w.seen.flows.clear())]
fn a_stranger_learns_nothing_of_items_and_causes_no_request(#[case] estrange: fn(&mut World)) {
    let asks = [
        ("Infra", "db password"),
        ("Infra", "nothing like that"),
        ("Infra", "twin"),
        ("Infra", "old key"),
        ("HR", "payroll"),
        ("Nowhere", "x"),
    ];
    let mut answers = Vec::new();
    for (vault, item) in asks {
        let world = World::asked()
            .with(estrange)
            .with(|w| w.asks_for(vault, item));
        let plan = world.plan_at(0);
        assert_eq!(plan.effect, None, "{vault}/{item}");
        assert_eq!(reason(&plan, ACCEPTED), "NoFlow");
        answers.push(plan.status);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "the same answer to all: {answers:?}");
}

#[rstest]
#[case::of_the_named_group(|_: &mut World| {})]
#[case::by_username(|w: &mut World| w.flow().spec.requesters = vec![subject(SubjectKind::User, "alice", None)])]
#[case::a_service_account(|w: &mut World| {
    w.requester().username = "system:serviceaccount:team-a:ci".into();
    w.flow().spec.requesters = vec![subject(SubjectKind::ServiceAccount, "ci", Some("team-a"))];
})]
#[case::from_the_same_namespace(|w: &mut World| {
    w.flow().spec.namespaces.from = FromNamespaces::Same;
    w.grant().metadata.namespace = Some("keyloan".into());
})]
#[case::from_a_namespace_with_the_label(|w: &mut World| {
    w.flow().spec.namespaces = labelled("lend", "yes");
    w.seen.namespace_labels = [("lend".to_owned(), "yes".to_owned())].into();
})]
#[case::from_a_namespace_without_the_other_label(|w: &mut World| {
    w.flow().spec.namespaces = not_labelled("lend", "no");
    w.seen.namespace_labels = [("kubernetes.io/metadata.name".to_owned(), "team-a".to_owned())].into();
})]
fn whoever_the_flow_names_can_ask(#[case] change: fn(&mut World)) {
    issued(&World::asked().with(change).plan_at(0));
}

/// The namespace of the request is labeled lend=yes.
#[rstest]
#[case::one_of_the_values("In", "lend", &["no", "yes"], true)]
#[case::none_of_the_values("In", "lend", &["no"], false)]
#[case::a_value_of_another_label("In", "other", &["yes"], false)]
#[case::not_one_of_the_values("NotIn", "lend", &["no"], true)]
#[case::not_any_but_it("NotIn", "lend", &["yes"], false)]
#[case::not_a_value_of_another_label("NotIn", "other", &["yes"], true)]
#[case::there("Exists", "lend", &[], true)]
#[case::not_there("Exists", "other", &[], false)]
#[case::absent("DoesNotExist", "other", &[], true)]
#[case::not_absent("DoesNotExist", "lend", &[], false)]
#[case::unknown("Like", "lend", &["yes"], false)]
fn a_flow_lends_to_the_namespaces_that_its_selector_matches(
    #[case] operator: &str,
    #[case] key: &str,
    #[case] values: &[&str],
    #[case] matches: bool,
) {
    let world = World::asked().with(|w| {
        w.seen.namespace_labels = [("lend".to_owned(), "yes".to_owned())].into();
        w.flow().spec.namespaces = selected(operator, key, values);
    });
    let expected = if matches { "FlowChosen" } else { "NoFlow" };
    assert_eq!(reason(&world.plan_at(0), ACCEPTED), expected);
}

/// (what is selected) -> why no request can use the flow.
#[rstest]
#[case::with_values("In", &["yes"], None)]
#[case::without_values("In", &[], Some("operator In for key \"lend\" requires values"))]
#[case::there("Exists", &[], None)]
#[case::there_with_a_value("Exists", &["yes"], Some("operator Exists for key \"lend\" allows no values"))]
#[case::absent("DoesNotExist", &[], None)]
#[case::absent_with_values("DoesNotExist", &["yes", "no"], Some("operator DoesNotExist for key \"lend\" allows no values"))]
fn a_flow_whose_selector_has_values_where_none_belong_is_not_ready(
    #[case] operator: &str,
    #[case] values: &[&str],
    #[case] why: Option<&str>,
) {
    let plan = plan_of_flow(|f| f.spec.namespaces = selected(operator, "lend", values));
    let ready = said_of_flow(&plan, READY);
    assert_eq!(ready.status == "True", why.is_none(), "{}", ready.message);
    assert!(
        ready.message.contains(why.unwrap_or_default()),
        "{}",
        ready.message
    );
}

/// (the first include rule of a flow on Infra) -> what is said of it, and how many items it lends.
#[rstest]
#[case::all(|_: &mut ItemSelector| {}, "RulesMatch", (1, 3))]
#[case::one_by_title(|r: &mut ItemSelector| r.titles = vec![TitlePattern("db*".into())], "RulesMatch", (1, 1))]
#[case::a_title_with_the_character_itself(|r: &mut ItemSelector| r.titles = vec![TitlePattern("what?".into())], "WildcardInTitle", (1, 1))]
#[case::an_id_and_the_title_of_another(
    |r: &mut ItemSelector| { r.ids = vec![ItemId("i-db".into())]; r.titles = vec![TitlePattern("twin".into())]; },
    "RuleMatchesNothing",
    (0, 0)
)]
#[case::a_title_and_the_tag_of_another(
    |r: &mut ItemSelector| { r.titles = vec![TitlePattern("db password".into())]; r.tags = vec![Tag("what".into())]; },
    "RuleMatchesNothing",
    (0, 0)
)]
fn a_flow_says_what_its_rules_match(
    #[case] rule: fn(&mut ItemSelector),
    #[case] why: &str,
    #[case] (vaults, items): (u32, u32),
) {
    let plan = plan_of_flow(|f| {
        rule(&mut f.spec.items.include[0]);
    });
    let said = said_of_flow(&plan, MATCHES_ITEMS);
    assert_eq!(said.reason, why, "{}", said.message);
    let lends = plan.status.lends.expect("counted");
    assert_eq!((lends.vaults, lends.items), (vaults, items));
}

/// The plan of the flow "oncall"; in Infra, an item is titled "what?" and tagged "what".
fn plan_of_flow(change: impl FnOnce(&mut AccessFlow)) -> keyloan::plan::validity::Plan {
    let mut flow = flow("oncall");
    change(&mut flow);
    let mut world = World::asked();
    let items = &mut world.infra().items;
    items.truncate(2);
    items.push(ItemSeen {
        tags: vec!["what".into()],
        ..item("i-what", "what?")
    });
    let integration = world.seen.integration.expect("an integration");
    let lender = Lender {
        object: &integration.object,
        inventory: integration.inventory.as_deref(),
    };
    keyloan::plan::validity::plan(&flow, Some(lender), at(0))
}

fn said_of_flow<'a>(plan: &'a keyloan::plan::validity::Plan, type_: &str) -> &'a Condition {
    let conditions = &plan.status.conditions;
    conditions.iter().find(|c| c.type_ == type_).expect("said")
}

/// A vault of others, one of that title twice, one that the integration does not lend from, and none at all: what is there and is not for the
/// requester is answered as what is not there.
#[rstest]
#[case::of_others(|_: &mut World| {})]
#[case::of_others_by_title_twice(|w: &mut World| w.vaults().push(vault("v-hr-2", "HR", vec![])))]
#[case::off_the_allow_list(|w: &mut World| w.integration().spec.vaults = vec![TitleOrId("Infra".into())])]
#[case::not_there(|w: &mut World| w.vaults().retain(|vault| vault.title != "HR"))]
fn nobody_finds_out_by_asking_what_vaults_there_are(#[case] there: fn(&mut World)) {
    for item in ["payroll", "nothing like that"] {
        let world = World::asked().with(|w| w.asks_for("HR", item)).with(there);
        let plan = world.plan_at(0);
        assert_eq!(plan.effect, None);
        let (_, reason, message) = condition(&plan, ACCEPTED).expect("Accepted");
        assert_eq!(reason, "VaultNotAllowed");
        assert_eq!(message, not_for_you("HR"));
        let status = plan.status.as_ref().expect("a status");
        assert_eq!(status.considered_flows, vec![]);
    }
    // By its id, no title is told either.
    let by_id = World::asked().with(|w| w.asks_for("v-hr", "payroll"));
    let plan = by_id.with(there).plan_at(0);
    let (_, _, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(message, not_for_you("v-hr"));
}

/// The vault of others does not stand in the way of the one of the same title that is lent from.
#[test]
fn a_vault_of_others_makes_no_title_ambiguous() {
    issued(
        &World::asked()
            .with(|w| {
                w.vaults().push(vault("v-infra-2", "Infra", vec![]));
                w.flow().spec.items.include = vec![of_vault("v-infra")];
            })
            .plan_at(0),
    );
}

#[rstest]
#[case::by_id(|s: &mut ItemSelector| s.ids = vec![ItemId("i-db".into())], true)]
#[case::by_another_id(|s: &mut ItemSelector| s.ids = vec![ItemId("i-twin-1".into())], false)]
#[case::by_title(|s: &mut ItemSelector| s.titles = vec![TitlePattern("db *".into())], true)]
#[case::by_another_title(|s: &mut ItemSelector| s.titles = vec![TitlePattern("db".into())], false)]
#[case::by_tag(|s: &mut ItemSelector| s.tags = vec![Tag("dev".into()), Tag("prod".into())], true)]
#[case::by_another_tag(|s: &mut ItemSelector| s.tags = vec![Tag("dev".into())], false)]
#[case::every_member_has_to_match(|s: &mut ItemSelector| {
    s.titles = vec![TitlePattern("*".into())];
    s.tags = vec![Tag("dev".into())];
}, false)]
#[case::by_the_vaults_id(|s: &mut ItemSelector| s.vault = TitleOrId("v-infra".into()), true)]
fn a_selector_matches_items(#[case] select: fn(&mut ItemSelector), #[case] matches: bool) {
    let included = World::asked().with(|w| select(&mut w.flow().spec.items.include[0]));
    assert_eq!(included.plan_at(0).effect.is_some(), matches);
    let excluded = World::asked().with(|w| {
        let mut selector = of_vault("Infra");
        select(&mut selector);
        w.flow().spec.items.exclude = vec![selector];
    });
    assert_eq!(excluded.plan_at(0).effect.is_some(), !matches);
}

/// A person who can title a vault must not be able to make it pass for another vault.
#[rstest]
#[case::include(|w: &mut World| w.flow().spec.items.include = vec![of_vault(OTHERS_ID)])]
#[case::allow_list(|w: &mut World| w.integration().spec.vaults = vec![TitleOrId(OTHERS_ID.into())])]
fn a_vault_titled_like_an_id_is_not_taken_for_the_vault_of_this_id(#[case] rule: fn(&mut World)) {
    let world = World::asked().with(rule).with(|w| {
        w.infra().title = OTHERS_ID.into();
        w.asks_for("v-infra", "db password");
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), "VaultNotAllowed");
    let own = world.with(|w| {
        w.infra().id = OTHERS_ID.into();
        w.flow().spec.items.include = vec![of_vault(OTHERS_ID)];
        w.asks_for(OTHERS_ID, "db password");
    });
    issued(&own.plan_at(0));
}

/// As 1Password writes its ids.
const OTHERS_ID: &str = "infraaaaaaaaaaaaaaaaaaaaae";

#[test]
fn of_flows_that_do_not_cover_a_request_one_that_lends_the_item_tells_why() {
    let mut world = with_flows(vec![
        named("a", |spec| {
            spec.items.include[0].ids = vec![ItemId("i-twin-1".into())]
        }),
        named("b", |_| {}),
        named("c", |spec| spec.suspend = true),
    ]);
    world.grant().spec.duration = Some(span("9h"));
    let plan = world.plan_at(0);
    let (_, _, message) = condition(&plan, ACCEPTED).expect("Accepted");
    assert_eq!(message, "flow \"b\": the maximum duration is 8h");
}

/// Or a request that waits for the one would be refused by the other.
#[test]
fn a_flow_that_is_closed_came_closer_than_one_that_sends_no_link_to_these_addresses() {
    let mut listed = flow("b");
    listed.spec.grant.recipients = RecipientRule::Listed;
    closed(&mut listed);
    let mut world = with_flows(vec![flow("a"), listed]);
    world.integration().spec.recipient_domains = vec![Domain("example.com".into())];
    world.grant().spec.recipients = Some(vec![email("bob@example.com")]);
    assert_eq!(reason(&world.plan_at(0), ACCEPTED), "OutsideTimeframe");
}

/// Once it is known, another flow may cover the request.
#[test]
fn nothing_is_refused_for_good_while_the_namespace_is_not_known() {
    let mut all = flow("a");
    closed(&mut all);
    let mut some = flow("b");
    some.spec.namespaces = labelled("lend", "yes");
    let mut world = with_flows(vec![all, some]);
    world.seen.namespace_labels.clear();
    let plan = world.plan_at(1);
    assert_eq!(reason(&plan, ACCEPTED), "OutsideTimeframe");
    assert!(!stalled(&plan));
    world.seen.namespace_labels = [("lend".to_owned(), "yes".to_owned())].into();
    assert_eq!(issued(&world.plan_at(2)).agreement.terms.flow.name, "b");
    world.seen.namespace_labels = [("lend".to_owned(), "no".to_owned())].into();
    assert!(stalled(&world.plan_at(2)));
}

type Change = fn(&mut AccessFlow);

/// A flow that may come free outranks one that is closed for good, which outranks one that never fits.
#[rstest]
#[case::a_limit_outranks_a_closed_timeframe(&[("a", closed as Change), ("b", full)], "LimitReached", Phase::Pending)]
#[case::also_in_the_other_order(&[("a", full as Change), ("b", closed)], "LimitReached", Phase::Pending)]
#[case::a_closed_timeframe_outranks_other_items(&[("a", elsewhere as Change), ("b", closed), ("c", elsewhere)], "OutsideTimeframe", Phase::Failed)]
#[case::rules_of_a_flow_that_lends_the_item_outrank_other_items(&[("a", elsewhere as Change), ("b", |f: &mut AccessFlow| f.spec.grant.justification = Requirement::Required)], "NoFlowCoversRequest", Phase::Failed)]
#[case::the_first_of_equals(&[("a", elsewhere as Change), ("b", |f: &mut AccessFlow| f.spec.suspend = true)], "NoFlowCoversRequest", Phase::Failed)]
fn the_flow_that_came_closest_gives_the_reason(
    #[case] flows: &[(&str, Change)],
    #[case] why: &str,
    #[case] phase: Phase,
) {
    let plan = full_flows(flows).plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), why);
    assert_eq!(plan.status.and_then(|s| s.phase), Some(phase));
}

/// Alice has one loan through each of these flows.
fn full_flows(flows: &[(&str, Change)]) -> World {
    let changed = |(name, change): &(&str, Change)| {
        let mut flow = flow(name);
        change(&mut flow);
        flow
    };
    let mut world = with_flows(flows.iter().map(changed).collect());
    let uids = world
        .seen
        .flows
        .iter()
        .filter_map(|f| f.metadata.uid.clone());
    let usage = Usage {
        active: 1,
        ..Usage::default()
    };
    world.seen.usage = uids.map(|uid| (uid, usage)).collect();
    world
}

#[test]
fn of_flows_that_came_equally_close_the_first_gives_the_reason() {
    let flows = ["a", "b"].map(|name| named(name, |spec| spec.suspend = true));
    let plan = with_flows(flows.to_vec()).plan_at(0);
    let message = "flow \"a\": the flow is suspended";
    assert_eq!(
        condition(&plan, ACCEPTED),
        Some(("False", "NoFlowCoversRequest", message))
    );
}

/// A request that waits for a place is looked at again when one of these flows has one.
#[rstest]
#[case::one_of_two(&[("a", full as Change), ("b", elsewhere)], Some(vec!["a"]))]
#[case::both(&[("a", full as Change), ("b", full)], Some(vec!["a", "b"]))]
#[case::none(&[("a", elsewhere as Change)], None)]
fn the_flows_are_known_that_would_cover_a_request_if_there_were_a_place(
    #[case] flows: &[(&str, Change)],
    #[case] known: Option<Vec<&str>>,
) {
    let status = full_flows(flows).plan_at(0).status.expect("a status");
    assert_eq!(full_for(&status), known);
}

/// There may be more than the status shows.
#[rstest]
#[case::one_fewer(19, true)]
#[case::as_many_as_a_status_shows(20, false)]
#[case::more(30, false)]
fn of_too_many_full_flows_it_is_not_known_which_there_are(
    #[case] number: usize,
    #[case] is_known: bool,
) {
    let names: Vec<_> = (0..number).map(|n| format!("flow-{n:02}")).collect();
    let flows: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), full as Change))
        .collect();
    let status = full_flows(&flows).plan_at(0).status.expect("a status");
    let known = full_for(&status).map(|known| known.len());
    assert_eq!(known, is_known.then_some(number));
}

fn closed(flow: &mut AccessFlow) {
    flow.spec.timeframe = Some(Timeframe {
        days: vec![Weekday::Sun],
        from: TimeOfDay("09:00".into()),
        to: TimeOfDay("18:00".into()),
        time_zone: "Europe/Berlin".into(),
    });
}

fn full(flow: &mut AccessFlow) {
    flow.spec.limits.active_per_requester = 1;
}

fn elsewhere(flow: &mut AccessFlow) {
    flow.spec.items.include[0].ids = vec![ItemId("another".into())];
}

fn subject(kind: SubjectKind, name: &str, namespace: Option<&str>) -> Subject {
    Subject {
        kind,
        name: name.into(),
        namespace: namespace.map(Into::into),
    }
}

/// All namespaces but those with this label.
fn not_labelled(key: &str, value: &str) -> FlowNamespaces {
    selected("NotIn", key, &[value])
}

fn selected(operator: &str, key: &str, values: &[&str]) -> FlowNamespaces {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let other = LabelSelectorRequirement {
        key: key.into(),
        operator: operator.into(),
        values: Some(values),
    };
    FlowNamespaces {
        from: FromNamespaces::Selector,
        selector: Some(LabelSelector {
            match_labels: None,
            match_expressions: Some(vec![other]),
        }),
    }
}

fn labelled(key: &str, value: &str) -> FlowNamespaces {
    FlowNamespaces {
        from: FromNamespaces::Selector,
        selector: Some(LabelSelector {
            match_labels: Some([(key.to_owned(), value.to_owned())].into()),
            match_expressions: None,
        }),
    }
}
