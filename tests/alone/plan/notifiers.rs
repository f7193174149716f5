//! Who is told of which step, and what a notifier's status says.

use keyloan::api::*;
use keyloan::plan::notifier::{Audience, Destination, routes, tells};
use keyloan::plan::timeline::{Step, Subject};
use rstest::rstest;
use serde_json::{Value, json};

use super::deciders::*;
use super::world::*;

fn subject(world: &World) -> Subject<'_> {
    Subject {
        grant: world.seen.grant.as_deref(),
        record: world.seen.record.as_deref().map(|record| &record.spec),
    }
}

fn spec(value: Value) -> AccessNotifierSpec {
    serde_json::from_value(value).expect("a notifier")
}

fn step(event: NoticeEvent) -> Step<'static> {
    Step {
        id: "u/Event".into(),
        event,
        at: at(0),
        told_by: at(0),
        decision: None,
        link: None,
    }
}

/// Who is told of an event, in which words, and where.
fn told(spec: &AccessNotifierSpec, world: &World, event: NoticeEvent) -> Vec<String> {
    let routes = routes(spec, &subject(world), &step(event));
    let line = |audience: Audience, to: &Destination| match to {
        Destination::Url(key) => format!("{audience:?} by {}", key.0.0),
        Destination::Address(address) => format!("{audience:?} {address}"),
    };
    routes
        .iter()
        .map(|route| line(route.audience, &route.to))
        .collect()
}

fn waiting() -> World {
    World::by_owner_and_two_of_security().settled(0)
}

fn by_mail() -> AccessNotifierSpec {
    spec(json!({ "email": {
        "server": { "host": "smtp.example.com" },
        "from": "keyloan@example.com",
        "to": {
            "requester": true, "recipients": true, "addresses": ["archive@example.com"],
            "groups": [
                { "name": "owner", "addresses": ["owners@example.com"] },
                { "name": "security", "addresses": ["security@example.com", "archive@example.com"] },
            ],
        },
    } }))
}

fn by_slack() -> AccessNotifierSpec {
    spec(json!({ "slack": {
        "urlKey": "all",
        "groups": [{ "name": "security", "urlKey": "security" }],
    } }))
}

#[test]
fn approvers_whose_word_is_missing_are_asked_and_nobody_else() {
    let expected = [
        "Approvers owners@example.com",
        "Approvers security@example.com",
        "Approvers archive@example.com",
    ];
    assert_eq!(
        told(&by_mail(), &waiting(), NoticeEvent::Requested),
        expected
    );
    assert_eq!(
        told(&by_slack(), &waiting(), NoticeEvent::Requested),
        ["Approvers by security"]
    );
    let by_security = waiting()
        .approved_by(carol(), 1)
        .approved_by(dave(), 2)
        .settled(2);
    assert_eq!(
        told(&by_slack(), &by_security, NoticeEvent::Requested),
        ["Approvers by all"],
        "the group that is left has no channel of its own"
    );
    assert_eq!(
        told(&by_mail(), &by_security, NoticeEvent::Reminder)[0],
        "Approvers owners@example.com"
    );
}

#[test]
fn a_channel_reads_about_everything_else() {
    assert_eq!(
        told(&by_slack(), &waiting(), NoticeEvent::Denied),
        ["Observers by all"]
    );
}

#[test]
fn whoever_asked_is_told_of_the_outcome_and_recipients_only_of_links() {
    let world = World::lent_with(|w| {
        let requester = w.grant().spec.requester.as_mut().expect("one");
        requester.email = Some(Email("alice@example.com".into()));
    })
    .with(|w| {
        let alice = w.record().spec.requester.clone();
        w.record().spec.requester = Identity {
            email: Some(Email("alice@example.com".into())),
            ..alice
        };
        w.record().spec.terms.recipients = vec![
            Email("Alice@example.com".to_lowercase()),
            Email("ben@example.com".into()),
        ];
    });
    let world = world.with(|w| w.seen.grant = None);
    assert_eq!(
        told(&by_mail(), &world, NoticeEvent::LinkIssued),
        [
            "Requester alice@example.com",
            "Recipient ben@example.com",
            "Observers archive@example.com"
        ]
    );
    assert_eq!(
        told(&by_mail(), &world, NoticeEvent::Ended),
        [
            "Requester alice@example.com",
            "Observers archive@example.com"
        ]
    );
}

#[rstest]
#[case::people_by_default(json!({}), NoticeEvent::Denied, true)]
#[case::not_each_decision(json!({}), NoticeEvent::Decided, false)]
#[case::unless_they_ask(json!({ "events": ["Decided"] }), NoticeEvent::Decided, true)]
#[case::only_what_they_ask(json!({ "events": ["Decided"] }), NoticeEvent::Denied, false)]
#[case::of_this_flow(json!({ "flows": ["oncall"] }), NoticeEvent::Denied, true)]
#[case::of_another(json!({ "flows": ["other"] }), NoticeEvent::Denied, false)]
fn a_notifier_tells_the_events_and_flows_that_it_names(
    #[case] more: Value,
    #[case] event: NoticeEvent,
    #[case] is_told: bool,
) {
    let mut notifier = json!({ "slack": { "urlKey": "all" } });
    let members = notifier.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    let world = waiting();
    let flow = subject(&world).terms().expect("terms").flow.name.clone();
    let members = serde_json::to_string(&notifier)
        .expect("JSON")
        .replace("oncall", &flow);
    let spec: AccessNotifierSpec = serde_json::from_str(&members).expect("a notifier");
    let namespace = subject(&world)
        .terms()
        .expect("terms")
        .integration
        .namespace
        .clone();
    assert_eq!(tells(&spec, &namespace, &subject(&world), event), is_told);
    assert!(!tells(&spec, "elsewhere", &subject(&world), event));
}

#[test]
fn a_program_is_told_everything_and_nobody_of_what_no_flow_covers() {
    let webhook = spec(json!({ "webhook": {
        "signingKeys": ["key"],
    } }));
    let world = waiting();
    let namespace = subject(&world)
        .terms()
        .expect("terms")
        .integration
        .namespace
        .clone();
    assert!(tells(
        &webhook,
        &namespace,
        &subject(&world),
        NoticeEvent::LinksOver
    ));
    let hopeless = waiting().with(|w| w.grant().status = None);
    assert!(!tells(
        &webhook,
        &namespace,
        &subject(&hopeless),
        NoticeEvent::Failed
    ));
}
