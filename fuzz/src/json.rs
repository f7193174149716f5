//! Changes JSON as JSON: a value in it is replaced, removed, copied or exchanged, so that what comes
//! out is still read.

use serde_json::{Map, Number, Value};

/// Texts with a meaning: words of the API, and what people may write.
const TEXTS: &[&str] = &[
    "",
    "1h",
    "0h",
    "4h",
    "1d12h",
    "2w",
    "99999999999999999999d",
    "soon",
    "alice@example.com",
    "@",
    "example.com",
    "alice",
    "bob",
    "erin",
    "system:serviceaccount:team-a:ci",
    "system:masters",
    "engineering",
    "2026-11-24T02:00:00Z",
    "2000-01-01T00:00:00Z",
    "2999-12-31T23:59:59.999999999+23:59",
    "9999-12-31T23:59:59Z",
    "-009999-01-02T01:59:59Z",
    "not a time",
    "24:00",
    "09:00",
    "Europe/Berlin",
    "Mon",
    "Sun",
    "True",
    "False",
    "Unknown",
    "Accepted",
    "Approved",
    "Active",
    "Issued",
    "Lost",
    "Refused",
    "Approve",
    "Deny",
    "Revoke",
    "AnyOf",
    "AllOf",
    "OneHour",
    "OneDay",
    "ThirtyDays",
    "OnRequest",
    "Never",
    "User",
    "Group",
    "ServiceAccount",
    "Same",
    "All",
    "Selector",
    "In",
    "NotIn",
    "Exists",
    "*",
    "?",
    "\\*",
    "db *",
    "db password",
    "Infra",
    "abcdefghijklmnopqrstuvwxya",
    "\u{1b}[2K\u{9b}1A\r",
    "line 1\nline 2\u{2028}line 3",
    "\u{202e}drowssap bd\u{200b}",
    "\u{e0041}\u{e007f}\u{feff}",
    "\u{645}\u{631}\u{62d}\u{628}\u{627}",
    "\u{5bc6}\u{7801}",
    "e\u{301}\u{301}\u{301}",
    "ops_e30",
    "https://my.1password.com",
    "http://127.0.0.1:1",
    "Email",
    "Domain",
    "Authenticated",
    "active",
    "archived",
];

/// Numbers at an edge.
const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    5,
    100,
    1000,
    i32::MAX as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
];

/// A source of decisions.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (sides.max(1) as u64)) as usize
    }
}

/// Changes the JSON in the first `size` bytes of `data`; returns the new size. Other bytes, and one
/// JSON in eight, are changed byte by byte.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut dice = Dice(seed.into());
    let plain = |data: &mut [u8]| libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    if dice.roll(8) == 0 {
        return plain(data);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(&data[..size]) else {
        return plain(data);
    };
    for _ in 0..=dice.roll(3) {
        change(&mut value, &mut dice);
    }
    match serde_json::to_vec(&value) {
        Ok(text) if text.len() <= max_size.min(data.len()) => {
            data[..text.len()].copy_from_slice(&text);
            text.len()
        }
        _ => plain(data),
    }
}

fn change(value: &mut Value, dice: &mut Dice) {
    let count = places(value);
    let copied = nth(value, dice.roll(count)).cloned();
    let mut at = dice.roll(count);
    if let Some(place) = nth_mut(value, &mut at) {
        replace(place, copied, dice);
    }
}

fn replace(place: &mut Value, copied: Option<Value>, dice: &mut Dice) {
    let text = |dice: &mut Dice| TEXTS[dice.roll(TEXTS.len())].to_owned();
    match (&mut *place, dice.roll(6)) {
        (_, 0) => *place = copied.unwrap_or_default(),
        (Value::Object(fields), 1) => {
            let keys: Vec<_> = fields.keys().cloned().collect();
            if !keys.is_empty() {
                fields.remove(&keys[dice.roll(keys.len())]);
            }
        }
        (Value::Object(fields), 2) => {
            fields.insert(text(dice), copied.unwrap_or_default());
        }
        (Value::Array(list), 1) if !list.is_empty() => {
            list.remove(dice.roll(list.len()));
        }
        (Value::Array(list), 2) if !list.is_empty() => {
            let again = list[dice.roll(list.len())].clone();
            list.insert(dice.roll(list.len() + 1), again);
        }
        (Value::Array(list), 3) => list.push(copied.unwrap_or_default()),
        (Value::String(old), 1) if !old.is_empty() => {
            let end = old
                .char_indices()
                .map(|(at, _)| at)
                .nth(dice.roll(old.chars().count()));
            old.truncate(end.unwrap_or_default());
        }
        (Value::String(old), 2) => old.push_str(&text(dice)),
        (Value::String(old), 3) if old.len() < 600 => *old = old.repeat(dice.roll(12)),
        (Value::String(old), _) => *old = text(dice),
        (Value::Bool(old), _) => *old = !*old,
        (Value::Number(old), kind) => {
            let number = match kind {
                1..=3 => old
                    .as_i64()
                    .unwrap_or_default()
                    .saturating_add(kind as i64 - 2),
                _ => NUMBERS[dice.roll(NUMBERS.len())],
            };
            *old = Number::from(number);
        }
        (_, 4) => *place = Value::Object(Map::new()),
        _ => *place = Value::String(text(dice)),
    }
}

/// The number of values in it, itself included.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(places).sum(),
        Value::Array(list) => list.iter().map(places).sum(),
        _ => 0,
    }
}

fn nth(value: &Value, at: usize) -> Option<&Value> {
    fn walk<'a>(value: &'a Value, at: &mut usize) -> Option<&'a Value> {
        if *at == 0 {
            return Some(value);
        }
        *at -= 1;
        match value {
            Value::Object(fields) => fields.values().find_map(|value| walk(value, at)),
            Value::Array(list) => list.iter().find_map(|value| walk(value, at)),
            _ => None,
        }
    }
    let mut at = at;
    walk(value, &mut at)
}

fn nth_mut<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Object(fields) => fields.values_mut().find_map(|value| nth_mut(value, at)),
        Value::Array(list) => list.iter_mut().find_map(|value| nth_mut(value, at)),
        _ => None,
    }
}
