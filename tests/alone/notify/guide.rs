//! The program of docs/notifications.md that verifies a signature, against events that were really delivered.

use std::io::Write as _;
use std::process::{Command, Stdio};

use jiff::SignedDuration;
use keyloan::notify::Parcel;
use rstest::rstest;
use serde_json::{Value, json};

use super::receiver::{Received, Receiver};
use super::{KEY, OTHER_KEY, PATH, attempt, courier, event, now, webhook};

const PAGE: &str = include_str!("../../../docs/notifications.md");

/// Calls the program's function, and prints what it returns or raises.
const CALL: &str = "
import sys
given = json.load(sys.stdin)
try:
    event = verify(given['headers'], given['body'].encode(), given['keys'], now=given['now'])
    print(event['id'])
except ValueError as error:
    print('ValueError:', error)
";

fn program() -> String {
    let (_, rest) = PAGE.split_once("```python\n").unwrap();
    let (program, _) = rest.split_once("```").unwrap();
    format!("{program}{CALL}")
}

fn verified(request: &Received, keys: &[&str], now: i64) -> String {
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())));
    let headers = Value::Object(headers.collect());
    let given = json!({ "headers": headers, "body": request.body, "keys": keys, "now": now });
    let mut python = Command::new("python3")
        .args(["-c", &program()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(given.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn delivered() -> Received {
    let receiver = Receiver::start().await;
    let channel = webhook(&receiver.url(PATH));
    let sent = attempt(&courier(), &channel, Parcel::Event(&event()), None).await;
    sent.unwrap();
    let [request] = receiver.received().try_into().unwrap();
    request
}

#[tokio::test]
async fn an_event_has_the_form_of_cloudevents_and_the_headers_of_standard_webhooks() {
    let request = delivered().await;
    assert_eq!(request.path, PATH);
    let content_type = &request.headers["content-type"];
    assert_eq!(content_type, "application/cloudevents+json; charset=utf-8");
    assert_eq!(request.headers["webhook-id"], event().id);
    assert_eq!(
        request.headers["webhook-timestamp"],
        now().as_second().to_string()
    );
    let signatures = request.headers["webhook-signature"].to_str().unwrap();
    assert_eq!(signatures.split(' ').count(), 2);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(body["specversion"], "1.0");
    assert_eq!(body["type"], "dev.keyloan.requested");
    assert_eq!(body, serde_json::to_value(event()).unwrap());
}

/// While a key is replaced, a receiver knows the old one, the new one or both.
#[rstest]
#[case::old(&[KEY])]
#[case::new(&[OTHER_KEY])]
#[case::both(&[OTHER_KEY, KEY])]
#[tokio::test]
async fn the_program_accepts_an_event_by_any_of_the_keys(#[case] keys: &[&str]) {
    let request = delivered().await;
    assert_eq!(verified(&request, keys, now().as_second()), event().id);
}

#[tokio::test]
async fn the_program_refuses_what_was_changed_or_is_old() {
    let request = delivered().await;
    let at = now().as_second();
    let stranger = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(
        verified(&request, &[stranger], at),
        "ValueError: no valid signature"
    );
    let mut changed = request.clone();
    changed.body = changed.body.replace("alice-db", "alice-dc");
    assert_eq!(
        verified(&changed, &[KEY], at),
        "ValueError: no valid signature"
    );
    let mut another = request.clone();
    another
        .headers
        .insert("webhook-id", "another".parse().unwrap());
    assert_eq!(
        verified(&another, &[KEY], at),
        "ValueError: no valid signature"
    );
    let later = at + SignedDuration::from_mins(6).as_secs();
    assert_eq!(
        verified(&request, &[KEY], later),
        "ValueError: too old or too new"
    );
    let mut redated = request.clone();
    redated
        .headers
        .insert("webhook-timestamp", later.to_string().parse().unwrap());
    assert_eq!(
        verified(&redated, &[KEY], later),
        "ValueError: no valid signature"
    );
}
