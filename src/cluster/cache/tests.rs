//! The content of the cache after watches, lists and our own writes, in each order.

use super::*;
use crate::cluster::index::{Marked, marked};
use crate::cluster::key::version;
use crate::cluster::metadata_filter::Watched;
use crate::cluster::streams::Feed;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use std::sync::Mutex;

pub(super) fn object(name: &str, uid: &str, version: u32) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".into());
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some(uid.into());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn by_color(object: &ConfigMap) -> Vec<Marked> {
    let color = object.labels().get("color").cloned();
    let mark = color.map(Mark::Requester);
    let mark = mark.map(|mark| marked(mark, object, object.metadata.name.clone()));
    mark.into_iter().collect()
}

fn colored(color: &str, object: ConfigMap) -> ConfigMap {
    let mut object = object;
    object.labels_mut().insert("color".into(), color.into());
    object
}

fn having(cache: &Cache<ConfigMap>, color: &str) -> Vec<String> {
    let found = cache.having(&Mark::Requester(color.into()));
    let mut names: Vec<_> = found.iter().map(|object| object.name_any()).collect();
    names.sort();
    names
}

/// Acts as if we had written it and had the response at once.
pub(super) fn wrote(cache: &Cache<ConfigMap>, object: ConfigMap) {
    cache.begin_call(Key::of(&object)).found(object);
}

pub(super) fn key(name: &str) -> Key {
    Key::new("ns", name)
}

/// Acts like a watch.
pub(super) fn tell(feed: &mut Feed<ConfigMap>, event: Event<ConfigMap>) {
    let told = match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(object.into()),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(object.into()),
        Event::Delete(object) => Event::Delete(object.into()),
    };
    feed.take(told).expect("decoded");
}

impl Watched for ConfigMap {
    const FILTER: MetadataFilter = MetadataFilter::NAMESPACES;
}

type Told = Arc<Mutex<Vec<String>>>;

fn synced() -> (Arc<Cache<ConfigMap>>, Feed<ConfigMap>, Told) {
    let cache = Arc::new(Cache::new(1, by_color, MetadataFilter::NAMESPACES));
    let mut feed = Feed::new(cache.clone(), None);
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitDone);
    let told = Arc::new(Mutex::new(vec![]));
    let log = told.clone();
    cache.subscribe(move |object: &ConfigMap| {
        log.lock()
            .expect("fine")
            .push(format!("{}@{}", object.name_any(), version(object)));
    });
    (cache, feed, told)
}

pub(super) fn seen(cache: &Cache<ConfigMap>, name: &str) -> Option<u128> {
    cache
        .get(&Key::new("ns", name))
        .map(|object| version(object.as_ref()))
}

#[test]
fn what_we_wrote_stands_until_the_watch_knows_something_newer() {
    let (cache, mut feed, told) = synced();
    wrote(&cache, object("a", "u1", 5));
    tell(&mut feed, Event::Apply(object("a", "u1", 4)));
    assert_eq!(seen(&cache, "a"), Some(5));
    tell(&mut feed, Event::Apply(object("a", "u1", 5)));
    tell(&mut feed, Event::Apply(object("a", "u1", 6)));
    assert_eq!(seen(&cache, "a"), Some(6));
    assert_eq!(
        *told.lock().expect("fine"),
        ["a@5", "a@6"],
        "each change is told once"
    );
}

#[test]
fn what_we_deleted_does_not_come_back_but_its_namesake_does() {
    let (cache, mut feed, _) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    cache.forget(&Key::new("ns", "a"), "u1");
    tell(&mut feed, Event::Apply(object("a", "u1", 2)));
    assert_eq!(seen(&cache, "a"), None);
    tell(&mut feed, Event::Delete(object("a", "u1", 3)));
    tell(&mut feed, Event::Apply(object("a", "u2", 4)));
    assert_eq!(seen(&cache, "a"), Some(4));
}

#[test]
fn the_end_of_an_earlier_object_does_not_end_its_namesake() {
    let (cache, mut feed, _) = synced();
    wrote(&cache, object("a", "u2", 9));
    tell(&mut feed, Event::Delete(object("a", "u1", 8)));
    assert_eq!(seen(&cache, "a"), Some(9));
}

#[test]
fn a_listing_drops_what_is_gone_but_not_what_we_wrote_while_it_was_made() {
    let (cache, mut feed, told) = synced();
    tell(&mut feed, Event::Apply(object("gone", "u1", 1)));
    tell(&mut feed, Event::Apply(object("kept", "u2", 2)));
    tell(&mut feed, Event::Init);
    wrote(&cache, object("ours", "u3", 3));
    tell(&mut feed, Event::InitApply(object("kept", "u2", 2)));
    assert_eq!(
        seen(&cache, "gone"),
        Some(1),
        "not before the list is complete"
    );
    tell(&mut feed, Event::InitDone);
    let all = ["gone", "kept", "ours"].map(|name| seen(&cache, name));
    assert_eq!(all, [None, Some(2), Some(3)]);
    assert_eq!(
        *told.lock().expect("fine"),
        ["gone@1", "kept@2", "ours@3", "gone@1"]
    );
}

#[test]
fn objects_are_found_by_their_marks_as_long_as_they_are_there_and_have_them() {
    let (cache, mut feed, _) = synced();
    tell(
        &mut feed,
        Event::Apply(colored("red", object("a", "u1", 1))),
    );
    wrote(&cache, colored("red", object("b", "u2", 2)));
    tell(
        &mut feed,
        Event::Apply(colored("blue", object("c", "u3", 3))),
    );
    assert_eq!(having(&cache, "red"), ["a", "b"]);
    tell(
        &mut feed,
        Event::Apply(colored("blue", object("a", "u1", 4))),
    );
    assert_eq!(having(&cache, "red"), ["b"], "it has changed");
    cache.forget(&Key::new("ns", "b"), "u2");
    assert_eq!(having(&cache, "red"), [""; 0], "we deleted it");
    assert_eq!(having(&cache, "blue"), ["a", "c"]);
    tell(
        &mut feed,
        Event::Delete(colored("blue", object("c", "u3", 5))),
    );
    assert_eq!(having(&cache, "blue"), ["a"], "somebody deleted it");
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitDone);
    assert_eq!(
        having(&cache, "blue"),
        [""; 0],
        "it is no longer in the list"
    );
    assert!(cache.write().index.is_empty(), "nothing is left behind");
}

#[test]
fn what_is_large_and_of_no_use_is_not_kept() {
    let (cache, mut feed, _) = synced();
    let large = |name: &str| {
        let mut large = object(name, name, 1);
        large.annotations_mut().insert("mine".into(), "x".into());
        large
    };
    tell(&mut feed, Event::Apply(large("told")));
    wrote(&cache, large("written"));
    cache.begin_call(key("told")).changed(large("told"));
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitApply(large("listed")));
    wrote(&cache, large("written"));
    tell(&mut feed, Event::InitDone);
    for kept in cache.select(|_| true) {
        assert!(kept.annotations().is_empty(), "{kept:?}");
    }
}

#[test]
fn a_stream_of_one_namespace_leaves_the_others_alone() {
    let cache = Arc::new(Cache::new(2, by_color, MetadataFilter::NAMESPACES));
    let (mut one, mut other) = (
        Feed::new(cache.clone(), Some("ns".into())),
        Feed::new(cache.clone(), Some("x".into())),
    );
    tell(&mut one, Event::Init);
    tell(&mut one, Event::InitApply(object("a", "u1", 1)));
    tell(&mut one, Event::InitDone);
    assert!(!cache.is_synced());
    tell(&mut other, Event::Init);
    tell(&mut other, Event::InitDone);
    assert!(cache.is_synced());
    assert_eq!(seen(&cache, "a"), Some(1));
}

#[test]
fn a_late_answer_brings_nothing_back_that_has_ended() {
    let (cache, mut feed, told) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    let changing = cache.begin_call(key("a"));
    tell(&mut feed, Event::Delete(object("a", "u1", 3)));
    let answer = changing.changed(object("a", "u1", 2));
    assert_eq!(version(answer.as_ref()), 2, "who changed it is told");
    assert_eq!(seen(&cache, "a"), None, "changed, and then deleted");

    let (creating, reading) = (cache.begin_call(key("b")), cache.begin_call(key("b")));
    tell(&mut feed, Event::Apply(object("b", "u2", 4)));
    tell(&mut feed, Event::Delete(object("b", "u2", 6)));
    creating.found(object("b", "u2", 4));
    reading.found(object("b", "u2", 5));
    assert_eq!(
        seen(&cache, "b"),
        None,
        "created and read, and then deleted"
    );

    let changing = cache.begin_call(key("c"));
    tell(&mut feed, Event::Apply(object("c", "u3", 7)));
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitDone);
    changing.changed(object("c", "u3", 8));
    assert_eq!(seen(&cache, "c"), None, "it was no longer in the list");
    assert_eq!(
        *told.lock().expect("fine"),
        ["a@1", "a@1", "b@4", "b@4", "c@7", "c@7"]
    );
    assert!(cache.write().is_at_rest());
}

#[test]
fn a_late_answer_does_not_touch_a_namesake() {
    let (cache, mut feed, _) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    let (changing, creating) = (cache.begin_call(key("a")), cache.begin_call(key("a")));
    tell(&mut feed, Event::Delete(object("a", "u1", 3)));
    tell(&mut feed, Event::Apply(object("a", "u2", 4)));
    changing.changed(object("a", "u1", 2));
    assert_eq!(seen(&cache, "a"), Some(4));
    tell(&mut feed, Event::Delete(object("a", "u2", 5)));
    creating.found(object("a", "u3", 6));
    assert_eq!(seen(&cache, "a"), Some(6), "it was created after that");
}

#[test]
fn an_answer_that_was_overtaken_by_something_newer_does_not_count() {
    let (cache, mut feed, _) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    let (changing, reading) = (cache.begin_call(key("a")), cache.begin_call(key("a")));
    let missing = cache.begin_call(key("a"));
    tell(&mut feed, Event::Apply(object("a", "u1", 4)));
    changing.changed(object("a", "u1", 2));
    reading.found(object("a", "u1", 3));
    missing.missed();
    assert_eq!(seen(&cache, "a"), Some(4));
}

#[test]
fn what_a_read_does_not_find_is_no_longer_known() {
    let (cache, mut feed, told) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    cache.begin_call(key("a")).missed();
    tell(&mut feed, Event::Apply(object("a", "u1", 2)));
    assert_eq!(seen(&cache, "a"), None, "the watch lags behind");
    tell(&mut feed, Event::Delete(object("a", "u1", 3)));
    cache.begin_call(key("a")).missed();
    assert_eq!(*told.lock().expect("fine"), ["a@1", "a@1"]);
    assert!(cache.write().is_at_rest());
}

#[test]
fn nothing_is_kept_in_mind_longer_than_it_is_needed() {
    let (cache, mut feed, _) = synced();
    wrote(&cache, object("a", "u1", 1));
    assert!(cache.write().is_at_rest(), "written, and no listing runs");
    tell(&mut feed, Event::Delete(object("a", "u1", 2)));
    cache.forget(&key("a"), "u1");
    assert!(cache.write().is_at_rest(), "the watch told of it first");

    wrote(&cache, object("b", "u2", 3));
    cache.forget(&key("b"), "u2");
    assert!(!cache.write().is_at_rest());
    tell(&mut feed, Event::Delete(object("b", "u2", 4)));
    assert!(cache.write().is_at_rest(), "the watch told of it then");

    tell(&mut feed, Event::Init);
    wrote(&cache, object("c", "u3", 5));
    wrote(&cache, object("d", "u4", 6));
    cache.forget(&key("d"), "u4");
    assert!(!cache.write().is_at_rest());
    tell(&mut feed, Event::Init);
    assert!(cache.write().is_at_rest(), "the list is made again");
    wrote(&cache, object("c", "u3", 7));
    tell(&mut feed, Event::InitDone);
    assert!(cache.write().is_at_rest(), "the list is complete");
    wrote(&cache, object("c", "u3", 8));
    assert!(cache.write().is_at_rest(), "and no other one runs");
    drop(cache.begin_call(key("c")));
    assert!(cache.write().is_at_rest(), "a call that was given up");
}

#[test]
fn what_was_written_while_a_list_was_made_and_is_older_than_the_list_is_gone() {
    let (cache, mut feed, _) = synced();
    tell(&mut feed, Event::Init);
    wrote(&cache, object("gone", "u1", 1));
    wrote(&cache, object("ours", "u2", 3));
    tell(&mut feed, Event::InitApply(object("other", "u3", 2)));
    tell(&mut feed, Event::InitDone);
    assert_eq!(seen(&cache, "gone"), None, "or it would be in the list");
    assert_eq!(seen(&cache, "ours"), Some(3));
}

#[test]
fn what_we_deleted_while_a_list_was_made_does_not_come_back_by_it() {
    let (cache, mut feed, _) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 1)));
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitApply(object("a", "u1", 1)));
    cache.forget(&key("a"), "u1");
    tell(&mut feed, Event::InitDone);
    assert_eq!(seen(&cache, "a"), None);
    tell(&mut feed, Event::Delete(object("a", "u1", 2)));
    assert!(cache.write().is_at_rest());
}

/// Resource versions go back when etcd is restored from a backup.
#[test]
fn what_the_api_server_says_counts_also_if_its_versions_have_gone_back() {
    let (cache, mut feed, told) = synced();
    for (name, uid) in [("listed", "u1"), ("read", "u2"), ("ended", "u3")] {
        tell(&mut feed, Event::Apply(object(name, uid, 9)));
    }
    tell(&mut feed, Event::Apply(object("deleted", "u4", 9)));
    cache.forget(&key("deleted"), "u4");
    told.lock().expect("fine").clear();

    cache.begin_call(key("read")).found(object("read", "u2", 2));
    assert_eq!(seen(&cache, "read"), Some(2), "by a live read");
    cache
        .begin_call(key("read"))
        .changed(object("read", "u2", 3));
    assert_eq!(seen(&cache, "read"), Some(3), "by an answer to a write");
    tell(&mut feed, Event::Delete(object("ended", "u3", 4)));
    assert_eq!(seen(&cache, "ended"), None, "by its end");
    tell(&mut feed, Event::Init);
    for (name, uid) in [("listed", "u1"), ("read", "u2"), ("deleted", "u4")] {
        tell(&mut feed, Event::InitApply(object(name, uid, 3)));
    }
    tell(&mut feed, Event::InitDone);
    for name in ["listed", "read", "deleted"] {
        assert_eq!(seen(&cache, name), Some(3), "{name} by a list");
    }
    let mut told = told.lock().expect("fine").clone();
    told.sort();
    let expected = ["deleted@3", "ended@9", "listed@3", "read@2", "read@3"];
    assert_eq!(told, expected, "each change is told once");
}

#[test]
fn a_watch_that_tells_of_something_older_than_before_has_to_begin_again() {
    let (_, mut feed, _) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 7)));
    tell(&mut feed, Event::Apply(object("b", "u2", 9)));
    tell(&mut feed, Event::Delete(object("a", "u1", 10)));
    assert!(!feed.went_back());
    tell(&mut feed, Event::Apply(object("b", "u2", 8)));
    assert!(feed.went_back());
    tell(&mut feed, Event::Init);
    assert!(!feed.went_back(), "it was");
    tell(&mut feed, Event::InitApply(object("c", "u3", 5)));
    tell(&mut feed, Event::InitApply(object("b", "u2", 4)));
    tell(&mut feed, Event::InitDone);
    assert!(!feed.went_back(), "a list has its own order");
    tell(&mut feed, Event::Apply(object("b", "u2", 6)));
    assert!(!feed.went_back());
    tell(&mut feed, Event::Delete(object("c", "u3", 5)));
    assert!(feed.went_back());
}

/// Otherwise a person who writes something undecodable into an object would freeze its last known
/// state.
#[test]
fn what_cannot_be_decoded_is_not_believed_to_be_as_it_was() {
    let odd = |version: &str| {
        let odd = serde_json::json!({
            "metadata": { "namespace": "ns", "name": "a", "uid": "u1", "resourceVersion": version },
            "data": 7,
        });
        serde_json::from_value(odd).expect("told")
    };
    let (cache, mut feed, told) = synced();
    tell(&mut feed, Event::Apply(object("a", "u1", 5)));
    tell(&mut feed, Event::Apply(object("b", "u2", 6)));
    let doubted = feed.take(Event::Apply(odd("7"))).expect_err("undecodable");
    assert_eq!(doubted.key, key("a"));
    assert_eq!(seen(&cache, "a"), None);
    tell(&mut feed, Event::Apply(object("a", "u1", 8)));
    assert_eq!(seen(&cache, "a"), Some(8), "mended");
    assert_eq!(
        *told.lock().expect("fine"),
        ["a@5", "b@6", "a@5", "a@8"],
        "who has to know is told"
    );
    tell(&mut feed, Event::Init);
    tell(&mut feed, Event::InitApply(object("b", "u2", 6)));
    feed.take(Event::InitApply(odd("9")))
        .expect_err("undecodable");
    tell(&mut feed, Event::InitDone);
    assert_eq!((seen(&cache, "a"), seen(&cache, "b")), (None, Some(6)));
    feed.take(Event::Delete(odd("10")))
        .expect("that it is gone can be read");
    assert!(cache.write().is_at_rest());
}
