//! Matches vaults and items with a flow's rules.
//!
//! Include rules match exactly. Exclude rules also match text as people type it: an exclude rule
//! for `Prod` also excludes the title or tag `prod`.

use crate::api::{ItemSelection, ItemSelector, Resolved, TitleOrId};

use super::inventory::{Inventory, ItemSeen, VaultSeen};
use super::titles::{Pattern, canonical, has_form_of_id, typed};

/// A flow's rules, parsed once.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<Selector>,
    exclude: Vec<Selector>,
}

/// One rule, parsed once.
#[derive(Clone, Debug)]
pub struct Selector {
    pub(super) vault: Name,
    pub(super) ids: Vec<String>,
    pub(super) titles: Vec<Title>,
    pub(super) tags: Vec<Name>,
}

/// A name in a rule.
#[derive(Clone, Debug)]
pub struct Name {
    pub(super) written: String,
    exact: String,
    /// The name as people type it, for exclude rules.
    typed: Option<String>,
}

/// A pattern in a rule.
#[derive(Clone, Debug)]
pub struct Title {
    pub(super) written: String,
    pub(super) pattern: Pattern,
    as_typed: bool,
}

impl Selection {
    /// Parses the rules.
    pub fn of(selection: &ItemSelection) -> Self {
        let read = |rules: &[ItemSelector], as_typed| {
            let read = rules.iter().map(|rule| Selector::of(rule, as_typed));
            read.collect()
        };
        Self {
            include: read(&selection.include, false),
            exclude: read(&selection.exclude, true),
        }
    }

    /// Whether an item is included and not excluded.
    pub fn matches(&self, vault: &Resolved, item: &ItemSeen) -> bool {
        let any = |rules: &[Selector]| rules.iter().any(|rule| rule.matches(vault, item));
        any(&self.include) && !any(&self.exclude)
    }

    /// The include rules.
    pub(super) fn include(&self) -> &[Selector] {
        &self.include
    }

    /// The exclude rules.
    pub(super) fn exclude(&self) -> &[Selector] {
        &self.exclude
    }
}

impl Selector {
    fn of(rule: &ItemSelector, as_typed: bool) -> Self {
        Self {
            vault: Name::of(&rule.vault.0, as_typed),
            ids: rule.ids.iter().map(|id| id.0.clone()).collect(),
            titles: rule
                .titles
                .iter()
                .map(|title| Title::of(&title.0, as_typed))
                .collect(),
            tags: rule
                .tags
                .iter()
                .map(|tag| Name::of(&tag.0, as_typed))
                .collect(),
        }
    }

    /// Whether the rule is about this vault.
    pub(super) fn is_about(&self, vault: &Resolved) -> bool {
        let name = &self.vault;
        name.written == vault.id || (name.is(&vault.title) && !has_form_of_id(&name.written))
    }

    /// Whether an item of a vault meets all conditions of the rule.
    pub(super) fn matches(&self, vault: &Resolved, item: &ItemSeen) -> bool {
        let by_id = self.ids.is_empty() || self.ids.contains(&item.id);
        let by_title =
            || self.titles.is_empty() || self.titles.iter().any(|title| title.matches(&item.title));
        let by_tag = || self.tags.is_empty() || self.tags.iter().any(|tag| tag.is_on(item));
        by_id && self.is_about(vault) && by_title() && by_tag()
    }
}

impl Name {
    fn of(name: &str, as_typed: bool) -> Self {
        Self {
            written: name.to_owned(),
            exact: canonical(name).into_owned(),
            typed: as_typed.then(|| typed(name)),
        }
    }

    /// Whether the name equals this text.
    pub(super) fn is(&self, text: &str) -> bool {
        self.exact == canonical(text)
            || self.typed.as_ref().is_some_and(|name| *name == typed(text))
    }

    /// Whether the name is a tag of this item.
    pub(super) fn is_on(&self, item: &ItemSeen) -> bool {
        item.tags.iter().any(|tag| self.is(tag))
    }
}

impl Title {
    fn of(pattern: &str, as_typed: bool) -> Self {
        Self {
            written: pattern.to_owned(),
            pattern: Pattern::new(pattern),
            as_typed,
        }
    }

    /// Whether the pattern matches this title.
    pub(super) fn matches(&self, title: &str) -> bool {
        match self.as_typed {
            true => self.pattern.matches_typed(title),
            false => self.pattern.matches(title),
        }
    }
}

/// Whether some rule can include items of this vault.
pub fn lends_from(selection: &ItemSelection, vault: &Resolved) -> bool {
    let mut rules = selection.include.iter();
    rules.any(|rule| {
        let name = Name::of(&rule.vault.0, false);
        name.written == vault.id || (name.is(&vault.title) && !has_form_of_id(&name.written))
    })
}

/// Whether an item is included and not excluded.
pub fn item_matches(selection: &ItemSelection, vault: &Resolved, item: &ItemSeen) -> bool {
    Selection::of(selection).matches(vault, item)
}

/// The first vault in an exclude rule that is not among those that are lent from. Such a rule
/// excludes nothing, and the items that it is meant to exclude could be lent. So the flow lends
/// nothing until the rule is corrected.
pub fn missing_exclude<'a>(
    selection: &'a ItemSelection,
    inventory: &Inventory,
    allowed: &[TitleOrId],
) -> Option<&'a str> {
    if selection.exclude.is_empty() {
        return None;
    }
    let vaults: Vec<_> = inventory
        .allowed(allowed)
        .into_iter()
        .map(resolved)
        .collect();
    let is_missing = |rule: &&ItemSelector| {
        let rule = Selector::of(rule, true);
        !vaults.iter().any(|vault| rule.is_about(vault))
    };
    let missing = selection.exclude.iter().find(is_missing)?;
    Some(&missing.vault.0)
}

/// The id and title of a vault.
pub fn resolved(vault: &VaultSeen) -> Resolved {
    Resolved {
        id: vault.id.clone(),
        title: vault.title.clone(),
    }
}
