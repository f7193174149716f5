//! What ails an API server that is overloaded, restarting or far away, as its clients see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::watch;

/// So often each call meets with the trouble before it gets through.
const TIMES: u32 = 1;

/// What is wrong with each call that is no watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is answered so much later.
    Slow(Duration),
    /// It is turned away at first, to be put again after a second.
    TooManyRequests,
    /// Something in the API server fails at first, before anything is done.
    InternalError,
    /// It is carried out, and the answer is lost; the next one comes.
    NoAnswer,
    /// Somebody else has just changed the object that it would change for the first time.
    Conflict,
}

/// The trouble that there is. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Troubles {
    now: Arc<Mutex<Option<Trouble>>>,
    /// How often each call has met with it.
    met: Arc<Mutex<BTreeMap<String, u32>>>,
    /// How often all watches were cut off.
    cuts: Arc<watch::Sender<u32>>,
    /// Whether nothing is answered.
    silent: Arc<watch::Sender<bool>>,
    /// How often each call was put into the silence.
    unheard: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Troubles {
    pub(super) fn begin(&self, trouble: Option<Trouble>) {
        self.met.lock().expect("whole").clear();
        *self.now.lock().expect("whole") = trouble;
    }

    /// How many calls have met with it.
    pub(super) fn met(&self) -> usize {
        self.met.lock().expect("whole").len()
    }

    pub(super) fn cut_watches(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(super) fn be_silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// How often a call of this method was put in vain, of an object of this kind.
    pub(super) fn unheard(&self, method: &Method, kind: &str) -> u32 {
        let unheard = self.unheard.lock().expect("whole");
        let (method, kind) = (format!("{method} "), format!("/{kind}"));
        let of_it = |(call, _): &(&String, &u32)| call.starts_with(&method) && call.contains(&kind);
        unheard.iter().filter(of_it).map(|(_, times)| times).sum()
    }

    /// What this call meets with now.
    pub(super) fn of(&self, request: &Request) -> Option<Trouble> {
        let trouble = (*self.now.lock().expect("whole"))?;
        let changes = request.method() == Method::PATCH;
        if trouble == Trouble::Conflict && !changes {
            return None;
        }
        let mut met = self.met.lock().expect("whole");
        let times = met.entry(call(request)).or_default();
        *times += 1;
        (matches!(trouble, Trouble::Slow(_)) || *times <= TIMES).then_some(trouble)
    }

    /// Counts a call that is put into the silence, if there is one.
    pub(super) fn count_unheard(&self, request: &Request) {
        if *self.silent.borrow() {
            let mut unheard = self.unheard.lock().expect("whole");
            *unheard.entry(call(request)).or_default() += 1;
        }
    }

    /// Waits as long as nothing comes through.
    pub(super) async fn heard(&self) {
        let mut silent = self.silent.subscribe();
        silent.wait_for(|silent| !silent).await.ok();
    }

    /// News of a watch, as long as it is not cut off.
    pub(super) fn until_cut(&self, news: Body) -> Body {
        let mut cuts = self.cuts.subscribe();
        cuts.mark_unchanged();
        let cut = async move { cuts.changed().await.ok() };
        Body::from_stream(news.into_data_stream().take_until(Box::pin(cut)))
    }
}

fn call(request: &Request) -> String {
    format!("{} {}", request.method(), request.uri().path())
}

/// As the API server says it.
pub(super) fn refusal(trouble: Trouble) -> Response {
    let (code, reason) = match trouble {
        Trouble::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "planted",
        "reason": reason, "code": code.as_u16(),
    });
    let mut answer = (code, axum::Json(status)).into_response();
    if trouble == Trouble::TooManyRequests {
        let second = header::HeaderValue::from_static("1");
        answer.headers_mut().insert(header::RETRY_AFTER, second);
    }
    answer
}
