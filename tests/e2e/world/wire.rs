//! The wire between the operator and the API server, on which answers get lost and news are late.

mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use keyloan::cluster::KubeAccess;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::trouble::Troubles;
use super::World;
use super::waits::{A_MOMENT, patiently};

pub use self::trouble::Trouble;

/// The wire. Clones are the same one.
#[derive(Clone)]
pub struct Wire {
    operator: Client,
    /// Somebody else who may change whatever the operator changes.
    somebody: Client,
    /// So many creations of records are still to be carried out and not answered.
    lost: Arc<AtomicU32>,
    /// The kinds, in the plural, whose watches tell nothing.
    withheld: Arc<watch::Sender<Vec<&'static str>>>,
    /// Whether single Secrets are read in vain.
    hides_secrets: Arc<AtomicBool>,
    /// Whether single Secrets come as what is no JSON.
    garbles_secrets: Arc<AtomicBool>,
    troubles: Troubles,
}

impl World {
    /// Has the operator that is started next reach the API server by a wire.
    pub async fn wire(&mut self) -> Wire {
        let operator = keyloan::cluster::connect(&self.settings.kube)
            .await
            .expect("a client");
        let wire = Wire {
            operator,
            somebody: self.as_namespace_controller().await,
            lost: Arc::default(),
            withheld: Arc::default(),
            hides_secrets: Arc::default(),
            garbles_secrets: Arc::default(),
            troubles: Troubles::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("one");
        let service = axum::Router::new()
            .fallback(pass_on)
            .with_state(wire.clone());
        tokio::spawn(async move { axum::serve(listener, service).await });
        let KubeAccess::Kubeconfig(direct) = &self.settings.kube else {
            panic!("a file")
        };
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "wire",
            "contexts": [{ "name": "wire", "context": { "cluster": "wire", "user": "wire" } }],
            "clusters": [{ "name": "wire", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "wire", "user": {} }],
        });
        let path = direct.with_extension("wire");
        std::fs::write(&path, kubeconfig.to_string()).expect("written");
        self.settings.kube = KubeAccess::Kubeconfig(path);
        wire
    }
}

impl Wire {
    /// Loses the answer to the next creation of a record, which is carried out.
    pub fn lose_an_answer(&self) {
        self.lost.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether all answers were lost that were to be.
    pub fn has_lost_all(&self) -> bool {
        self.lost.load(Ordering::SeqCst) == 0
    }

    /// Has the watch of a kind, such as `accessrecords`, tell nothing of what comes.
    pub fn withhold(&self, kind: &'static str) {
        self.withheld.send_modify(|withheld| withheld.push(kind));
    }

    /// Has all watches tell what they have withheld, and what comes.
    pub fn tell_all(&self) {
        self.withheld.send_replace(Vec::new());
    }

    /// The news of a watch, as late as they are told.
    fn told(&self, kind: String, news: Body) -> Body {
        let withheld = self.withheld.subscribe();
        let troubles = self.troubles.clone();
        let told = news.into_data_stream().then(move |news| {
            let (mut withheld, kind) = (withheld.clone(), kind.clone());
            let troubles = troubles.clone();
            async move {
                let is_told = |withheld: &Vec<&str>| !withheld.contains(&kind.as_str());
                withheld.wait_for(is_told).await.ok();
                troubles.heard().await;
                news
            }
        });
        self.troubles.until_cut(Body::from_stream(told))
    }

    /// Has each Secret that is read by its name be read in vain, as where the key is away that they are encrypted with.
    pub fn hide_secrets(&self) {
        self.hides_secrets.store(true, Ordering::SeqCst);
    }

    /// Has each Secret that is read by its name come with all that is in it, and with more, so that nobody can read it.
    pub fn garble_secrets(&self) {
        self.garbles_secrets.store(true, Ordering::SeqCst);
    }

    /// Has each call meet with this trouble from now on; or with none.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        self.troubles.begin(trouble);
    }

    /// How many different calls have met with the trouble that there is.
    pub fn in_trouble(&self) -> usize {
        self.troubles.met()
    }

    /// Ends all watches that there are.
    pub fn cut_watches(&self) {
        self.troubles.cut_watches();
    }

    /// Has nothing be answered, or be told by a watch, until it is to be again.
    pub fn be_silent(&self, silent: bool) {
        self.troubles.be_silent(silent);
    }

    /// Waits until calls of this method were put into the silence so often, of objects of this kind.
    pub async fn until_unheard(&self, method: Method, kind: &str, times: u32) {
        let unheard = async {
            while self.troubles.unheard(&method, kind) < times {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        patiently("a call that is not answered", unheard).await;
    }

    /// Changes what this call is about, as somebody else does.
    async fn change_first(&self, path: &str) {
        let object = path.trim_end_matches("/status");
        let change = json!({ "metadata": { "annotations": {
            "example.com/changed": self.troubles.met().to_string(),
        } } });
        let request = http::Request::patch(object)
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .body(change.to_string().into_bytes())
            .expect("a request");
        let changed = self.somebody.request::<Value>(request).await;
        changed.expect("changed by somebody else");
    }

    fn hides(&self, request: &Request) -> bool {
        reads_a_secret(request) && self.hides_secrets.load(Ordering::SeqCst)
    }

    fn garbles(&self, request: &Request) -> bool {
        reads_a_secret(request) && self.garbles_secrets.load(Ordering::SeqCst)
    }

    fn loses(&self, request: &Request) -> bool {
        let creates = request.method() == Method::POST;
        creates
            && request.uri().path().ends_with("/accessrecords")
            && self
                .lost
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok()
    }
}

fn reads_a_secret(request: &Request) -> bool {
    request.method() == Method::GET && request.uri().path().contains("/secrets/")
}

/// The kind that is watched.
fn followed(request: &Request) -> Option<String> {
    let is_watch = request.uri().query()?.contains("watch=true");
    let (_, kind) = request.uri().path().rsplit_once('/')?;
    is_watch.then(|| kind.to_owned())
}

async fn pass_on(State(wire): State<Wire>, request: Request) -> Response {
    wire.troubles.count_unheard(&request);
    wire.troubles.heard().await;
    if wire.hides(&request) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let is_garbled = wire.garbles(&request);
    let is_lost = wire.loses(&request);
    let followed = followed(&request);
    let trouble = match followed {
        None => wire.troubles.of(&request),
        Some(_) => None,
    };
    match trouble {
        Some(trouble @ (Trouble::TooManyRequests | Trouble::InternalError)) => {
            return trouble::refusal(trouble);
        }
        Some(Trouble::Slow(by)) => tokio::time::sleep(by).await,
        Some(Trouble::Conflict) => {
            let path = request.uri().path().to_owned();
            wire.change_first(&path).await;
        }
        Some(Trouble::NoAnswer) | None => {}
    }
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("read");
    parts.headers.remove(header::HOST);
    let request = http::Request::from_parts(parts, kube::client::Body::from(body));
    let Ok(answer) = wire.operator.send(request).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if is_lost {
        assert!(answer.status().is_success(), "it was to be carried out");
    }
    if is_lost || trouble == Some(Trouble::NoAnswer) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    wire.troubles.heard().await;
    let answer = answer.map(Body::new);
    if is_garbled && answer.status().is_success() {
        let whole = to_bytes(answer.into_body(), usize::MAX)
            .await
            .expect("read");
        return [&whole[..], &b"}"[..]].concat().into_response();
    }
    match followed {
        None => answer,
        Some(kind) => answer.map(|news| wire.told(kind, news)),
    }
}
