//! The whole history of etcd: every value that was ever stored, as raw bytes.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::json;

use super::etcd::{Etcd, Header, number};

/// From the first key to the last, as etcd spells it: a zero byte, in Base64.
const EVERYTHING: &str = "AA==";

/// One change of one key in etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// etcd's revision, which counts all changes.
    pub revision: i64,
    /// The key, for example `/registry/secrets/default/token`.
    pub key: String,
    /// What was stored, as it lies on the disk; none if the key was deleted.
    pub value: Option<Vec<u8>>,
}

/// Everything that was stored since a revision, in the order of the revisions.
pub(super) async fn dump(etcd: &Etcd<'_>, since: i64) -> Result<Vec<Revision>, String> {
    let last = present_revision(etcd).await?;
    let all = json!({"create_request": {
        "key": EVERYTHING, "range_end": EVERYTHING, "start_revision": since.to_string(), "fragment": true,
    }});
    if last < since {
        return Ok(Vec::new());
    }
    let mut answer = etcd.post("/v3/watch", &all).await?;
    let mut history = Vec::new();
    let mut unread = Vec::new();
    // The watch never ends by itself: it is left when it has come to what was the last revision at the beginning. All
    // changes of one revision come in one piece, but for those that etcd marks as fragments.
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        unread.extend_from_slice(&chunk);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let piece: Piece = serde_json::from_slice(&line)
                .map_err(|error| format!("an answer that cannot be read: {error}"))?;
            let whole = !piece.result.fragment;
            history.extend(piece.revisions()?);
            if whole && history.last().is_some_and(|seen| seen.revision >= last) {
                return Ok(history);
            }
        }
    }
    Err(format!("the watch ended before revision {last}"))
}

/// The revision of the last change. There always is one: the API server stores much when it starts.
async fn present_revision(etcd: &Etcd<'_>) -> Result<i64, String> {
    #[derive(Deserialize)]
    struct Range {
        header: Header,
    }
    let one = json!({"key": EVERYTHING, "range_end": EVERYTHING, "limit": "1", "keys_only": true});
    let range: Range = etcd.ask("/v3/kv/range", &one).await?;
    number(&range.header.revision)
}

/// One line of the answer to a watch.
#[derive(Deserialize)]
struct Piece {
    result: Watched,
}

#[derive(Deserialize)]
struct Watched {
    #[serde(default)]
    events: Vec<Event>,
    /// More of the same revision follows.
    #[serde(default)]
    fragment: bool,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, rename = "type")]
    kind: String,
    kv: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    mod_revision: String,
}

impl Piece {
    fn revisions(self) -> Result<Vec<Revision>, String> {
        if self.result.canceled {
            return Err(format!(
                "etcd refuses the whole history: {}",
                self.result.cancel_reason
            ));
        }
        self.result
            .events
            .into_iter()
            .map(Event::revision)
            .collect()
    }
}

impl Event {
    fn revision(self) -> Result<Revision, String> {
        let bytes = |text: &str| {
            BASE64_STANDARD
                .decode(text)
                .map_err(|error| error.to_string())
        };
        Ok(Revision {
            revision: number(&self.kv.mod_revision)?,
            key: String::from_utf8_lossy(&bytes(&self.kv.key)?).into_owned(),
            value: match self.kind.as_str() {
                "DELETE" => None,
                _ => Some(bytes(&self.kv.value)?),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_the_watch_is_read() {
        let line = json!({"result": {"header": {"revision": "7"}, "events": [
            {"kv": {"key": "L2E=", "value": "AP8=", "mod_revision": "6"}},
            {"type": "DELETE", "kv": {"key": "L2E=", "mod_revision": "7"}},
        ]}});
        let piece: Piece = serde_json::from_value(line).unwrap();
        let change = |revision, value| Revision {
            revision,
            key: "/a".into(),
            value,
        };
        assert_eq!(
            piece.revisions().unwrap(),
            [change(6, Some(vec![0, 255])), change(7, None)]
        );
    }

    #[test]
    fn a_history_that_was_compacted_is_an_error() {
        let line = json!({"result": {"canceled": true, "cancel_reason": "compacted"}});
        let piece: Piece = serde_json::from_value(line).unwrap();
        assert!(piece.revisions().unwrap_err().ends_with("compacted"));
    }
}
