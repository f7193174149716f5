//! The vaults of an account that an integration lends from.

use crate::api::TitleOrId;

use super::titles::has_form_of_id;

/// The vaults that an allow-list selects, and the problems of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<V> {
    /// The vaults, in the order of the listing.
    pub vaults: Vec<V>,
    /// Entries of the allow-list that name no vault.
    pub missing: Vec<String>,
    /// Titles of the allow-list that name several vaults, with the ids.
    pub ambiguous: Vec<(String, Vec<String>)>,
}

/// Selects the vaults that the allow-list names from those that the account can read; an empty list
/// selects all.
pub fn choose_vaults<V>(
    vaults: Vec<V>,
    allowed: &[TitleOrId],
    id_and_title: impl Fn(&V) -> (&str, &str),
) -> Chosen<V> {
    let mut chosen = Chosen {
        vaults: vec![],
        missing: vec![],
        ambiguous: vec![],
    };
    let mut wanted: Vec<String> = Vec::new();
    for TitleOrId(entry) in allowed {
        let ids = |of: fn((&str, &str)) -> String| -> Vec<String> {
            let named = vaults
                .iter()
                .filter(|vault| of(id_and_title(vault)) == *entry);
            named
                .map(|vault| id_and_title(vault).0.to_owned())
                .collect()
        };
        let by_id = ids(|(id, _)| id.to_owned());
        let named = if by_id.is_empty() && !has_form_of_id(entry) {
            ids(|(_, title)| title.to_owned())
        } else {
            by_id
        };
        match named.len() {
            0 => chosen.missing.push(entry.clone()),
            1 => wanted.extend(named),
            _ => chosen.ambiguous.push((entry.clone(), named)),
        }
    }
    chosen.vaults = vaults
        .into_iter()
        .filter(|vault| allowed.is_empty() || wanted.iter().any(|id| id == id_and_title(vault).0))
        .collect();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::all(&[], &["v1", "v2", "v3", "v4"], &[], &[])]
    #[case::by_title(&["Infra"], &["v1"], &[], &[])]
    #[case::by_id(&["v3", "v1"], &["v1", "v3"], &[], &[])]
    #[case::ambiguous(&["Twin", "Infra"], &["v1"], &[], &["Twin"])]
    #[case::missing(&["Gone", "v2"], &["v2"], &["Gone"], &[])]
    #[case::no_title_in_the_form_of_an_id(&["aaaaaaaaaaaaaaaaaaaaaaaaa2"], &[], &["aaaaaaaaaaaaaaaaaaaaaaaaa2"], &[])]
    fn the_allow_list_chooses_by_id_or_unambiguous_title(
        #[case] allowed: &[&str],
        #[case] chosen: &[&str],
        #[case] missing: &[&str],
        #[case] ambiguous: &[&str],
    ) {
        let vaults = vec![
            ("v1", "Infra"),
            ("v2", "Twin"),
            ("v3", "Twin"),
            ("v4", "aaaaaaaaaaaaaaaaaaaaaaaaa2"),
        ];
        let allowed: Vec<TitleOrId> = allowed
            .iter()
            .map(|entry| TitleOrId((*entry).into()))
            .collect();
        let result = choose_vaults(vaults, &allowed, |(id, title)| (id, title));
        let ids: Vec<&str> = result.vaults.iter().map(|(id, _)| *id).collect();
        let twins: Vec<&str> = result
            .ambiguous
            .iter()
            .map(|(title, _)| title.as_str())
            .collect();
        assert_eq!((ids.as_slice(), twins.as_slice()), (chosen, ambiguous));
        assert_eq!(result.missing, missing);
    }
}
