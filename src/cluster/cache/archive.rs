//! The archive: of an object that is history, a cache keeps only its existence, its version and
//! when its retention ends.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::cluster::key::Key;
use crate::plan::ended_loan::History;

/// Since when an object is history, and until when it is kept; `None` if somebody still has to look
/// at it.
pub type IsHistory<K> = Box<dyn Fn(&K) -> Option<History> + Send + Sync>;

/// The archived objects. There may be a hundred thousand, so each takes only a few dozen bytes:
/// their names are uids.
#[derive(Default)]
pub(super) struct Archive(HashMap<String, HashMap<u128, Archived>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Archived {
    version: u64,
    since: i64,
    until: i64,
}

impl Archive {
    /// Archives an object at this version; returns whether it can be archived.
    pub(super) fn put(&mut self, key: &Key, version: u128, history: History) -> bool {
        let (Some(number), Ok(version)) = (number(&key.name), u64::try_from(version)) else {
            return false;
        };
        let put = Archived {
            version,
            since: history.since.as_second(),
            until: history.until.as_second(),
        };
        match self.0.get_mut(&key.namespace) {
            Some(in_it) => drop(in_it.insert(number, put)),
            None => drop(
                self.0
                    .insert(key.namespace.clone(), HashMap::from([(number, put)])),
            ),
        }
        true
    }

    /// The version of an archived object.
    pub(super) fn version(&self, key: &Key) -> Option<u128> {
        let put = self.0.get(&key.namespace)?.get(&number(&key.name)?)?;
        Some(put.version.into())
    }

    /// Removes an object; returns whether it was archived.
    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let in_it = self.0.get_mut(&key.namespace);
        in_it
            .zip(number(&key.name))
            .is_some_and(|(in_it, number)| in_it.remove(&number).is_some())
    }

    /// Replaces the content for one namespace, or for all, with that of another archive.
    pub(super) fn replace(&mut self, scope: Option<&str>, mut by: Self) {
        match scope {
            None => *self = by,
            Some(namespace) => {
                self.0.remove(namespace);
                let of_it = by.0.remove_entry(namespace);
                self.0.extend(of_it);
            }
        }
    }

    /// The objects whose retention is over.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Key> {
        let mut keys = Vec::new();
        for (namespace, in_it) in &self.0 {
            let due = in_it.iter().filter(|(_, put)| put.until <= now.as_second());
            keys.extend(due.map(|(number, _)| Key::new(namespace, name(*number))));
        }
        keys
    }

    /// The objects that became history at this time or later.
    pub(super) fn since(&self, namespace: &str, since: Timestamp) -> Vec<Key> {
        let all = self.0.get(namespace).into_iter().flatten();
        let later = all.filter(|(_, put)| put.since >= since.as_second());
        let keys = later.map(|(number, _)| Key::new(namespace, name(*number)));
        keys.collect()
    }

    /// How many objects are archived.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(HashMap::len).sum()
    }
}

/// The number that a uid encodes; `None` for a name that the API server would not generate as a
/// uid.
fn number(uid: &str) -> Option<u128> {
    let parts: Vec<&str> = uid.split('-').collect();
    let is_one = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
    let digits = parts.concat();
    let is_plain = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (is_one && is_plain).then(|| u128::from_str_radix(&digits, 16).ok())?
}

fn name(number: u128) -> String {
    let digits = format!("{number:032x}");
    let mut rest = digits.as_str();
    let parts = [8, 4, 4, 4, 12].map(|length| {
        let (part, others) = rest.split_at(length);
        rest = others;
        part
    });
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::as_written_by_the_api_server("018f3a2b-0000-4c5d-8e9f-00000000000a", true)]
    #[case::the_largest("ffffffff-ffff-ffff-ffff-ffffffffffff", true)]
    #[case::upper_case("FFFFFFFF-ffff-ffff-ffff-ffffffffffff", false)]
    #[case::other_parts("ffffffffffff-ffff-ffff-ffff-ffffffff", false)]
    #[case::a_sign("+fffffff-ffff-ffff-ffff-ffffffffffff", false)]
    #[case::by_hand("u-1", false)]
    fn a_name_that_is_a_uid_is_found_again(#[case] uid: &str, #[case] is_one: bool) {
        assert_eq!(number(uid).is_some(), is_one);
        assert!(number(uid).is_none_or(|number| name(number) == uid));
    }

    #[test]
    fn what_is_put_on_it_is_there_until_its_time_or_until_it_is_removed() {
        let mut archive = Archive::default();
        let key = |n: u8| Key::new("keyloan", name(n.into()));
        let at = |second| Timestamp::from_second(second).expect("in range");
        let until = |second| History {
            since: at(second - 90),
            until: at(second),
        };
        assert!(archive.put(&key(1), 7, until(100)) && archive.put(&key(2), 8, until(200)));
        assert!(!archive.put(&Key::new("keyloan", "by-hand"), 9, until(100)));
        assert_eq!(archive.version(&key(1)), Some(7));
        assert_eq!(archive.version(&Key::new("other", name(1))), None);
        assert_eq!(archive.due(at(99)), []);
        assert_eq!(archive.due(at(100)), [key(1)]);
        assert_eq!(archive.since(&key(2).namespace, at(11)), [key(2)]);
        assert!(archive.remove(&key(1)) && !archive.remove(&key(1)));
        assert_eq!(archive.len(), 1);
    }
}
