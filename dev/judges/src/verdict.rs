//! What differs: between an answer and what is expected of it, without a secret in the words.

use jiff::Timestamp;
use serde_json::Value;

/// Keys whose values are secrets of an item.
const SECRET: [&str; 2] = ["value", "notes"];

/// What differs, in one line for each difference, if `found` has to have all that `expected` has.
/// Lists of objects with ids may be in any order.
pub fn differences(expected: &Value, found: &Value) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, found, &mut all);
    all
}

fn compare(path: &str, expected: &Value, found: &Value, all: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                let path = match path {
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                };
                match other.get(key) {
                    Some(found) => compare(&path, value, found, all),
                    None => all.push(format!("{path} is missing")),
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            if one.len() != other.len() {
                all.push(format!(
                    "{path} has {} entries instead of {}",
                    other.len(),
                    one.len()
                ));
                return;
            }
            for (index, (one, other)) in sorted(one).into_iter().zip(sorted(other)).enumerate() {
                compare(&format!("{path}[{index}]"), one, other, all);
            }
        }
        _ if same(expected, found) => {}
        _ if SECRET.contains(&path.rsplit('.').next().unwrap_or(path)) => {
            all.push(format!("{path} is another one"));
        }
        _ => all.push(format!("{path} is {found} instead of {expected}")),
    }
}

fn sorted(list: &[Value]) -> Vec<&Value> {
    let mut list: Vec<_> = list.iter().collect();
    list.sort_by_key(|entry| entry["id"].as_str());
    list
}

/// One time has several spellings.
fn same(one: &Value, other: &Value) -> bool {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    one == other || time(one).is_some_and(|time_of_one| time(other) == Some(time_of_one))
}

/// Keys that `found` has and `expected` has not, as paths without the numbers of entries.
pub fn additions(expected: &Value, found: &Value) -> Vec<String> {
    let mut missing = differences(found, expected);
    missing.retain(|difference| difference.ends_with(" is missing"));
    let paths = missing.iter().map(|line| {
        let path = line.trim_end_matches(" is missing");
        let ends = path.split('[').enumerate().map(|(at, part)| match at {
            0 => part,
            _ => part.split_once(']').map_or(part, |(_, rest)| rest),
        });
        ends.collect::<String>().trim_start_matches('.').to_owned()
    });
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_time_has_several_spellings_and_a_list_any_order() {
        let expected = json!([{"id": "a", "at": "2026-11-30T09:56:04Z"}, {"id": "b", "at": "x"}]);
        let found = json!([{"id": "b", "at": "x", "more": 1}, {"id": "a", "at": "2026-11-30T09:56:04.000Z"}]);
        assert_eq!(differences(&expected, &found), [""; 0]);
        assert_eq!(additions(&expected, &found), ["more"]);
    }

    #[test]
    fn each_difference_has_its_place() {
        let expected = json!({"items": [{"id": "a", "title": "db"}], "tags": [], "state": 1});
        let found = json!({"items": [{"id": "a", "title": "web"}], "tags": ["x"]});
        assert_eq!(
            differences(&expected, &found),
            [
                "items[0].title is \"web\" instead of \"db\"",
                "state is missing",
                "tags has 1 entries instead of 0",
            ]
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let expected = json!({"fields": [{"value": "planted"}], "notes": "planted"});
        let found = json!({"fields": [{"value": "planted too"}], "notes": "no"});
        let said = differences(&expected, &found).join("\n");
        assert_eq!(said, "fields[0].value is another one\nnotes is another one");
    }
}
