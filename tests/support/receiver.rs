//! A receiver of webhooks: HTTPS with a certificate of a private authority, and answers as a test wants them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::private_server::acceptor;

/// What a request is answered.
#[derive(Clone, Debug)]
pub enum Answer {
    /// This status, with these headers and this body. `{path}` and `{body}` in it stand for those of the request.
    With(u16, Vec<(&'static str, String)>, &'static str),
    /// Nothing, ever.
    Silence,
    /// The connection ends.
    BreakOff,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// A receiver that runs until it is dropped. It answers with 204, unless a test wants something else.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Answer>>,
}

impl Receiver {
    /// Begins to listen on the loopback.
    pub async fn start() -> Self {
        let acceptor = acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let shared = state.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let secured = acceptor.accept(stream).await?;
                    let service = service_fn(move |request| answer(state.clone(), request));
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(secured), service)
                        .await
                        .map_err(io::Error::other)
                });
            }
        });
        Self {
            address,
            state,
            serving,
        }
    }

    /// The URL of a path, by the name that is in the certificate.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Answers the next request like this.
    pub fn answer_next(&self, answer: Answer) {
        locked(&self.state.answers).push_back(answer);
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.state.received).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = parts.uri.to_string();
    locked(&state.received).push(Received {
        path: path.clone(),
        headers: parts.headers,
        body: body.clone(),
    });
    let answer = locked(&state.answers).pop_front();
    match answer.unwrap_or(Answer::With(204, Vec::new(), "")) {
        Answer::With(status, headers, text) => {
            let text = text.replace("{path}", &path).replace("{body}", &body);
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(text.into())).expect("a response"))
        }
        Answer::Silence => match pending::<Infallible>().await {},
        Answer::BreakOff => Err(io::Error::other("as the test wants")),
    }
}
