//! How the names in a request become ids: what is listed again, how often, and the message if that
//! does not help.

use keyloan::api::{ItemId, TitleOrId, TitlePattern};
use keyloan::plan::delivery::failure::Failure;
use keyloan::plan::effect::Effect;
use rstest::rstest;

use super::world::*;

/// What is said of a name once the vault has been listed for it.
#[rstest]
#[case::unknown(
    "nothing",
    "ItemNotFound",
    r#"vault "Infra" has no item "nothing" that you may borrow; check the spelling, or request by id"#
)]
#[case::ambiguous(
    "twin",
    "ItemAmbiguous",
    r#"several items of vault "Infra" are titled "twin"; request by id: i-twin-1, i-twin-2"#
)]
#[case::archived(
    "old key",
    "ItemArchived",
    r#"item "old key" is archived in 1Password; restore it there"#
)]
fn a_name_that_does_not_settle_causes_one_listing_and_then_a_refusal(
    #[case] name: &str,
    #[case] why: &str,
    #[case] message: &str,
) {
    let world = World::asked().with(|w| w.asks_for("Infra", name));
    let listing = Effect::ListVault {
        vault: "v-infra".into(),
        looking_for: name.into(),
    };
    let first = world.plan_at(0);
    assert_eq!(first.effect, Some(listing.clone()));
    assert_eq!(reason(&first, keyloan::api::ACCEPTED), "LookingForItem");
    assert!(!stalled(&first), "it may be found yet");

    let mut world = world.one_step(0);
    for minute in [0, 1, 5, 6, 60, 23 * 60] {
        let plan = world.plan_at(minute);
        assert_eq!(plan.effect, None, "minute {minute}: no other listing");
        assert_eq!(
            condition(&plan, keyloan::api::ACCEPTED),
            Some(("False", why, message))
        );
        assert!(stalled(&plan));
    }

    // The same name in another request, right after, and when the first answer is stale.
    world.grant().metadata.creation_timestamp = Some(keyloan::api::Time(at(4)));
    assert_eq!(world.plan_at(4).effect, None, "repeated soon");
    world.grant().metadata.creation_timestamp = Some(keyloan::api::Time(at(5)));
    assert_eq!(world.plan_at(5).effect, Some(listing), "repeated later");
}

#[rstest]
#[case::by_title("db password")]
#[case::by_id("i-db")]
#[case::one_of_several_by_id("i-twin-2")]
fn a_name_that_settles_causes_no_listing(#[case] name: &str) {
    issued(
        &World::asked()
            .with(|w| w.asks_for("Infra", name))
            .plan_at(0),
    );
}

/// Requesters must not be able to use up the account's requests with one unknown name after
/// another.
#[test]
fn a_vault_is_listed_for_names_that_it_does_not_have_once_a_minute_at_the_most() {
    let first = World::asked().with(|w| w.asks_for("Infra", "nothing"));
    assert!(first.plan_at(0).effect.is_some(), "the first one at once");
    let next = first.one_step(0).with(|w| w.asks_for("Infra", "nor this"));
    let plan = next.plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(plan.wake, Some(at(1)));
    let message = "the item is not known; the vault was just listed for another request and will be listed again at 2026-11-23T10:01:00Z";
    assert_eq!(
        condition(&plan, keyloan::api::ACCEPTED),
        Some(("False", "LookingForItem", message))
    );
    assert!(!stalled(&plan), "it may be found yet");

    // What came in the meantime shares the next listing.
    let listed = next.one_step(1);
    let plan = listed.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, keyloan::api::ACCEPTED), "ItemNotFound");
    let another = listed.with(|w| w.asks_for("Infra", "nor that"));
    let plan = another.plan_at(1);
    assert_eq!(plan.effect, None);
    assert_eq!(reason(&plan, keyloan::api::ACCEPTED), "ItemNotFound");

    // What is known is lent meanwhile.
    let known = another.with(|w| w.asks_for("Infra", "db password"));
    issued(&known.plan_at(1));
}

/// Neither that it is archived nor that there are several, and what their ids are.
#[rstest]
#[case::archived("old key")]
#[case::ambiguous("twin")]
fn of_items_that_no_flow_lends_nothing_is_told(#[case] name: &str) {
    let world = |name: &str| {
        let world = World::asked().with(|w| {
            w.flow().spec.items.include[0].titles = vec![TitlePattern("db *".into())];
            w.asks_for("Infra", name);
        });
        assert!(
            matches!(world.plan_at(0).effect, Some(Effect::ListVault { .. })),
            "like one that is not there, it is looked for"
        );
        world.one_step(0)
    };
    let [known, unknown] = [name, "nothing"].map(|name| {
        let plan = world(name).plan_at(0);
        assert_eq!(plan.effect, None);
        let (status, reason, message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
        let message = message.replace(name, "...");
        (status.to_owned(), reason.to_owned(), message)
    });
    assert_eq!(known, unknown);
    assert_eq!(known.1, "ItemNotFound");
}

#[test]
fn of_several_items_of_one_title_those_that_a_flow_lends_are_the_candidates() {
    let by_id = |ids: &[&str]| {
        let ids = ids.iter().map(|id| ItemId((*id).into())).collect();
        World::asked().with(|w| {
            w.infra().items.push(item("i-twin-3", "twin"));
            w.flow().spec.items.include[0].ids = ids;
            // A flow that is suspended may lend again.
            let mut other = flow("other");
            other.spec.suspend = true;
            other.spec.items.include[0].ids = vec![ItemId("i-twin-3".into())];
            w.seen.flows.push(std::sync::Arc::new(other));
            w.asks_for("Infra", "twin");
        })
    };
    let plan = by_id(&["i-twin-1"]).one_step(0).plan_at(0);
    let message =
        r#"several items of vault "Infra" are titled "twin"; request by id: i-twin-1, i-twin-3"#;
    assert_eq!(
        condition(&plan, keyloan::api::ACCEPTED),
        Some(("False", "ItemAmbiguous", message))
    );
    let only_one = by_id(&["i-twin-1"]).with(|w| {
        w.seen.flows.pop();
    });
    assert_eq!(
        issued(&only_one.plan_at(0)).agreement.terms.item.id,
        "i-twin-1"
    );
}

#[test]
fn an_item_that_appears_in_the_listing_is_lent() {
    let world = World::asked().with(|w| {
        w.asks_for("Infra", "brand new");
        w.infra().items.push(item("i-new", "brand new"));
    });
    assert_eq!(issued(&world.plan_at(0)).agreement.terms.item.id, "i-new");
}

#[test]
fn a_clock_of_the_api_server_that_is_ahead_does_not_make_a_name_be_looked_for_again_and_again() {
    let world = World::asked().with(|w| {
        w.asks_for("Infra", "nothing");
        w.grant().metadata.creation_timestamp = Some(keyloan::api::Time(at(30)));
    });
    assert_eq!(world.one_step(0).plan_at(0).effect, None);
}

#[test]
fn a_listing_that_failed_is_not_repeated_before_its_time() {
    let world = World::asked().with(|w| {
        w.asks_for("Infra", "nothing");
        w.failed(0, Failure::Unavailable);
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    assert_eq!(plan.wake, Some(t("2026-11-23T10:00:05Z")));
    assert_eq!(
        reason(&plan, keyloan::api::ACCEPTED),
        "OnePasswordUnavailable"
    );
    assert!(world.plan_at(1).effect.is_some());
}

#[test]
fn a_vault_off_the_allow_list_is_refused_without_a_request() {
    let plan = World::asked()
        .with(|w| w.asks_for("Secrets", "db password"))
        .plan_at(0);
    assert_eq!(plan.effect, None);
    let message = not_for_you("Secrets");
    let expected = ("False", "VaultNotAllowed", message.as_str());
    assert_eq!(condition(&plan, keyloan::api::ACCEPTED), Some(expected));
}

/// The inventory is of the last discovery, which may be hours old: 1Password is away, or the account's requests are used up.
#[rstest]
#[case::another_vault(&["HR"], false)]
#[case::nothing_that_is_there(&["Gone"], false)]
#[case::still_by_title(&["HR", "Infra"], true)]
#[case::still_by_id(&["v-infra"], true)]
#[case::everything(&[], true)]
fn a_vault_that_was_taken_off_the_allow_list_is_lent_from_no_more_at_once(
    #[case] allowed: &[&str],
    #[case] lends: bool,
) {
    let world = World::asked().with(|w| {
        let names = allowed.iter().map(|name| TitleOrId((*name).into()));
        w.integration().spec.vaults = names.collect();
    });
    let plan = world.plan_at(0);
    if lends {
        issued(&plan);
        return;
    }
    assert_eq!(plan.effect, None);
    let message = not_for_you("Infra");
    let expected = ("False", "VaultNotAllowed", message.as_str());
    assert_eq!(condition(&plan, keyloan::api::ACCEPTED), Some(expected));
    let by_id = world.with(|w| w.asks_for("v-infra", "db password"));
    assert_eq!(
        reason(&by_id.plan_at(0), keyloan::api::ACCEPTED),
        "VaultNotAllowed"
    );
}

#[test]
fn a_vault_that_was_taken_off_the_allow_list_is_no_candidate_either() {
    let world = World::asked().with(|w| {
        w.vaults().push(vault("v-infra-2", "Infra", vec![]));
        w.integration().spec.vaults = vec![TitleOrId("v-infra".into())];
    });
    issued(&world.plan_at(0));
}

#[test]
fn vaults_of_the_same_title_are_refused_with_their_ids() {
    let world = World::asked().with(|w| {
        w.vaults().push(vault("v-infra-2", "Infra", vec![]));
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    let message = r#"several vaults are titled "Infra"; request by id: v-infra, v-infra-2"#;
    let expected = ("False", "VaultAmbiguous", message);
    assert_eq!(condition(&plan, keyloan::api::ACCEPTED), Some(expected));
    issued(
        &world
            .with(|w| w.asks_for("v-infra", "db password"))
            .plan_at(0),
    );
}

#[test]
fn a_list_of_candidates_stays_readable() {
    let world = World::asked().with(|w| {
        w.infra().items = (0..13)
            .map(|i| item(&format!("id-{i:02}"), "twin"))
            .collect();
        w.asks_for("Infra", "twin");
    });
    let plan = world.one_step(0).plan_at(0);
    let (_, _, message) = condition(&plan, keyloan::api::ACCEPTED).expect("Accepted");
    assert!(message.ends_with("id-08, id-09 and 3 more"), "{message}");
}

/// The item that was fetched is not the one that was listed: it is looked up again before the next try.
#[test]
fn an_item_that_differs_when_fetched_is_listed_again_and_less_and_less_often() {
    let mut world = World::asked();
    world.failed(0, Failure::ItemDiffers);
    assert_eq!(world.plan_at(0).effect, None, "not at once");
    let listing = Effect::ListVault {
        vault: "v-infra".into(),
        looking_for: "i-db".into(),
    };
    assert_eq!(world.plan_at(1).effect, Some(listing));
    issued(&world.one_step(1).plan_at(1));

    let mut world = World::asked();
    world.failed(0, Failure::ItemDiffers);
    let mut waits = Vec::new();
    for count in [1, 2, 3, 20] {
        let attempt = world.seen.attempt.as_mut().expect("an attempt");
        attempt.count = count;
        waits.push(attempt.retry_at().duration_since(at(0)).as_secs());
    }
    assert_eq!(waits, [2, 4, 8, 600]);
}

/// The hint is about vaults with a slash in their title, at which the plugin would end the title.
#[test]
fn a_slash_that_is_only_in_the_items_title_needs_no_hint() {
    let plan = World::asked()
        .with(|w| w.asks_for("Infra/db", "password"))
        .plan_at(0);
    let (.., message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
    assert!(!message.contains("--vault"), "{message}");
}

/// It is tried again at the time that is stated, not one look later.
#[test]
fn a_listing_that_failed_is_repeated_at_its_time() {
    let world = World::asked().with(|w| {
        w.asks_for("Infra", "nothing");
        w.failed(0, Failure::Unavailable);
    });
    let plan = world.plan_at(0);
    assert_eq!(plan.effect, None);
    let again = plan.wake.expect("a time");
    assert!(again > at(0));
    let plan = keyloan::plan::grant::plan(&world.seen, again);
    assert!(matches!(plan.effect, Some(Effect::ListVault { .. })));
}
