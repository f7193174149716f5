//! The known vaults and items of an account: titles, ids, tags and times from overviews, never a
//! field's value.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::api::{LinkLifetime, TitleOrId};

use super::titles::typed;
use super::vaults::choose_vaults;

/// After a listing that did not settle a name, the same name triggers no further listing for this
/// long.
pub const REFUTED_FOR: SignedDuration = SignedDuration::from_mins(5);

/// After a listing that did not settle a name, no other name triggers a listing of the vault for
/// this long. Otherwise a requester could use up the account's requests by asking for one name
/// after another.
pub const RELISTED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// The number of unsettled names that are remembered for each vault; the oldest are forgotten
/// first.
const MOST_REFUTED: usize = 500;

/// The vaults that may be lent from, and the account's sharing policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The vaults that the account can read and the integration allows.
    pub vaults: Vec<VaultSeen>,
    /// The account's sharing policy, as read for one of the items; `None` until there is an item to
    /// read it for.
    pub policy: Option<PolicySeen>,
}

/// A vault according to its last listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultSeen {
    /// Its id.
    pub id: String,
    /// Its title; titles need not be unique.
    pub title: String,
    /// The time of the last listing of its items.
    pub listed_at: Timestamp,
    /// Its items, including archived ones.
    pub items: Vec<ItemSeen>,
    /// Names that were looked for and did not match exactly one item in the listing made at that
    /// time.
    pub refuted: BTreeMap<String, Timestamp>,
}

/// An item according to its vault's listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemSeen {
    /// Its id.
    pub id: String,
    /// Its title; titles need not be unique.
    pub title: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The time of its last change.
    pub updated_at: Timestamp,
    /// Whether it is active; an archived item cannot be shared.
    pub active: bool,
}

/// The account's sharing policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicySeen {
    /// The longest lifetime of a link.
    pub max_lifetime: LinkLifetime,
    /// Whether links may be limited to people named by e-mail address; without that, nothing can be
    /// lent.
    pub named_people: bool,
    /// Whether the policy also allows whole domains as recipients.
    pub domains: bool,
    /// Whether the policy makes every link single-view.
    pub view_once: bool,
}

/// The match of a title or an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// Exactly one match.
    One(T),
    /// No known match.
    None,
    /// Several matches with the same title, by id.
    Several(Vec<String>),
}

impl Inventory {
    /// The vault with this id or, if there is none, with this title.
    pub fn vault(&self, title_or_id: &str) -> Lookup<&VaultSeen> {
        vault_of(self.vaults.iter().collect(), title_or_id)
    }

    /// The vaults that this allow-list names. The inventory may contain more, from a listing with
    /// an earlier allow-list.
    pub fn allowed(&self, allowed: &[TitleOrId]) -> Vec<&VaultSeen> {
        let all = self.vaults.iter().collect();
        choose_vaults(all, allowed, |vault| (&vault.id, &vault.title)).vaults
    }

    /// The vault with this id or, if there is none, with this title, among those that the
    /// allow-list names and for which `holds` is true; finally the only one whose title is typed
    /// like this.
    pub fn vault_that(
        &self,
        title_or_id: &str,
        allowed: &[TitleOrId],
        holds: impl Fn(&VaultSeen) -> bool,
    ) -> Lookup<&VaultSeen> {
        let vaults = || {
            let mut vaults = self.allowed(allowed);
            vaults.retain(|vault| holds(vault));
            vaults
        };
        match vault_of(vaults(), title_or_id) {
            Lookup::None => only(alike(vaults(), title_or_id, |vault| &vault.title)),
            found => found,
        }
    }
}

impl VaultSeen {
    /// The item with this id or, if there is none, with exactly this title. Active items take
    /// precedence over archived ones of the same title.
    pub fn item(&self, title_or_id: &str) -> Lookup<&ItemSeen> {
        self.exactly(title_or_id, &|_| true)
    }

    /// The same among the items for which `holds` is true; finally the only one whose title is
    /// typed like this.
    ///
    /// Nothing is listed again to find out whether the title is exactly one item's by now.
    /// Requesters can see the titles that are lent to them, and a listing for each request with a
    /// title in another case would use up the account's requests.
    pub fn item_that(
        &self,
        title_or_id: &str,
        holds: impl Fn(&ItemSeen) -> bool,
    ) -> Lookup<&ItemSeen> {
        let exactly = self.exactly(title_or_id, &holds);
        if exactly != Lookup::None {
            return exactly;
        }
        let held = self.items.iter().filter(|item| holds(item));
        let alike = alike(held, title_or_id, |item| &item.title);
        let (active, archived): (Vec<_>, Vec<_>) = alike.into_iter().partition(|item| item.active);
        // An archived item does not settle an ambiguity among active ones.
        only(if active.is_empty() { archived } else { active })
    }

    fn exactly(&self, title_or_id: &str, holds: &impl Fn(&ItemSeen) -> bool) -> Lookup<&ItemSeen> {
        let items = || self.items.iter().filter(|item| holds(item));
        if let Some(item) = items().find(|item| item.id == title_or_id) {
            return Lookup::One(item);
        }
        let (active, archived): (Vec<_>, Vec<_>) = items()
            .filter(|item| item.title == title_or_id)
            .partition(|item| item.active);
        let candidates = if active.is_empty() { archived } else { active };
        Lookup::of(candidates, |item| &item.id)
    }

    /// Whether a request made at `asked_at` does not need a listing of this vault to find
    /// `title_or_id`. Any listing made after the request settles it, and so does a listing for this
    /// very name shortly before.
    ///
    /// The answer depends on the time of the request and not on the present, so a request that
    /// cannot be granted causes one listing and never a second one.
    pub fn has_refuted(&self, title_or_id: &str, asked_at: Timestamp) -> bool {
        let listed_since = self.listed_at.as_second() > asked_at.as_second();
        let refuted = self
            .refuted
            .get(title_or_id)
            .and_then(|listed_at| listed_at.checked_add(REFUTED_FOR).ok())
            .is_some_and(|until| asked_at < until);
        listed_since || refuted
    }

    /// The time from which this vault may be listed for an unknown name; `None` if at once. The
    /// first such name causes a listing without delay, and the next ones share the following
    /// listing.
    pub fn listed_again_from(&self, now: Timestamp) -> Option<Timestamp> {
        // A future time comes from a clock that was set back since.
        let last = self.refuted.values().filter(|at| **at <= now).max()?;
        let from = last.saturating_add(RELISTED_AFTER).ok()?;
        (from > now).then_some(from)
    }

    /// Replaces the items with a new listing that was made to find these names (none for a
    /// discovery).
    pub fn relist(&mut self, items: Vec<ItemSeen>, looking_for: &[String], at: Timestamp) {
        self.items = items;
        self.listed_at = at;
        let mut refuted = std::mem::take(&mut self.refuted);
        refuted.extend(looking_for.iter().map(|name| (name.clone(), at)));
        // An archived item settles nothing: it cannot be lent, and each request for it would list
        // the vault again.
        refuted.retain(|name, _| !matches!(self.item(name), Lookup::One(item) if item.active));
        while refuted.len() > MOST_REFUTED {
            let oldest = refuted
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(name, _)| name.clone());
            oldest.and_then(|name| refuted.remove(&name));
        }
        self.refuted = refuted;
    }
}

impl<'a, T> Lookup<&'a T> {
    fn of(candidates: Vec<&'a T>, id: impl Fn(&T) -> &String) -> Self {
        match candidates[..] {
            [] => Self::None,
            [one] => Self::One(one),
            _ => Self::Several(
                candidates
                    .into_iter()
                    .map(|several| id(several).clone())
                    .collect(),
            ),
        }
    }
}

/// Ids take precedence: a title that equals another vault's id cannot hide that vault.
fn vault_of<'a>(mut vaults: Vec<&'a VaultSeen>, title_or_id: &str) -> Lookup<&'a VaultSeen> {
    if let Some(vault) = vaults.iter().find(|vault| vault.id == title_or_id) {
        return Lookup::One(vault);
    }
    vaults.retain(|vault| vault.title == title_or_id);
    Lookup::of(vaults, |vault| &vault.id)
}

/// The candidates whose titles are typed like this.
fn alike<'a, T>(
    among: impl IntoIterator<Item = &'a T>,
    name: &str,
    title: impl Fn(&T) -> &String,
) -> Vec<&'a T> {
    let name = typed(name);
    let all = among.into_iter();
    all.filter(|one| typed(title(one)) == name).collect()
}

/// The only candidate, if there is exactly one.
fn only<T>(candidates: Vec<&T>) -> Lookup<&T> {
    match candidates[..] {
        [one] => Lookup::One(one),
        _ => Lookup::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    fn item(id: &str, title: &str, active: bool) -> ItemSeen {
        let (id, title) = (id.into(), title.into());
        ItemSeen {
            id,
            title,
            tags: vec![],
            updated_at: at(0),
            active,
        }
    }

    fn vault(items: Vec<ItemSeen>) -> VaultSeen {
        let (id, title) = ("v1".into(), "Infra".into());
        VaultSeen {
            id,
            title,
            listed_at: at(0),
            items,
            refuted: BTreeMap::new(),
        }
    }

    fn id_of(found: Lookup<&ItemSeen>) -> Lookup<String> {
        match found {
            Lookup::One(item) => Lookup::One(item.id.clone()),
            Lookup::None => Lookup::None,
            Lookup::Several(ids) => Lookup::Several(ids),
        }
    }

    #[rstest::rstest]
    #[case::by_title("db", Lookup::One("i1".into()))]
    #[case::by_id("i2", Lookup::One("i2".into()))]
    #[case::an_id_before_a_title("i1", Lookup::One("i1".into()))]
    #[case::ambiguous("twin", Lookup::Several(vec!["i3".into(), "i4".into()]))]
    #[case::active_before_archived("once", Lookup::One("i6".into()))]
    #[case::only_archived("old", Lookup::One("i7".into()))]
    #[case::unknown("nothing", Lookup::None)]
    #[case::case_matters("DB", Lookup::None)]
    fn an_item_is_found_by_id_or_by_an_unambiguous_title(
        #[case] name: &str,
        #[case] found: Lookup<String>,
    ) {
        let vault = vault(vec![
            item("i1", "db", true),
            item("i2", "i1", true),
            item("i3", "twin", true),
            item("i4", "twin", true),
            item("i5", "once", false),
            item("i6", "once", true),
            item("i7", "old", false),
        ]);
        assert_eq!(id_of(vault.item(name)), found);
    }

    #[rstest::rstest]
    #[case::exactly("db", Lookup::One("i1".into()))]
    #[case::exactly_in_another_case("DB", Lookup::One("i2".into()))]
    #[case::as_typed("WEB  console ", Lookup::One("i3".into()))]
    #[case::not_one_only("Db", Lookup::None)]
    #[case::one_in_use_before_an_archived_one("ONCE", Lookup::One("i5".into()))]
    #[case::only_archived("OLD", Lookup::One("i6".into()))]
    #[case::not_of_those("PRIVATE", Lookup::None)]
    fn a_title_is_found_as_people_type_it_if_that_finds_exactly_one(
        #[case] name: &str,
        #[case] found: Lookup<String>,
    ) {
        let vault = vault(vec![
            item("i1", "db", true),
            item("i2", "DB", true),
            item("i3", "Web Console", true),
            item("i4", "once", false),
            item("i5", "Once", true),
            item("i6", "old", false),
            item("i7", "private", true),
            item("i8", "dB", false),
        ]);
        assert_eq!(id_of(vault.item_that(name, |item| item.id != "i7")), found);
    }

    #[test]
    fn vaults_of_the_same_title_are_ambiguous_but_each_has_its_id() {
        let (mut one, mut two) = (vault(vec![]), vault(vec![]));
        (one.id, two.id) = ("v1".into(), "v2".into());
        let inventory = Inventory {
            vaults: vec![one, two],
            policy: None,
        };
        assert_eq!(
            inventory.vault("Infra"),
            Lookup::Several(vec!["v1".into(), "v2".into()])
        );
        assert!(matches!(inventory.vault("v2"), Lookup::One(vault) if vault.id == "v2"));
    }

    #[test]
    fn a_name_that_a_listing_did_not_settle_causes_no_other_listing_for_a_while() {
        let mut vault = vault(vec![]);
        assert!(!vault.has_refuted("db", at(100)));
        vault.relist(vec![], &["db".into()], at(100));
        assert!(
            vault.has_refuted("db", at(90)),
            "the request that caused the listing"
        );
        assert!(vault.has_refuted("db", at(399)), "repeated at once");
        assert!(
            !vault.has_refuted("db", at(400)),
            "repeated later: the item may be there now"
        );
        assert!(!vault.has_refuted("another", at(100)));
    }

    #[test]
    fn one_name_after_the_other_causes_one_listing_a_minute() {
        let mut vault = vault(vec![]);
        assert_eq!(vault.listed_again_from(at(100)), None, "the first one");
        vault.relist(vec![], &["one".into()], at(100));
        assert_eq!(vault.listed_again_from(at(100)), Some(at(160)));
        assert_eq!(vault.listed_again_from(at(159)), Some(at(160)));
        assert_eq!(vault.listed_again_from(at(160)), None);
        vault.relist(vec![], &[], at(170));
        assert_eq!(vault.listed_again_from(at(170)), None, "a discovery");
        let found = vec![item("i1", "db", true)];
        vault.relist(found, &["db".into()], at(180));
        assert_eq!(vault.listed_again_from(at(180)), None, "it was settled");
        assert_eq!(
            vault.listed_again_from(at(50)),
            None,
            "a clock that was set back"
        );
    }

    #[test]
    fn a_listing_after_the_request_settles_every_name_so_that_many_unknown_ones_cost_one() {
        let mut vault = vault(vec![]);
        vault.relist(vec![], &["one".into()], at(100));
        assert!(vault.has_refuted("another", at(99)));
        assert!(
            !vault.has_refuted("another", at(100)),
            "not in the same second"
        );
    }

    #[test]
    fn a_listing_that_settles_a_name_forgets_that_it_was_refuted() {
        let mut vault = vault(vec![]);
        vault.relist(vec![], &["db".into(), "gone".into()], at(100));
        vault.relist(vec![item("i1", "db", true)], &[], at(200));
        assert!(!vault.has_refuted("db", at(300)));
        assert!(
            vault.has_refuted("gone", at(300)),
            "and keeps what it does not settle"
        );
    }

    #[test]
    fn a_listing_that_finds_the_item_archived_does_not_settle_its_name() {
        let mut vault = vault(vec![]);
        vault.relist(vec![item("i1", "db", false)], &["db".into()], at(100));
        assert!(vault.has_refuted("db", at(100)));
    }

    #[test]
    fn refuted_names_are_bounded_and_the_oldest_go_first() {
        let mut vault = vault(vec![]);
        for second in 0..600 {
            vault.relist(vec![], &[format!("name {second}")], at(second));
        }
        assert_eq!(vault.refuted.len(), MOST_REFUTED);
        assert!(!vault.refuted.contains_key("name 99"));
        assert!(vault.refuted.contains_key("name 100"));
    }
}
