//! Tests: the cache archives history, never takes it for deleted, and brings it back when somebody
//! has to look at it.

use super::tests::{key, object, seen, tell, wrote};
use super::*;
use crate::cluster::index::unmarked;
use crate::cluster::streams::Feed;
use crate::plan::ended_loan::History;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use std::sync::Mutex;

const UID: &str = "018f3a2b-0000-4c5d-8e9f-000000000001";
const OTHER: &str = "018f3a2b-0000-4c5d-8e9f-000000000002";

fn until() -> Timestamp {
    Timestamp::from_second(1_000).expect("in range")
}

fn history() -> History {
    History {
        since: Timestamp::UNIX_EPOCH,
        until: until(),
    }
}

fn over(name: &str, version: u32) -> ConfigMap {
    let mut over = object(name, "u1", version);
    over.labels_mut().insert("over".into(), "yes".into());
    over
}

type Told = Arc<Mutex<Vec<String>>>;

fn archiving() -> (Arc<Cache<ConfigMap>>, Feed<ConfigMap>, Told) {
    let is_history = |object: &ConfigMap| object.labels().contains_key("over").then(history);
    let cache = Cache::new(1, unmarked, MetadataFilter::NAMESPACES);
    let cache = Arc::new(cache.archiving(Box::new(is_history)));
    let told = Told::default();
    let log = told.clone();
    cache.subscribe(move |object: &ConfigMap| {
        log.lock().expect("fine").push(object.name_any());
    });
    (cache.clone(), Feed::new(cache, None), told)
}

fn listed(feed: &mut Feed<ConfigMap>, objects: impl IntoIterator<Item = ConfigMap>) {
    tell(feed, Event::Init);
    for object in objects {
        tell(feed, Event::InitApply(object));
    }
    tell(feed, Event::InitDone);
}

fn news(told: &Told) -> Vec<String> {
    std::mem::take(&mut *told.lock().expect("fine"))
}

#[test]
fn history_is_known_to_be_there_and_nobody_is_told() {
    let (cache, mut feed, told) = archiving();
    listed(&mut feed, [over(UID, 3), object(OTHER, "u2", 4)]);
    assert!(cache.is_history(&key(UID)) && !cache.is_history(&key(OTHER)));
    assert_eq!(seen(&cache, UID), None);
    assert_eq!(news(&told), [OTHER]);
    assert_eq!(cache.due_history(until()), [key(UID)]);

    // A write that changes nothing, and another list.
    tell(&mut feed, Event::Apply(over(UID, 5)));
    listed(&mut feed, [over(UID, 5), object(OTHER, "u2", 4)]);
    assert!(cache.is_history(&key(UID)));
    assert_eq!(news(&told), [""; 0]);
}

#[test]
fn what_becomes_history_is_told_once_by_whatever_way_it_is_learned() {
    let (cache, mut feed, told) = archiving();
    listed(&mut feed, [object(UID, "u1", 3), object(OTHER, "u2", 3)]);
    news(&told);
    tell(&mut feed, Event::Apply(over(UID, 4)));
    assert!(cache.is_history(&key(UID)) && seen(&cache, UID).is_none());
    assert_eq!(news(&told), [UID]);
    listed(&mut feed, [over(UID, 4), over(OTHER, 5)]);
    assert!(cache.is_history(&key(OTHER)) && seen(&cache, OTHER).is_none());
    assert_eq!(news(&told), [OTHER]);
}

#[test]
fn late_news_of_how_it_was_before_do_not_count() {
    let (cache, mut feed, _) = archiving();
    listed(&mut feed, []);
    wrote(&cache, over(UID, 7));
    tell(&mut feed, Event::Apply(object(UID, "u1", 6)));
    assert!(cache.is_history(&key(UID)) && seen(&cache, UID).is_none());
}

#[test]
fn what_was_only_a_matter_of_time_is_shelved_when_somebody_says_so() {
    let (cache, mut feed, _) = archiving();
    listed(&mut feed, [object(UID, "u1", 3)]);
    assert!(!cache.archive(&key(UID)), "it is to be looked at");
    assert!(seen(&cache, UID).is_some());
    assert!(!cache.archive(&key(OTHER)), "it is not there");
}

#[test]
fn history_that_is_deleted_is_history_no_more() {
    let (cache, mut feed, _) = archiving();
    listed(&mut feed, [over(UID, 3), over(OTHER, 3)]);
    tell(&mut feed, Event::Delete(over(UID, 8)));
    assert!(!cache.is_history(&key(UID)));
    cache.begin_call(key(OTHER)).missed();
    assert!(!cache.is_history(&key(OTHER)));
    listed(&mut feed, [over(UID, 9)]);
    listed(&mut feed, []);
    assert!(!cache.is_history(&key(UID)));
}

#[test]
fn what_was_written_while_a_list_was_made_counts_more_than_the_list() {
    let (cache, mut feed, _) = archiving();
    listed(&mut feed, [over(UID, 3)]);
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitApply(over(UID, 3)));
    wrote(&cache, object(UID, "u1", 9));
    tell(&mut feed, Event::InitDone);
    assert_eq!(seen(&cache, UID), Some(9));
    assert!(!cache.is_history(&key(UID)));
}
