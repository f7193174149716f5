//! What a request and a flow agree on: recipients, duration, links that open just once, and reasons to be given.

use jiff::SignedDuration;
use keyloan::api::*;
use keyloan::plan::delivery::share_link::length;
use rstest::rstest;

use super::world::*;

const OWN: &str = "alice@example.com";

/// The recipients of alice's link, or the reason why there is none.
#[rstest]
#[case::her_own_address_by_default(RecipientRule::Requester, &[], None, Ok(vec![OWN]))]
#[case::her_own_address_listed(RecipientRule::Requester, &[], Some(vec![OWN]), Ok(vec![OWN]))]
#[case::not_another(RecipientRule::Requester, &["example.com"], Some(vec!["bob@example.com"]), Err("RecipientNotAllowed"))]
#[case::nor_a_plus_address(RecipientRule::Requester, &["example.com"], Some(vec!["alice+x@example.com"]), Err("RecipientNotAllowed"))]
#[case::listed_within_the_domains(RecipientRule::Listed, &["example.com"], Some(vec![OWN, "bob@example.com"]), Ok(vec![OWN, "bob@example.com"]))]
#[case::listed_outside_the_domains(RecipientRule::Listed, &["example.com"], Some(vec![OWN, "eve@evil.example"]), Err("RecipientNotAllowed"))]
#[case::a_subdomain_is_another_domain(RecipientRule::Listed, &["example.com"], Some(vec!["bob@mail.example.com"]), Err("RecipientNotAllowed"))]
#[case::a_domain_that_ends_alike(RecipientRule::Listed, &["example.com"], Some(vec!["bob@badexample.com"]), Err("RecipientNotAllowed"))]
#[case::without_domains_only_her_own(RecipientRule::Listed, &[], Some(vec!["bob@example.com"]), Err("RecipientNotAllowed"))]
#[case::her_own_outside_the_domains(RecipientRule::Requester, &["other.example"], None, Err("RecipientNotAllowed"))]
#[case::an_empty_list_is_no_list(RecipientRule::Requester, &[], Some(vec![]), Ok(vec![OWN]))]
fn links_go_to_named_people(
    #[case] rule: RecipientRule,
    #[case] domains: &[&str],
    #[case] listed: Option<Vec<&str>>,
    #[case] expected: Result<Vec<&str>, &str>,
) {
    let world = World::asked().with(|w| {
        w.flow().spec.grant.recipients = rule;
        w.integration().spec.recipient_domains =
            domains.iter().map(|d| Domain((*d).into())).collect();
        w.grant().spec.recipients = listed.map(|l| l.into_iter().map(email).collect());
    });
    let plan = world.plan_at(0);
    match expected {
        Ok(recipients) => {
            let recipients: Vec<_> = recipients.into_iter().map(email).collect();
            assert_eq!(issued(&plan).agreement.terms.recipients, recipients);
        }
        Err(why) => {
            assert_eq!(plan.effect, None);
            assert_eq!(reason(&plan, ACCEPTED), why);
        }
    }
}

/// 1Password makes a public link if it is given no recipient.
#[rstest]
#[case::no_address_known(|w: &mut World| w.requester().email = None, "NoRecipient")]
#[case::an_empty_list_and_no_address_known(|w: &mut World| {
    w.requester().email = None;
    w.grant().spec.recipients = Some(vec![]);
}, "NoRecipient")]
#[case::an_empty_address(|w: &mut World| w.requester().email = Some(email("")), "RecipientNotAllowed")]
#[case::an_address_without_a_name(|w: &mut World| w.requester().email = Some(email("@example.com")), "RecipientNotAllowed")]
#[case::two_addresses_in_one(|w: &mut World| w.requester().email = Some(email("a@example.com,b@example.com")), "RecipientNotAllowed")]
fn no_link_is_ever_public(#[case] change: fn(&mut World), #[case] why: &str) {
    let plan = World::asked().with(change).plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, ACCEPTED), why);
    assert!(stalled(&plan));
}

/// (asked, flow's most, flow's default, integration's ceiling) -> what is agreed, or what is said.
#[rstest]
#[case::as_asked(Some("4h"), "8h", "1h", None, Ok("4h"))]
#[case::as_much_as_the_flow_lends(Some("8h"), "8h", "1h", None, Ok("8h"))]
#[case::written_otherwise(Some("90m"), "8h", "1h", None, Ok("1h30m"))]
#[case::by_default(None, "8h", "2h", None, Ok("2h"))]
#[case::the_default_is_cut_to_the_most(None, "8h", "3d", None, Ok("8h"))]
#[case::the_default_is_cut_to_the_ceiling(None, "8h", "8h", Some("6h"), Ok("6h"))]
#[case::more_than_the_flow_lends(Some("9h"), "8h", "1h", None, Err("the maximum duration is 8h"))]
#[case::more_than_the_ceiling(
    Some("7h"),
    "8h",
    "1h",
    Some("6h"),
    Err("the maximum duration is 6h")
)]
#[case::a_ceiling_above_the_flow_changes_nothing(
    Some("9h"),
    "8h",
    "1h",
    Some("7d"),
    Err("the maximum duration is 8h")
)]
#[case::less_than_the_shortest_link(
    Some("59m"),
    "8h",
    "1h",
    None,
    Err("the minimum duration is 1h, the shortest 1Password link lifetime")
)]
#[case::a_ceiling_below_the_shortest_link(
    None,
    "8h",
    "1h",
    Some("30m"),
    Err("the minimum duration is 1h, the shortest 1Password link lifetime")
)]
#[case::nonsense(Some("soon"), "8h", "1h", None, Err("the duration soon is invalid"))]
fn a_loan_lasts_as_asked_within_the_ceilings(
    #[case] asked: Option<&str>,
    #[case] most: &str,
    #[case] default: &str,
    #[case] ceiling: Option<&str>,
    #[case] expected: Result<&str, &str>,
) {
    let world = World::asked().with(|w| {
        w.grant().spec.duration = asked.map(span);
        w.flow().spec.grant.max_duration = span(most);
        w.flow().spec.grant.default_duration = span(default);
        w.integration().spec.limits = Some(IntegrationLimits {
            max_duration: ceiling.map(span),
            ..IntegrationLimits::default()
        });
    });
    let plan = world.plan_at(0);
    match expected {
        Ok(duration) => assert_eq!(issued(&plan).agreement.terms.duration, span(duration)),
        Err(what) => {
            assert_eq!(plan.effect, None);
            let message = format!("flow \"oncall\": {what}");
            let expected = ("False", "NoFlowCoversRequest", message.as_str());
            assert_eq!(condition(&plan, ACCEPTED), Some(expected));
        }
    }
}

/// 1Password knows five lifetimes; the longest one under the flow's ceiling that ends with the loan is taken.
#[rstest]
#[case("4h", LinkLifetime::OneHour, LinkLifetime::OneHour)]
#[case("4h", LinkLifetime::ThirtyDays, LinkLifetime::OneHour)]
#[case("23h59m", LinkLifetime::ThirtyDays, LinkLifetime::OneHour)]
#[case("24h", LinkLifetime::ThirtyDays, LinkLifetime::OneDay)]
#[case("13d", LinkLifetime::ThirtyDays, LinkLifetime::SevenDays)]
#[case("14d", LinkLifetime::ThirtyDays, LinkLifetime::FourteenDays)]
#[case("365d", LinkLifetime::ThirtyDays, LinkLifetime::ThirtyDays)]
#[case("365d", LinkLifetime::OneDay, LinkLifetime::OneDay)]
fn a_link_lives_as_long_as_flow_and_loan_let_it(
    #[case] duration: &str,
    #[case] ceiling: LinkLifetime,
    #[case] expected: LinkLifetime,
) {
    let world = World::asked().with(|w| {
        w.grant().spec.duration = Some(span(duration));
        w.flow().spec.grant.max_duration = span("365d");
        w.flow().spec.grant.link_lifetime = ceiling;
    });
    assert_eq!(issued(&world.plan_at(0)).opens_for, length(expected));
}

#[rstest]
#[case::not_asked_for(ViewOnce::Allowed, None, 1, Ok(false))]
#[case::asked_for(ViewOnce::Allowed, Some(true), 1, Ok(true))]
#[case::required(ViewOnce::Required, None, 1, Ok(true))]
#[case::required_though_not_wanted(ViewOnce::Required, Some(false), 1, Ok(true))]
#[case::forbidden(ViewOnce::Forbidden, None, 1, Ok(false))]
#[case::forbidden_but_asked_for(
    ViewOnce::Forbidden,
    Some(true),
    1,
    Err("the flow does not allow single-view links")
)]
#[case::for_one_recipient_only(
    ViewOnce::Required,
    None,
    2,
    Err("a single-view link can have only one recipient")
)]
fn a_link_opens_just_once_if_flow_or_request_say_so(
    #[case] rule: ViewOnce,
    #[case] asked: Option<bool>,
    #[case] recipients: usize,
    #[case] expected: Result<bool, &str>,
) {
    let world = World::asked().with(|w| {
        let flow = &mut w.flow().spec.grant;
        flow.view_once = rule;
        flow.recipients = RecipientRule::Listed;
        w.integration().spec.recipient_domains = vec![Domain("example.com".into())];
        let listed = [OWN, "bob@example.com"].into_iter().take(recipients);
        w.grant().spec.recipients = Some(listed.map(email).collect());
        w.grant().spec.view_once = asked;
    });
    let plan = world.plan_at(0);
    match expected {
        Ok(once) => {
            let terms = &issued(&plan).agreement.terms;
            assert_eq!(terms.view_once, once);
            let renewal = if once {
                Renewal::Never
            } else {
                Renewal::OnRequest
            };
            assert_eq!(
                terms.renewal, renewal,
                "the loan ends with a link that opens just once"
            );
        }
        Err(what) => {
            assert_eq!(plan.effect, None);
            let (_, _, message) = condition(&plan, ACCEPTED).expect("Accepted");
            assert_eq!(message, format!("flow \"oncall\": {what}"));
        }
    }
}

#[rstest]
#[case::needed_and_given(Requirement::Required, Some("INC-1234"), true)]
#[case::needed_and_missing(Requirement::Required, None, false)]
#[case::needed_and_blank(Requirement::Required, Some("  "), false)]
#[case::optional(Requirement::Optional, None, true)]
fn a_flow_can_ask_for_a_justification(
    #[case] rule: Requirement,
    #[case] given: Option<&str>,
    #[case] granted: bool,
) {
    let world = World::asked().with(|w| {
        w.flow().spec.grant.justification = rule;
        w.grant().spec.justification = given.map(Into::into);
    });
    assert_eq!(world.plan_at(0).effect.is_some(), granted);
}

#[rstest]
#[case::of_the_flow(Some("flow"), Some("integration"), Some("flow"))]
#[case::of_the_integration(None, Some("integration"), Some("integration"))]
#[case::none(None, None, None)]
fn access_details_of_the_flow_stand_before_those_of_the_integration(
    #[case] flow: Option<&str>,
    #[case] integration: Option<&str>,
    #[case] expected: Option<&str>,
) {
    let details = |text: Option<&str>| text.map(|t| AccessDetails(t.into()));
    let world = World::asked().with(|w| {
        w.flow().spec.access_details = details(flow);
        w.integration().spec.custom_access_details = details(integration);
    });
    let plan = world.plan_at(0);
    assert_eq!(
        issued(&plan).agreement.terms.access_details,
        details(expected)
    );
}

#[rstest]
#[case::one(&["prod", "owner:db-team"], Some("db-team"))]
#[case::none(&["prod"], None)]
#[case::several(&["owner:db-team", "owner:web-team"], None)]
#[case::one_that_no_tag_may_name(&["owner:mallory"], None)]
#[case::of_another_key(&["team:db-team"], None)]
fn a_tag_names_the_items_owner(#[case] tags: &[&str], #[case] expected: Option<&str>) {
    let world = World::asked().with(|w| {
        w.integration().spec.resource_owner = Some(ResourceOwner {
            tag_key: "owner".into(),
            kind: PersonKind::Group,
            allowed: ["db-team", "web-team"]
                .map(|n| PrincipalName(n.into()))
                .to_vec(),
        });
        w.infra().items[0].tags = tags.iter().map(|t| (*t).to_owned()).collect();
    });
    let plan = world.plan_at(0);
    let owner = issued(&plan).agreement.terms.resource_owner.as_deref();
    assert_eq!(owner, expected);
}

/// Each of these is another agreement, so that what somebody approved cannot become something else.
#[rstest]
#[case::grant(|w: &mut World| w.grant().metadata.uid = Some("another".into()))]
#[case::flow(|w: &mut World| w.flow().metadata.uid = Some("another".into()))]
#[case::integration(|w: &mut World| w.integration().metadata.uid = Some("another".into()))]
#[case::account(|w: &mut World| {
    let status = w.integration().status.as_mut().expect("a status");
    status.account = Some("another@1password.com".into());
})]
#[case::item(|w: &mut World| w.infra().items[0].id = "another".into())]
#[case::version_of_the_item(|w: &mut World| w.infra().items[0].updated_at = at(-1))]
#[case::recipients(|w: &mut World| w.requester().email = Some(email("alice2@example.com")))]
#[case::duration(|w: &mut World| w.grant().spec.duration = Some(span("3h")))]
#[case::view_once(|w: &mut World| w.grant().spec.view_once = Some(true))]
#[case::link_lifetime(|w: &mut World| {
    w.grant().spec.duration = Some(span("1d"));
    w.flow().spec.grant.max_duration = span("1d");
    w.flow().spec.grant.link_lifetime = LinkLifetime::OneDay;
})]
#[case::renewal(|w: &mut World| w.flow().spec.grant.renewal = Renewal::Never)]
#[case::access_details(|w: &mut World| w.flow().spec.access_details = Some(AccessDetails("use the bastion".into())))]
#[case::vault(|w: &mut World| w.infra().id = "another".into())]
fn other_terms_have_another_digest(#[case] change: fn(&mut World)) {
    let one = issued(&World::asked().plan_at(0)).agreement.digest.clone();
    let again = issued(&World::asked().plan_at(7)).agreement.digest.clone();
    assert_eq!(
        one, again,
        "the same terms have the same digest at any time"
    );
    // Another request has to be vouched for first.
    let vouched = |w: &mut World| w.seen.checked.extend(["another".to_owned()]);
    let other = World::asked().with(change).with(vouched).plan_at(0);
    assert_ne!(one, issued(&other).agreement.digest);
}

/// The lifetimes are 1Password's own: its share links know no others.
#[rstest]
#[case(LinkLifetime::OneHour, 1)]
#[case(LinkLifetime::OneDay, 24)]
#[case(LinkLifetime::SevenDays, 7 * 24)]
#[case(LinkLifetime::FourteenDays, 14 * 24)]
#[case(LinkLifetime::ThirtyDays, 30 * 24)]
fn a_link_opens_for_as_long_as_its_lifetime_is_called(
    #[case] lifetime: LinkLifetime,
    #[case] hours: i64,
) {
    assert_eq!(length(lifetime), SignedDuration::from_hours(hours));
}
