//! What fuzzing reaches of the core's host: everything that a core can do to it, without a core. In
//! no program.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;
use wasmtime::{Result, StoreLimits};
use zeroize::Zeroizing;

use super::abi::Host;
use super::egress::{self, Egress, Journal};
use super::heap::Heap;
use super::options::CoreOptions;
use crate::network::{Clients, HttpClient};
use crate::onepassword::{Exchange, Origin};

/// The host as a core sees it, whose requests are all too late and thus never sent.
pub struct Guest {
    host: Host,
    journal: Journal,
}

/// The client that all hosts share.
pub struct Network(HttpClient);

impl Network {
    /// Reads this machine's trust.
    pub fn new() -> Option<Self> {
        let CoreOptions {
            network,
            connect_timeout,
            ..
        } = CoreOptions::default();
        let clients = Clients::new(&network, connect_timeout).ok()?;
        Some(Self(clients.renewed()))
    }
}

impl Guest {
    /// A host with this much memory for its core, which was given this input.
    pub fn new(network: &Network, origin: Origin, memory: usize, input: &[u8]) -> Self {
        let options = CoreOptions::default();
        let clock = Arc::new(|| Timestamp::MAX);
        let mut egress = Egress::new(network.0.clone(), origin, &options, clock.clone());
        let journal = Journal::until(Timestamp::MIN);
        egress.journal = journal.clone();
        let mut host = Host::new(Heap::new(memory), egress, StoreLimits::default(), clock);
        host.reset(Zeroizing::new(input.to_vec()));
        Self { host, journal }
    }

    /// `alloc`
    pub fn alloc(&mut self, length: i64) -> Result<i64> {
        Ok(self.host.heap.alloc(length as u64)? as i64)
    }

    /// `free`
    pub fn free(&mut self, offset: i64) {
        self.host.heap.free(offset as u64);
    }

    /// `length`
    pub fn length(&self, offset: i64) -> i64 {
        self.host.heap.length(offset as u64) as i64
    }

    /// `load_u64`
    pub fn load(&self, offset: i64) -> Result<[u8; 8]> {
        Ok(self.host.heap.load(offset as u64)?)
    }

    /// `load_u8`
    pub fn load_byte(&self, offset: i64) -> Result<u8> {
        let [byte] = self.host.heap.load(offset as u64)?;
        Ok(byte)
    }

    /// `store_u8`
    pub fn store(&mut self, offset: i64, byte: u8) -> Result<()> {
        Ok(self.host.heap.store(offset as u64, [byte])?)
    }

    /// `input_load_u64`
    pub fn input(&self, offset: i64) -> Result<[u8; 8]> {
        self.host.input(offset)
    }

    /// `random_fill_imported`
    pub fn random(&mut self, length: i32) -> Result<i64> {
        self.host.random(length)
    }

    /// `http_request`
    pub fn request(&mut self, request: i64, body: i64) -> Result<i64> {
        let mut sent = pin!(self.host.http_request(request, body));
        match sent.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("a request was sent"),
        }
    }

    /// `http_headers`
    pub fn headers(&self) -> i64 {
        self.host.headers as i64
    }

    /// The exchanges so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.journal.exchanges()
    }

    /// `output_set`, and what the host takes then.
    pub fn output(&mut self, offset: i64, length: i64) -> Result<Vec<u8>> {
        self.host.output = (offset as u64, length as u64);
        Ok(self.host.take_output()?.to_vec())
    }

    /// `error_set`, and what the host takes then.
    pub fn complaint(&mut self, offset: i64) -> Vec<u8> {
        self.host.error = offset as u64;
        self.host.error_text().to_vec()
    }

    /// The next call begins.
    pub fn reset(&mut self) {
        self.host.reset(Zeroizing::default());
    }
}

/// What the service asks by these headers of an answer: how many seconds to wait.
pub fn wait(retry_after: &[u8], date: &[u8]) -> Option<u64> {
    let mut headers = http::header::HeaderMap::new();
    for (name, value) in [("retry-after", retry_after), ("date", date)] {
        if let Ok(value) = http::header::HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let date = egress::date_of(&headers);
    egress::retry_after(&headers, date).map(|wait| wait.as_secs())
}
