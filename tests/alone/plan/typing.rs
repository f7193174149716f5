//! What people type and write in rules: titles and names in another case, with other blanks, with a letter too few, and what is said of them.

use keyloan::api::{TitleOrId, TitlePattern};
use keyloan::plan::titles::near;
use rstest::rstest;

use super::world::*;

#[rstest]
#[case::case("infra", "DB Password")]
#[case::runs_of_blanks("Infra ", "db  password")]
#[case::unicode_form("Infra", "Cafe\u{301}")]
fn what_people_type_finds_the_one_title_that_it_can_mean(#[case] vault: &str, #[case] item: &str) {
    let world = World::asked().with(|w| {
        w.infra()
            .items
            .push(super::world::item("i-cafe", "caf\u{e9}"));
        w.asks_for(vault, item);
    });
    let plan = world.plan_at(0);
    let found = &issued(&plan).agreement.terms.item.id;
    assert!(["i-db", "i-cafe"].contains(&found.as_str()), "{found}");
}

/// A no-break space comes from a web page or a word processor, and looks like any other.
#[rstest]
#[case::no_break("db\u{a0}password")]
#[case::narrow_no_break("db\u{202f}password")]
#[case::em_space("db\u{2003}password")]
#[case::ideographic("db\u{3000}password")]
#[case::tab("db\tpassword")]
#[case::at_its_ends("\u{a0}db password\u{2009}")]
#[case::zero_width("db \u{200b}password\u{feff}")]
fn a_title_is_found_by_any_blank_on_either_side(#[case] title: &str) {
    let lent = |stored: &str, asked: &str| {
        let world = World::asked().with(|w| {
            w.infra().items[0].title = stored.into();
            w.infra().title = stored.replace("password", "vault");
            w.flow().spec.items.include[0].vault = TitleOrId("v-infra".into());
            w.asks_for(&asked.replace("password", "vault"), asked);
        });
        issued(&world.plan_at(0)).agreement.terms.item.id.clone()
    };
    for (stored, asked) in [("db password", title), (title, "db password")] {
        assert_eq!(lent(stored, asked), "i-db", "{stored:?} by {asked:?}");
    }
}

/// What a rule is to keep from being lent is kept, whatever blank either of them has.
#[rstest]
#[case("db\u{a0}password", "db password")]
#[case("db password", "db\u{a0}password")]
#[case("db\u{a0}*", "db\u{2003}password")]
#[case("db p*", "db \u{200b}password")]
fn what_is_excluded_with_another_blank_is_not_lent(#[case] excluded: &str, #[case] title: &str) {
    let excluding = |pattern: &str| {
        World::asked().with(|w| {
            w.infra().items[0].title = title.into();
            let mut rule = w.flow().spec.items.include[0].clone();
            rule.titles = vec![TitlePattern(pattern.into())];
            w.flow().spec.items.exclude = vec![rule];
            w.asks_for("Infra", title);
        })
    };
    assert_eq!(excluding(excluded).one_step(0).plan_at(0).effect, None);
    issued(&excluding("dbpassword").plan_at(0));
}

#[test]
fn a_title_comes_before_another_that_is_typed_alike() {
    let world = World::asked().with(|w| {
        w.infra().items.push(item("i-upper", "DB PASSWORD"));
        w.asks_for("Infra", "DB PASSWORD");
    });
    assert_eq!(issued(&world.plan_at(0)).agreement.terms.item.id, "i-upper");
    let either = world
        .with(|w| w.asks_for("Infra", "Db Password"))
        .one_step(0);
    let message = r#"vault "Infra" has no item "Db Password" that you may borrow; check the spelling, or request by id; similar: "DB PASSWORD", "db password""#;
    let expected = ("False", "ItemNotFound", message);
    assert_eq!(
        condition(&either.plan_at(0), keyloan::api::ACCEPTED),
        Some(expected)
    );
}

#[rstest]
#[case::item("Infra", "db pasword", r#"similar: "db password""#)]
#[case::vault("Infraa", "db password", r#"similar: "Infra""#)]
#[case::slash(
    "IT",
    "Dev/db password",
    r#"to request item "db password" of vault "IT/Dev" with kubectl keyloan, use --vault and --item"#
)]
fn a_refusal_names_what_is_close(#[case] vault: &str, #[case] item: &str, #[case] says: &str) {
    let world = World::asked().with(|w| {
        w.vaults()
            .push(super::world::vault("v-dev", "IT/Dev", vec![]));
        let of_dev = keyloan::api::ItemSelector {
            vault: TitleOrId("IT/Dev".into()),
            ..w.flow().spec.items.include[0].clone()
        };
        w.flow().spec.items.include.push(of_dev);
        w.asks_for(vault, item);
    });
    let plan = world.one_step(0).plan_at(0);
    let (_, _, message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
    assert!(message.ends_with(says), "{message}");
}

/// Nothing of what the requester may not ask for is named.
#[test]
fn a_refusal_names_nothing_that_no_flow_lends() {
    let world = |vault: &str, item: &str| {
        let world = World::asked().with(|w| {
            w.flow().spec.items.include[0].titles = vec![TitlePattern("web *".into())];
            w.asks_for(vault, item);
        });
        world.one_step(0).plan_at(0)
    };
    for (vault, item) in [
        ("Infra", "db pasword"),
        ("HRR", "payroll"),
        ("Hr", "payroll"),
    ] {
        let plan = world(vault, item);
        let (_, _, message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
        assert!(!message.contains("similar: "), "{message}");
        assert_eq!(plan.effect, None, "nothing is asked of 1Password");
    }
}

/// What the rule is to keep could be lent.
#[test]
fn a_flow_whose_exclude_names_no_vault_lends_nothing_until_it_is_mended() {
    let excluding = |vault: &str| {
        World::asked().with(|w| {
            let mut rule = w.flow().spec.items.include[0].clone();
            rule.vault = TitleOrId(vault.into());
            rule.tags = vec![keyloan::api::Tag("frozen".into())];
            w.flow().spec.items.exclude = vec![rule];
        })
    };
    let plan = excluding("Infraa").plan_at(0);
    assert_eq!(plan.effect, None);
    let (_, reason, message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
    assert_eq!(reason, "NoFlowCoversRequest");
    assert!(
        message.contains("one of the flow's exclude rules"),
        "{message}"
    );
    assert!(
        !message.contains("Infraa"),
        "rules are not the requester's: {message}"
    );
    issued(&excluding("Infra").plan_at(0));
    issued(&excluding("infra").plan_at(0));
}

#[test]
fn what_is_excluded_in_another_case_is_not_lent() {
    let excluding = |tag: &str| {
        World::asked().with(|w| {
            let mut rule = w.flow().spec.items.include[0].clone();
            rule.tags = vec![keyloan::api::Tag(tag.into())];
            w.flow().spec.items.exclude = vec![rule];
        })
    };
    assert_eq!(excluding("PROD").plan_at(0).effect, None);
    issued(&excluding("product").plan_at(0));
}

#[test]
fn who_is_named_in_another_spelling_is_told_so() {
    let world = World::asked().with(|w| {
        w.flow().spec.requesters[0].name = "oidc:Engineering".into();
    });
    let plan = world.plan_at(10);
    let (_, reason, message) = condition(&plan, keyloan::api::ACCEPTED).expect("said");
    assert_eq!(reason, "NoFlow");
    assert!(
        message.contains(r#"it names group "oidc:Engineering", but you are in "engineering""#),
        "{message}"
    );
    let considered = &plan.status.as_ref().expect("a status").considered_flows;
    assert_eq!(considered.len(), 1);
}

/// Those that differ in few letters come first, then those that contain the name or are contained in it.
#[rstest]
#[case::four_letters_are_closer_than_more_words(
    "production-login",
    &["production-login and more", "production-lzzzz"],
    &["production-lzzzz", "production-login and more"]
)]
#[case::a_part_of_what_was_typed("production database", &["production", "staging"], &["production"])]
#[case::two_letters_are_in_too_many_names("production database", &["da", "database"], &["database"])]
#[case::nor_do_two_typed_letters_mean_a_longer_name("da", &["production database"], &[])]
fn of_similar_names_the_closest_come_first(
    #[case] typed: &str,
    #[case] there: &[&str],
    #[case] similar: &[&str],
) {
    assert_eq!(near(typed, there.iter().copied()), similar);
}
