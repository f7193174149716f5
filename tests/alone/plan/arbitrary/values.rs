//! Values of each kind: mostly usual ones, now and then odd ones.

use jiff::Timestamp;
use keyloan::api::*;
use kube::api::ObjectMeta;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::plan::world::at;

/// One in thirty is odd.
pub fn rarely<T: std::fmt::Debug>(
    usual: impl Strategy<Value = T> + 'static,
    odd: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![29 => usual, 1 => odd].boxed()
}

/// A minute since the start, most often a round one, so that deadlines are met to the minute.
pub fn minute() -> impl Strategy<Value = i64> {
    prop_oneof![3 => (0i64..24).prop_map(|m| 15 * m), 1 => 0i64..400]
}

/// A time near the start, or any at all, the first and the last ones included.
pub fn time() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let edges = [0, 1, 59, 60, 3599, 3600, 86_400];
    let edges = edges.into_iter().flat_map(move |s| [first + s, last - s]);
    let second = |s| Timestamp::from_second(s).expect("in range");
    prop_oneof![
        16 => (-400i64..800).prop_map(at),
        1 => (first..=last).prop_map(second),
        1 => select(edges.collect::<Vec<_>>()).prop_map(second),
        1 => Just(Timestamp::MAX),
    ]
}

pub fn some_time() -> impl Strategy<Value = Time> {
    time().prop_map(Time)
}

pub fn text(usual: &'static [&'static str], odd: &'static [&'static str]) -> BoxedStrategy<String> {
    let odd = prop_oneof![3 => select(odd).prop_map(str::to_owned), 1 => ".{0,12}"];
    rarely(select(usual).prop_map(str::to_owned), odd)
}

pub fn word() -> BoxedStrategy<String> {
    text(
        &["flow-oncall", "flow-a", "lend", "yes"],
        &["", "\u{0}", "ß", "system:x"],
    )
}

pub fn any_span() -> impl Strategy<Value = Span> {
    let usual = &["1h", "2h", "4h", "8h", "90m", "1d", "25h", "8d", "60d"];
    let odd = &[
        "",
        "0h",
        "59m",
        "h",
        "1h5",
        "soon",
        "3650d",
        "99999999999999999999d",
        "-1h",
        "1٣h",
    ];
    text(usual, odd).prop_map(Span)
}

pub fn any_email() -> impl Strategy<Value = Email> {
    let usual = &["alice@example.com", "bob@example.com"];
    let odd = &[
        "",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        ",@x",
        "alice+x@example.com",
    ];
    text(usual, odd).prop_map(Email)
}

pub fn title() -> impl Strategy<Value = TitleOrId> {
    let usual = &[
        "db password",
        "db password",
        "db password",
        "i-db",
        "i-db",
        "twin",
        "unknown",
    ];
    text(usual, &["", "*", "[", "\\", "🗝"]).prop_map(TitleOrId)
}

pub fn vault_name() -> impl Strategy<Value = TitleOrId> {
    rarely(
        Just("Infra".to_owned()),
        text(&["HR", "v-infra"], &["", "*"]),
    )
    .prop_map(TitleOrId)
}

pub fn meta(
    namespace: &'static str,
    names: &'static [&'static str],
    uid: &str,
) -> BoxedStrategy<ObjectMeta> {
    let uid = uid.to_owned();
    let uids = prop_oneof![
        Just(None),
        Just(Some(String::new())),
        Just(Some("another".to_owned()))
    ];
    (
        rarely(Just(Some(namespace.to_owned())), Just(None)),
        rarely(select(names).prop_map(|n| Some(n.to_owned())), Just(None)),
        rarely(Just(Some(uid)), uids),
        rarely(Just(Some(1)), select(vec![None, Some(-1), Some(i64::MAX)])),
        rarely(Just(Some(at(0))), option::of(time())),
        rarely(Just(None), option::of(time())),
    )
        .prop_map(
            |(namespace, name, uid, generation, created, deleted)| ObjectMeta {
                namespace,
                name,
                uid,
                generation,
                creation_timestamp: created.map(Time),
                deletion_timestamp: deleted.map(Time),
                ..ObjectMeta::default()
            },
        )
        .boxed()
}

pub fn identity() -> impl Strategy<Value = Identity> {
    let names = || text(&["alice"], &["", "bob", "system:serviceaccount:team-a:ci"]);
    let groups = text(&["engineering"], &["", "system:authenticated"]);
    let email = rarely(any_email().prop_map(Some), Just(None));
    (names(), vec(groups.prop_map(PrincipalName), 1..3), email).prop_map(
        |(username, groups, email)| Identity {
            username,
            groups,
            email,
        },
    )
}

pub fn lifetime() -> impl Strategy<Value = LinkLifetime> {
    select(vec![
        LinkLifetime::OneHour,
        LinkLifetime::OneHour,
        LinkLifetime::OneDay,
        LinkLifetime::SevenDays,
        LinkLifetime::FourteenDays,
        LinkLifetime::ThirtyDays,
    ])
}

pub fn renewal() -> impl Strategy<Value = Renewal> {
    select(vec![Renewal::OnRequest, Renewal::OnRequest, Renewal::Never])
}
