//! The requests to a proxy, and the error for each failure.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use rstest::rstest;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const AUTHORITY: &str = include_str!("../../../tests/fixtures/private-ca/ca.pem");
const SERVER: &str = include_str!("../../../tests/fixtures/private-ca/server.pem");
const SERVER_KEY: &str = include_str!("../../../tests/fixtures/private-ca/server-key.pem");

/// Long enough for any machine; only what never answers takes this long.
const SOON: Duration = Duration::from_secs(2);

fn connector(proxy: &str, credentials: Option<HeaderValue>) -> Connector {
    let proxies = match proxy {
        "" => Proxies::default(),
        proxy => Proxies::one("--proxy", proxy, &[]),
    };
    let tls = trust::config(Vec::new()).expect("the machine's trust");
    Connector::new(tls, Arc::new(proxies), credentials, SOON)
}

async fn connect(connector: &Connector, to: &str) -> Result<Box<dyn Wire>, Unconnected> {
    let connected = connector.clone().call(to.parse().expect("a URL")).await;
    connected.map(TokioIo::into_inner)
}

async fn failure(connector: &Connector, to: &str) -> (Unreached, String) {
    let error = connect(connector, to).await.err().expect("no connection");
    (error.why, error.to_string())
}

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

/// A proxy that gives one answer, and then returns what comes. The thread returns the request.
fn proxy(answer: &'static str) -> (String, JoinHandle<String>) {
    let (listener, address) = listen();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let request = head(&mut stream);
        stream.write_all(answer.as_bytes()).expect("written");
        if answer.contains(" 200 ") {
            let mut echo = stream.try_clone().expect("another handle");
            std::io::copy(&mut stream, &mut echo).ok();
        }
        request
    });
    (address, asked)
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read") > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("text")
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_sees_nothing_else() {
    let (address, asked) = proxy("HTTP/1.1 200 Connection established\r\n\r\n");
    let connector = connector(&format!("http://{address}"), None);
    // A plain destination, so that the test sees what goes through the tunnel.
    let mut wire = connect(&connector, "http://op.example.com/secret")
        .await
        .expect("a tunnel");
    wire.write_all(b"hello").await.expect("sent");
    let mut back = [0; 5];
    wire.read_exact(&mut back).await.expect("back");
    assert_eq!(&back, b"hello");
    drop(wire);
    let request = asked.join().expect("a proxy");
    assert_eq!(
        request.to_lowercase(),
        "connect op.example.com:80 http/1.1\r\nhost: op.example.com:80\r\n\r\n"
    );
}

#[rstest]
#[case::missing("http://", None, None)]
#[case::in_the_url("http://us%40er:p%3Ass@", None, Some("us@er:p:ss"))]
#[case::in_files("http://", Some(("user", "pass")), Some("user:pass"))]
#[case::the_url_comes_first("http://a:b@", Some(("user", "pass")), Some("a:b"))]
#[tokio::test]
async fn a_proxy_is_told_the_user_and_the_password_and_nobody_else(
    #[case] url: &str,
    #[case] files: Option<(&str, &str)>,
    #[case] told: Option<&str>,
) {
    let (address, asked) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let files = files.and_then(|(user, password)| basic(user, password));
    let connector = connector(&format!("{url}{address}"), files);
    let (why, says) = failure(&connector, "https://op.example.com").await;
    let given = told.is_some();
    assert_eq!(why, Unreached::ProxyCredentials { given });
    assert_eq!(says, format!("to op.example.com:443, via proxy {address}"));
    let request = asked.join().expect("a proxy");
    let header = request
        .lines()
        .find_map(|line| line.strip_prefix("proxy-authorization: Basic "));
    let decoded = header.map(|text| BASE64_STANDARD.decode(text).expect("base64"));
    assert_eq!(decoded.as_deref(), told.map(str::as_bytes));
    assert!(!format!("{:?}", connector.credentials).contains("Basic"));
}

#[rstest]
#[case::forbidden("HTTP/1.1 403 Forbidden\r\n\r\n", Unreached::ProxyForbids)]
#[case::bad_gateway(
    "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno",
    Unreached::ProxyFails(502)
)]
#[case::a_redirect(
    "HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n",
    Unreached::ProxyFails(302)
)]
#[case::no_http("SSH-2.0-OpenSSH\r\n\r\n", Unreached::Proxy(Hindrance::Other))]
#[case::nothing("", Unreached::Proxy(Hindrance::Other))]
#[tokio::test]
async fn an_answer_that_is_no_tunnel_is_told(#[case] answer: &'static str, #[case] why: Unreached) {
    let (address, _) = proxy(answer);
    let connector = connector(&address, None);
    let (told, says) = failure(&connector, "https://op.example.com").await;
    assert_eq!(told, why, "{says}");
    assert!(says.ends_with(&format!(", via proxy {address}")), "{says}");
}

#[rstest]
#[case::no_such_name("http://user:s3cret@no-such-proxy.invalid:3128", Hindrance::Name)]
#[case::nobody_listens("http://user:s3cret@127.0.0.1:9", Hindrance::Refused)]
#[tokio::test]
async fn a_proxy_that_is_out_of_reach_is_named_by_host_and_port(
    #[case] proxy: &str,
    #[case] by: Hindrance,
) {
    let (why, says) = failure(&connector(proxy, None), "https://op.example.com").await;
    assert_eq!(why, Unreached::Proxy(by), "{says}");
    let (_, named) = proxy.split_once('@').expect("a user");
    assert!(says.ends_with(&format!(", via proxy {named}")), "{says}");
    assert!(!says.contains("user") && !says.contains("s3cret"), "{says}");
}

#[tokio::test]
async fn a_proxy_that_finds_nobody_in_time_is_not_to_blame() {
    let (_silent, address) = listen();
    let (why, says) = failure(&connector(&address, None), "https://op.example.com").await;
    assert_eq!(why, Unreached::Host(Hindrance::TimedOut));
    assert_eq!(says, format!("no answer within 2 s, via proxy {address}"));
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_told_by_its_setting() {
    let connector = connector("socks5://user:s3cret@proxy:1080", None);
    let (why, says) = failure(&connector, "https://op.example.com").await;
    assert_eq!(why, Unreached::ProxyUnusable);
    assert!(
        says.contains("--proxy") && !says.contains("s3cret"),
        "{says}"
    );
}

#[rstest]
#[case::no_such_name("https://no-such-host.invalid", Hindrance::Name)]
#[case::nobody_listens("http://127.0.0.1:9", Hindrance::Refused)]
#[tokio::test]
async fn without_a_proxy_none_is_named(#[case] to: &str, #[case] by: Hindrance) {
    let (why, says) = failure(&connector("", None), to).await;
    assert_eq!(why, Unreached::Host(by), "{says}");
    assert!(!says.contains("proxy"), "{says}");
}

/// A server whose certificate a private authority has signed. It ends after one handshake.
fn private_server() -> String {
    let certificate = CertificateDer::from_pem_slice(SERVER.as_bytes()).expect("one");
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).expect("its key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a server");
    let (listener, address) = listen();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut server = rustls::ServerConnection::new(Arc::new(config)).expect("a server");
        // The connection ends with the alert with which the client refuses the certificate.
        while server.is_handshaking() && server.complete_io(&mut stream).is_ok() {}
    });
    address
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_told_with_its_issuer() {
    let server = private_server();
    let to = format!("https://{}", server.replace("127.0.0.1", "localhost"));
    let (why, says) = failure(&connector("", None), &to).await;
    assert_eq!(why, Unreached::Host(Hindrance::UnknownAuthority), "{says}");
    assert_eq!(
        says,
        "invalid peer certificate: UnknownIssuer; the certificate of localhost is issued by \
         CN=Corp Inspection CA"
    );
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_valid_whoever_signed_it() {
    let server = private_server();
    let authority = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).expect("one");
    let tls = trust::config(vec![authority]).expect("trust");
    let connector = Connector::new(tls, Arc::default(), None, SOON);
    let (why, says) = failure(&connector, &format!("https://{server}")).await;
    assert_eq!(
        why,
        Unreached::Host(Hindrance::InvalidCertificate),
        "{says}"
    );
    assert!(says.contains("the certificate of 127.0.0.1"), "{says}");
}

#[tokio::test]
async fn an_authority_of_the_bundle_is_trusted() {
    let server = private_server();
    let authority = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).expect("one");
    let tls = trust::config(vec![authority]).expect("trust");
    let connector = Connector::new(tls, Arc::default(), None, SOON);
    let to = format!("https://{}", server.replace("127.0.0.1", "localhost"));
    assert!(connect(&connector, &to).await.is_ok());
}
