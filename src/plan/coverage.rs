//! What a flow's rules match in the account according to the last listing, and which rules match
//! nothing.

use std::collections::BTreeSet;

use crate::api::{FlowLends, ItemSelection, Resolved, TitleOrId};

use super::inventory::{Inventory, ItemSeen, VaultSeen};
use super::items::{Selection, Selector, resolved};
use super::titles::{near, quoted};

/// The number of complaints that fit into a readable message.
const SHOWN: usize = 5;

/// The matches of a flow's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// How much the flow lends.
    pub lends: FlowLends,
    /// Rules that match nothing; one sentence each.
    pub idle: Vec<String>,
    /// Wildcards that match their own character in a title; one sentence each.
    pub doubtful: Vec<String>,
}

/// Matches a flow's rules against the known inventory of the account.
pub fn coverage(rules: &ItemSelection, inventory: &Inventory, allowed: &[TitleOrId]) -> Coverage {
    let read = Selection::of(rules);
    let vaults: Vec<_> = inventory
        .allowed(allowed)
        .into_iter()
        .map(Vault::of)
        .collect();
    let mut coverage = Coverage {
        lends: lends(&read, &vaults),
        idle: Vec::new(),
        doubtful: Vec::new(),
    };
    for (field, rules) in [("include", read.include()), ("exclude", read.exclude())] {
        for (index, rule) in rules.iter().enumerate() {
            let place = format!("{field}[{index}]");
            look_up(&place, rule, &vaults, &mut coverage);
        }
    }
    coverage
}

/// Joins sentences into one message. Sentences beyond the limit are only counted.
pub fn together(sentences: &[String]) -> String {
    let shown = sentences
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    match sentences.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// A vault with its id and title as rules see them.
struct Vault<'a> {
    named: Resolved,
    seen: &'a VaultSeen,
}

impl<'a> Vault<'a> {
    fn of(seen: &'a VaultSeen) -> Self {
        Self {
            named: resolved(seen),
            seen,
        }
    }
}

fn lends(rules: &Selection, vaults: &[Vault<'_>]) -> FlowLends {
    let counts = vaults.iter().map(|vault| {
        let items = vault.seen.items.iter();
        items
            .filter(|item| item.active && rules.matches(&vault.named, item))
            .count()
    });
    let counts: Vec<_> = counts.filter(|count| *count > 0).collect();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    FlowLends {
        vaults: number(counts.len()),
        items: number(counts.iter().sum()),
    }
}

fn look_up(place: &str, rule: &Selector, vaults: &[Vault<'_>], found: &mut Coverage) {
    let own: Vec<_> = vaults
        .iter()
        .filter(|vault| rule.is_about(&vault.named))
        .collect();
    if own.is_empty() {
        let titles = vaults.iter().map(|vault| vault.named.title.as_str());
        found.idle.push(format!(
            "{place} names vault {:?}, which the integration does not lend from{}",
            rule.vault.written,
            close(near(&rule.vault.written, titles))
        ));
        return;
    }
    let items: Vec<_> = own.iter().flat_map(|vault| &vault.seen.items).collect();
    let vault = &own[0].named.title;
    let idle = found.idle.len();
    for id in &rule.ids {
        if !items.iter().any(|item| item.id == *id) {
            found.idle.push(format!(
                "{place}.ids lists {id:?}, but vault {vault:?} has no item with this id"
            ));
        }
    }
    let titles = || items.iter().map(|item| item.title.as_str());
    for title in &rule.titles {
        if !titles().any(|other| title.matches(other)) {
            found.idle.push(format!(
                "{place}.titles lists {:?}, which matches no item of vault {vault:?}{}",
                title.written,
                close(near(&title.written, titles()))
            ));
        }
        if let Some(meant) = titles().find(|other| title.pattern.may_mean(other)) {
            found.doubtful.push(format!(
                "{place}.titles lists {:?}, in which * and ? are wildcards, but an item is titled \
                 {meant:?}: write \\* or \\? to match the character itself",
                title.written
            ));
        }
    }
    for tag in &rule.tags {
        if !items.iter().any(|item| tag.is_on(item)) {
            let tags: BTreeSet<_> = items.iter().flat_map(|item| &item.tags).collect();
            found.idle.push(format!(
                "{place}.tags lists {:?}, but no item of vault {vault:?} has this tag{}",
                tag.written,
                close(near(&tag.written, tags.into_iter().map(String::as_str)))
            ));
        }
    }
    let asks = !(rule.ids.is_empty() && rule.titles.is_empty() && rule.tags.is_empty());
    let matches = |item: &&ItemSeen| own.iter().any(|vault| rule.matches(&vault.named, item));
    if asks && found.idle.len() == idle && !items.iter().any(matches) {
        found.idle.push(format!(
            "{place} matches nothing: no item of vault {vault:?} meets all its conditions"
        ));
    }
}

fn close(names: Vec<&str>) -> String {
    match names[..] {
        [] => String::new(),
        _ => format!(" (similar: {})", quoted(names)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn item(id: &str, title: &str, tags: &[&str]) -> ItemSeen {
        ItemSeen {
            id: id.into(),
            title: title.into(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            updated_at: Timestamp::UNIX_EPOCH,
            active: id != "i-old",
        }
    }

    fn vault(id: &str, title: &str, items: Vec<ItemSeen>) -> VaultSeen {
        VaultSeen {
            id: id.into(),
            title: title.into(),
            listed_at: Timestamp::UNIX_EPOCH,
            items,
            refuted: BTreeMap::new(),
        }
    }

    fn covered(rules: Value) -> Coverage {
        let items = vec![
            item("i-db", "db password", &["prod"]),
            item("i-web", "web console", &["test"]),
            item("i-star", "*.example.com", &[]),
            item("i-old", "old key", &["prod"]),
        ];
        let hr = vec![item("i-pay", "payroll", &[])];
        let inventory = Inventory {
            vaults: vec![vault("v-infra", "Infra", items), vault("v-hr", "HR", hr)],
            policy: None,
        };
        let rules = serde_json::from_value(rules).unwrap();
        coverage(&rules, &inventory, &[TitleOrId("Infra".into())])
    }

    #[rstest]
    #[case::whole_vault(json!({"include": [{"vault": "Infra"}]}), 3)]
    #[case::by_title(json!({"include": [{"vault": "Infra", "titles": ["db *"]}]}), 1)]
    #[case::but_for_what_is_excluded(json!({"include": [{"vault": "v-infra"}], "exclude": [{"vault": "Infra", "tags": ["prod"]}]}), 2)]
    fn rules_that_all_match_something_have_nothing_said_against_them(
        #[case] rules: Value,
        #[case] items: u32,
    ) {
        let covered = covered(rules);
        assert_eq!((covered.idle, covered.doubtful), (vec![], vec![]));
        assert_eq!(covered.lends, FlowLends { vaults: 1, items });
    }

    #[rstest]
    #[case::vault(
        json!({"include": [{"vault": "Infraa", "titles": ["db *"]}]}),
        r#"include[0] names vault "Infraa", which the integration does not lend from (similar: "Infra")"#
    )]
    #[case::a_vault_off_the_allow_list(
        json!({"include": [{"vault": "Infra"}, {"vault": "HR"}]}),
        r#"include[1] names vault "HR", which the integration does not lend from"#
    )]
    #[case::excluded_vault(
        json!({"include": [{"vault": "Infra"}], "exclude": [{"vault": "Infraa", "tags": ["prod"]}]}),
        r#"exclude[0] names vault "Infraa", which the integration does not lend from (similar: "Infra")"#
    )]
    #[case::title(
        json!({"include": [{"vault": "Infra", "titles": ["DB *"]}]}),
        r#"include[0].titles lists "DB *", which matches no item of vault "Infra""#
    )]
    #[case::id(
        json!({"include": [{"vault": "Infra", "ids": ["i-pay"]}]}),
        r#"include[0].ids lists "i-pay", but vault "Infra" has no item with this id"#
    )]
    #[case::tag(
        json!({"include": [{"vault": "Infra", "tags": ["Prod"]}]}),
        r#"include[0].tags lists "Prod", but no item of vault "Infra" has this tag (similar: "prod")"#
    )]
    #[case::together(
        json!({"include": [{"vault": "Infra", "titles": ["db *"], "tags": ["test"]}]}),
        r#"include[0] matches nothing: no item of vault "Infra" meets all its conditions"#
    )]
    fn a_rule_that_matches_nothing_is_told_with_what_is_close(
        #[case] rules: Value,
        #[case] said: &str,
    ) {
        assert_eq!(covered(rules).idle, [said]);
    }

    #[test]
    fn what_is_excluded_in_another_case_is_excluded() {
        let rules = json!({"include": [{"vault": "Infra"}], "exclude": [
            {"vault": "infra", "tags": ["Prod"]}, {"vault": "Infra", "titles": ["WEB *"]},
        ]});
        let covered = covered(rules);
        assert_eq!(covered.idle, [] as [&str; 0]);
        assert_eq!(covered.lends.items, 1, "the wildcard certificate alone");
    }

    #[test]
    fn a_wildcard_that_meets_its_own_character_is_doubtful_until_it_is_escaped() {
        let of = |title: &str| covered(json!({"include": [{"vault": "Infra", "titles": [title]}]}));
        let doubtful = of("*.example.com").doubtful;
        assert_eq!(doubtful.len(), 1);
        assert!(
            doubtful[0].contains(r#"an item is titled "*.example.com""#),
            "{doubtful:?}"
        );
        assert_eq!(of(r"\*.example.com").doubtful, [] as [&str; 0]);
        assert_eq!(of("*").doubtful, [] as [&str; 0]);
    }

    #[test]
    fn a_message_has_room_for_a_few() {
        let many: Vec<_> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(together(&many), "0; 1; 2; 3; 4; and 2 more");
        assert_eq!(together(&many[..1]), "0");
    }
}
