//! What a host's name resolves to, and where the connection goes.

use std::net::{IpAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use rstest::rstest;

use super::*;
use crate::network::proxy::Proxies;
use crate::network::trust;

const SOON: Duration = Duration::from_secs(2);

fn guarded(proxy: &str, hosts: &[&str], networks: &[&str]) -> GuardedConnector {
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let allowed = AllowedHosts::parse(&owned(hosts), &owned(networks)).expect("rules");
    let proxies = match proxy {
        "" => Proxies::default(),
        proxy => Proxies::one("--proxy", proxy, &[]),
    };
    let tls = trust::config(Vec::new()).expect("the machine's trust");
    let connector = Connector::new(tls, Arc::new(proxies), None, SOON);
    GuardedConnector::new(connector, Arc::new(allowed), SOON)
}

/// Resolves every name to the next of these answers, and to the last one from then on. The number
/// counts the questions.
fn resolving(
    mut guarded: GuardedConnector,
    answers: Vec<Vec<IpAddr>>,
) -> (GuardedConnector, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    guarded.resolve = Arc::new(move |_, port| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let answer = &answers[number.min(answers.len() - 1)];
        let found = answer.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Box::pin(async { Ok(found) })
    });
    (guarded, asked)
}

fn addresses(of: &[&str]) -> Vec<IpAddr> {
    of.iter()
        .map(|ip| ip.parse().expect("an address"))
        .collect()
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

async fn outcome(guarded: &GuardedConnector, to: &str) -> String {
    match guarded.connect(&to.parse().expect("a URL")).await {
        Ok(_) => "connected".to_owned(),
        Err(NoConnection::NotAllowed(_)) => "not allowed".to_owned(),
        Err(NoConnection::Unconnected(error)) => format!("{:?}", error.why),
    }
}

/// Each way to write the loopback's or the metadata service's address. The first URL of a case is
/// refused, and reached if the network is allowed.
#[rstest]
#[case::address("127.0.0.1")]
#[case::name("localhost")]
#[case::decimal("2130706433")]
#[case::hexadecimal("0x7f000001")]
#[case::octal("0177.0.0.1")]
#[case::short("127.1")]
#[case::mapped("[::ffff:127.0.0.1]")]
#[case::mapped_in_hex("[::ffff:7f00:1]")]
#[tokio::test]
async fn the_loopback_is_refused_in_every_notation_and_reached_if_it_is_allowed(
    #[case] host: &str,
) {
    let (_listener, port) = listen();
    let to = format!("smtp://{host}:{port}");
    assert_eq!(outcome(&guarded("", &[], &[]), &to).await, "not allowed");
    let allowed = guarded("", &[], &["127.0.0.0/8", "::1/128"]);
    assert_eq!(outcome(&allowed, &to).await, "connected");
}

#[tokio::test]
async fn a_host_that_the_list_names_is_reached_wherever_it_is() {
    let (_listener, port) = listen();
    let to = format!("smtp://relay.corp:{port}");
    let answers = vec![addresses(&["127.0.0.1"])];
    let (stranger, _) = resolving(guarded("", &["other.corp"], &[]), answers.clone());
    assert_eq!(outcome(&stranger, &to).await, "not allowed");
    let (named, _) = resolving(guarded("", &["relay.corp"], &[]), answers);
    assert_eq!(outcome(&named, &to).await, "connected");
}

#[tokio::test]
async fn an_answer_that_changes_after_the_check_changes_nothing() {
    let (listener, port) = listen();
    listener.set_nonblocking(true).expect("set");
    let to = format!("smtp://rebinding.test:{port}");
    // Allowed at first, and the loopback's from the second question on.
    let answers = vec![addresses(&["127.0.0.2"]), addresses(&["127.0.0.1"])];
    let (guarded, asked) = resolving(guarded("", &[], &["127.0.0.2/32"]), answers);
    assert_eq!(outcome(&guarded, &to).await, "Host(Refused)");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let visit = listener.accept().expect_err("nobody came");
    assert_eq!(visit.kind(), io::ErrorKind::WouldBlock);
    // The next connection asks again, and its answer is refused.
    assert_eq!(outcome(&guarded, &to).await, "not allowed");
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_used() {
    let (_listener, port) = listen();
    let to = format!("smtp://several.test:{port}");
    let answers = vec![addresses(&["10.0.0.1", "169.254.169.254", "127.0.0.1"])];
    let (one, _) = resolving(guarded("", &[], &["127.0.0.1/32"]), answers.clone());
    assert_eq!(outcome(&one, &to).await, "connected");
    let (none, _) = resolving(guarded("", &[], &["192.168.0.0/16"]), answers);
    let refusal = none.connect(&to.parse().expect("a URL")).await;
    let refusal = refusal.err().expect("refused").to_string();
    assert!(
        refusal.contains("several.test leads to a private address"),
        "{refusal}"
    );
    assert!(!refusal.contains("10.0.0.1"), "{refusal}");
    assert!(refusal.contains("notifications.allow.hosts"), "{refusal}");
}

#[tokio::test]
async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
    let (_listener, port) = listen();
    let to = format!("smtp://several.test:{port}");
    let answers = vec![addresses(&["127.0.0.2", "127.0.0.1"])];
    let (guarded, _) = resolving(guarded("", &[], &["127.0.0.0/8"]), answers);
    assert_eq!(outcome(&guarded, &to).await, "connected");
}

#[rstest]
#[case::any_host(&[], "not allowed")]
#[case::another_host(&["example.org"], "not allowed")]
#[case::only_its_network(&[], "not allowed")]
#[case::the_host(&["hooks.example.com"], "Proxy(Refused)")]
#[tokio::test]
async fn a_proxy_is_asked_only_for_hosts_that_the_list_names(
    #[case] hosts: &[&str],
    #[case] outcome_of: &str,
) {
    let guarded = guarded("http://127.0.0.1:9", hosts, &["0.0.0.0/0"]);
    let found = outcome(&guarded, "https://hooks.example.com").await;
    assert_eq!(found, outcome_of);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told() {
    let found = outcome(&guarded("", &[], &[]), "https://no-such-host.invalid").await;
    assert_eq!(found, "Host(Name)");
}
