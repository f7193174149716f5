//! What is known after watches, lists and our own writes, in each order.

use super::*;
use k8s_openapi::api::core::v1::ConfigMap;
use std::sync::Mutex;

fn object(name: &str, uid: &str, version: u32) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".into());
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some(uid.into());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn by_color(object: &ConfigMap) -> Vec<Mark> {
    let color = object.labels().get("color").cloned();
    color.map(Mark::Requester).into_iter().collect()
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

type Told = Arc<Mutex<Vec<String>>>;

fn synced() -> (Arc<Cache<ConfigMap>>, Feed<ConfigMap>, Told) {
    let cache = Arc::new(Cache::new(1, by_color));
    let mut feed = Feed::new(cache.clone(), None);
    feed.take(Event::Init);
    feed.take(Event::InitDone);
    let told = Arc::new(Mutex::new(vec![]));
    let log = told.clone();
    cache.subscribe(move |object: &ConfigMap| {
        log.lock()
            .expect("fine")
            .push(format!("{}@{}", object.name_any(), version(object)));
    });
    (cache, feed, told)
}

fn seen(cache: &Cache<ConfigMap>, name: &str) -> Option<u128> {
    cache
        .get(&Key::new("ns", name))
        .map(|object| version(object.as_ref()))
}

#[test]
fn what_we_wrote_stands_until_the_watch_knows_something_newer() {
    let (cache, mut feed, told) = synced();
    cache.remember(object("a", "u1", 5));
    feed.take(Event::Apply(object("a", "u1", 4)));
    assert_eq!(seen(&cache, "a"), Some(5));
    feed.take(Event::Apply(object("a", "u1", 5)));
    feed.take(Event::Apply(object("a", "u1", 6)));
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
    feed.take(Event::Apply(object("a", "u1", 1)));
    cache.forget(&Key::new("ns", "a"), "u1");
    feed.take(Event::Apply(object("a", "u1", 2)));
    assert_eq!(seen(&cache, "a"), None);
    feed.take(Event::Delete(object("a", "u1", 3)));
    feed.take(Event::Apply(object("a", "u2", 4)));
    assert_eq!(seen(&cache, "a"), Some(4));
}

#[test]
fn the_end_of_an_earlier_object_does_not_end_its_namesake() {
    let (cache, mut feed, _) = synced();
    cache.remember(object("a", "u2", 9));
    feed.take(Event::Delete(object("a", "u1", 8)));
    assert_eq!(seen(&cache, "a"), Some(9));
}

#[test]
fn a_listing_drops_what_is_gone_but_not_what_we_wrote_while_it_was_made() {
    let (cache, mut feed, told) = synced();
    feed.take(Event::Apply(object("gone", "u1", 1)));
    feed.take(Event::Apply(object("kept", "u2", 2)));
    feed.take(Event::Init);
    cache.remember(object("ours", "u3", 3));
    feed.take(Event::InitApply(object("kept", "u2", 2)));
    assert_eq!(
        seen(&cache, "gone"),
        Some(1),
        "not before the list is complete"
    );
    feed.take(Event::InitDone);
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
    feed.take(Event::Apply(colored("red", object("a", "u1", 1))));
    cache.remember(colored("red", object("b", "u2", 2)));
    feed.take(Event::Apply(colored("blue", object("c", "u3", 3))));
    assert_eq!(having(&cache, "red"), ["a", "b"]);
    feed.take(Event::Apply(colored("blue", object("a", "u1", 4))));
    assert_eq!(having(&cache, "red"), ["b"], "it has changed");
    cache.forget(&Key::new("ns", "b"), "u2");
    assert_eq!(having(&cache, "red"), [""; 0], "we deleted it");
    assert_eq!(having(&cache, "blue"), ["a", "c"]);
    feed.take(Event::Delete(colored("blue", object("c", "u3", 5))));
    assert_eq!(having(&cache, "blue"), ["a"], "somebody deleted it");
    feed.take(Event::Init);
    feed.take(Event::InitDone);
    assert_eq!(having(&cache, "blue"), [""; 0], "it is in the list no more");
    assert!(cache.write().index.is_empty(), "nothing is left behind");
}

#[test]
fn what_is_large_and_of_no_use_is_not_kept() {
    let (cache, mut feed, _) = synced();
    let large = |name: &str| {
        let mut large = object(name, name, 1);
        large.metadata.managed_fields = Some(vec![Default::default()]);
        let annotations = [(LAST_APPLIED, "{}"), ("mine", "x")];
        let own = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        large.metadata.annotations = Some(own.into());
        large
    };
    feed.take(Event::Apply(large("a")));
    cache.remember(large("b"));
    for name in ["a", "b"] {
        let kept = cache.get(&Key::new("ns", name)).expect("kept");
        assert_eq!(kept.metadata.managed_fields, None);
        assert_eq!(kept.annotations().keys().collect::<Vec<_>>(), ["mine"]);
    }
}

#[test]
fn a_stream_of_one_namespace_leaves_the_others_alone() {
    let cache = Arc::new(Cache::new(2, by_color));
    let (mut one, mut other) = (
        Feed::new(cache.clone(), Some("ns".into())),
        Feed::new(cache.clone(), Some("x".into())),
    );
    one.take(Event::Init);
    one.take(Event::InitApply(object("a", "u1", 1)));
    one.take(Event::InitDone);
    assert!(!cache.is_synced());
    other.take(Event::Init);
    other.take(Event::InitDone);
    assert!(cache.is_synced());
    assert_eq!(seen(&cache, "a"), Some(1));
}
