//! Sessions: the progress of their sign-in, their keys, and the check of the MAC on every request.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use jiff::{SignedDuration, Timestamp};

use crate::crypto::{MacKey, SymmetricKey};
use crate::encoding::{random, uuid};
use crate::refusal::Refusal;
use crate::srp::Handshake;

/// The header that names the session.
pub const SESSION_HEADER: &str = "x-agilebits-session-id";
/// The header that authenticates the request.
const MAC_HEADER: &str = "x-agilebits-mac";

/// The caller of a verified request.
#[derive(Clone)]
pub struct Caller {
    /// The session's id.
    pub session: String,
    /// The service account's name.
    pub account: String,
    /// Encrypts bodies.
    pub key: SymmetricKey,
}

/// The owner of a session, and the credential that opened it.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    /// The service account's name.
    pub account: String,
    /// The account-key id of its credential.
    pub account_key_uuid: String,
}

/// The progress of a sign-in. Each step is taken once, in order.
enum Stage {
    Started,
    Challenged(Box<Handshake>),
    Proven(Keys),
    Complete(Keys),
}

struct Keys {
    body: SymmetricKey,
    mac: MacKey,
    counter: Option<u64>,
}

struct Session {
    owner: Owner,
    stage: Stage,
    last_used: Timestamp,
}

/// All sessions.
pub struct Sessions {
    by_id: HashMap<String, Session>,
    idle_limit: Duration,
}

impl Sessions {
    /// Sessions that end after this long without use.
    pub fn new(idle_limit: Duration) -> Self {
        Self {
            by_id: HashMap::new(),
            idle_limit,
        }
    }

    /// Opens a session: `auth/start`.
    pub fn start(&mut self, owner: Owner, now: Timestamp) -> String {
        let idle_limit = self.idle_limit;
        self.by_id
            .retain(|_, session| !session.is_over(now, idle_limit));
        let id = uuid(random());
        let session = Session {
            owner,
            stage: Stage::Started,
            last_used: now,
        };
        self.by_id.insert(id.clone(), session);
        id
    }

    /// The owner of a session that awaits the client's public value.
    pub fn started(&mut self, headers: &HeaderMap, now: Timestamp) -> Result<Owner, Refusal> {
        match self.find(headers, now)? {
            (
                _,
                Session {
                    owner,
                    stage: Stage::Started,
                    ..
                },
            ) => Ok(owner.clone()),
            _ => Err(Refusal::bad_request(
                "the session does not await a public value",
            )),
        }
    }

    /// Stores the result of the exchange: `auth`.
    pub fn challenged(
        &mut self,
        headers: &HeaderMap,
        handshake: Handshake,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (_, session) = self.find(headers, now)?;
        session.stage = Stage::Challenged(Box::new(handshake));
        Ok(())
    }

    /// Compares the client's proof with ours: `auth/confirm-key`. A wrong one ends the session.
    pub fn prove(
        &mut self,
        headers: &HeaderMap,
        proof: &[u8],
        now: Timestamp,
    ) -> Result<[u8; 32], Refusal> {
        let (id, session) = self.find(headers, now)?;
        let Stage::Challenged(handshake) = &session.stage else {
            return Err(Refusal::bad_request("the session does not await a proof"));
        };
        if aws_lc_rs::constant_time::verify_slices_are_equal(proof, &handshake.client_proof)
            .is_err()
        {
            self.by_id.remove(&id);
            return Err(Refusal::unauthorized("the proof of the password is wrong"));
        }
        let server_proof = handshake.server_proof;
        let keys = Keys {
            body: SymmetricKey::new(&*id, handshake.session_key),
            mac: MacKey::derive(&handshake.session_key),
            counter: None,
        };
        session.stage = Stage::Proven(keys);
        Ok(server_proof)
    }

    /// Completes the sign-in: `auth/complete`, which was verified like any later request.
    pub fn complete(&mut self, id: &str) {
        if let Some(session) = self.by_id.get_mut(id) {
            let stage = std::mem::replace(&mut session.stage, Stage::Started);
            session.stage = match stage {
                Stage::Proven(keys) => Stage::Complete(keys),
                other => other,
            };
        }
    }

    /// Verifies a request: an existing session, its MAC, and a counter that was never used.
    pub fn verify(&mut self, request: &Parts, now: Timestamp) -> Result<(Caller, Owner), Refusal> {
        let (id, session) = self.find(&request.headers, now)?;
        let completing = request.uri.path() == "/api/v2/auth/complete";
        let keys = match &mut session.stage {
            Stage::Proven(keys) if completing => keys,
            Stage::Complete(keys) if !completing => keys,
            _ => {
                return Err(Refusal::unauthorized(
                    "the session is not in this stage of its sign-in",
                ));
            }
        };
        let given = text(&request.headers, MAC_HEADER)
            .ok_or_else(|| Refusal::unauthorized("there is no MAC"))?;
        let mut parts = given.split('|');
        let (Some("v1"), Some(counter), Some(tag), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::unauthorized("the MAC is not `v1|n|tag`"));
        };
        let counter: u64 = counter
            .parse()
            .map_err(|_| Refusal::unauthorized("the MAC's counter is no number"))?;
        let message = message(
            &id,
            request.method.as_str(),
            &request.headers,
            &request.uri,
            counter,
        );
        if aws_lc_rs::constant_time::verify_slices_are_equal(
            tag.as_bytes(),
            keys.mac.tag(&message).as_bytes(),
        )
        .is_err()
        {
            return Err(Refusal::unauthorized("the MAC is wrong"));
        }
        if keys.counter.is_some_and(|last| counter <= last) {
            return Err(Refusal::unauthorized("the MAC's counter was used before"));
        }
        keys.counter = Some(counter);
        let caller = Caller {
            session: id,
            account: session.owner.account.clone(),
            key: keys.body.clone(),
        };
        let owner = session.owner.clone();
        session.last_used = now;
        Ok((caller, owner))
    }

    /// Ends the session that a request names.
    pub fn end(&mut self, headers: &HeaderMap) {
        if let Some(id) = text(headers, SESSION_HEADER) {
            self.by_id.remove(&id.to_ascii_lowercase());
        }
    }

    fn find(
        &mut self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<(String, &mut Session), Refusal> {
        let id = text(headers, SESSION_HEADER)
            .ok_or_else(|| Refusal::unauthorized("no session is named"))?
            .to_ascii_lowercase();
        let idle_limit = self.idle_limit;
        match self.by_id.get_mut(&id) {
            Some(session) if !session.is_over(now, idle_limit) => Ok((id, session)),
            _ => Err(Refusal::unauthorized(
                "the session is unknown or has expired",
            )),
        }
    }
}

impl Session {
    fn is_over(&self, now: Timestamp, idle_limit: Duration) -> bool {
        SignedDuration::try_from(idle_limit)
            .is_ok_and(|limit| now.duration_since(self.last_used) > limit)
    }
}

/// The message that the MAC authenticates.
fn message(session: &str, method: &str, headers: &HeaderMap, uri: &Uri, counter: u64) -> String {
    let host = text(headers, header::HOST.as_str()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    format!("{session}|{method}|{host}{path}?{query}|v1|{counter}")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
