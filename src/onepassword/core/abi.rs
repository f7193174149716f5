//! The interface that the core finds outside: Extism's plug-in interface, the few functions of
//! 1Password's own, and nothing else.
//!
//! Names and signatures are those of the core's imports. Offsets and lengths are 64-bit and point
//! into a [`Heap`] on the host's side; all numbers are little-endian. A call that breaks the rules
//! traps, which ends the sandbox.

use jiff::Timestamp;
use wasmtime::{Caller, Error, Linker, Result, StoreLimits};
use zeroize::Zeroizing;

use super::egress::{Egress, Reply, Request};
use super::heap::Heap;
use super::options::UnixClock;

/// Extism's functions.
const EXTISM: &str = "extism:host/env";

/// The core never needs more at once.
const MAX_RANDOM: i32 = 64 * 1024;

/// The host's side of one sandbox.
pub(super) struct Host {
    pub(super) heap: Heap,
    pub(super) egress: Egress,
    pub(super) limits: StoreLimits,
    /// The number of slices of CPU time that the current call may still use.
    pub(super) slices_left: u32,
    clock: UnixClock,
    input: Zeroizing<Vec<u8>>,
    pub(super) output: (u64, u64),
    pub(super) error: u64,
    status: u16,
    pub(super) headers: u64,
}

impl Host {
    pub(super) fn new(heap: Heap, egress: Egress, limits: StoreLimits, clock: UnixClock) -> Self {
        Self {
            heap,
            egress,
            limits,
            slices_left: 0,
            clock,
            input: Zeroizing::default(),
            output: (0, 0),
            error: 0,
            status: 0,
            headers: 0,
        }
    }

    /// Clears everything that the last call left, and prepares the next one's input.
    pub(super) fn reset(&mut self, input: Zeroizing<Vec<u8>>) {
        self.heap.reset();
        self.input = input;
        self.output = (0, 0);
        self.error = 0;
        self.status = 0;
        self.headers = 0;
    }

    /// The core's output.
    pub(super) fn take_output(&mut self) -> Result<Zeroizing<Vec<u8>>> {
        let (offset, length) = self.output;
        Ok(self.heap.take(offset, length)?)
    }

    /// The core's complaint.
    pub(super) fn error_text(&self) -> &[u8] {
        self.heap.block(self.error)
    }

    pub(super) fn input<const N: usize>(&self, offset: i64) -> Result<[u8; N]> {
        let start = usize::try_from(offset)?;
        let bytes = self
            .input
            .get(start..)
            .and_then(|rest| rest.first_chunk::<N>());
        bytes
            .copied()
            .ok_or_else(|| Error::msg("read beyond the input"))
    }

    pub(super) async fn http_request(&mut self, request: i64, body: i64) -> Result<i64> {
        let request: Request = serde_json::from_slice(self.heap.block(request as u64))
            .map_err(|_| Error::msg("an HTTP request that is not understood"))?;
        let body = self.heap.block(body as u64).to_vec();
        let reply = self.egress.send(request, body).await?;
        self.receive(reply)
    }

    fn receive(&mut self, reply: Reply) -> Result<i64> {
        self.status = reply.status;
        self.headers = self
            .heap
            .put(Zeroizing::new(serde_json::to_vec(&reply.headers)?))?;
        Ok(self.heap.put(reply.body)? as i64)
    }

    pub(super) fn random(&mut self, length: i32) -> Result<i64> {
        if !(1..=MAX_RANDOM).contains(&length) {
            return Err(Error::msg("an odd amount of random bytes"));
        }
        let mut bytes = Zeroizing::new(vec![0; length as usize]);
        getrandom::fill(&mut bytes).map_err(|_| Error::msg("the system gives no random bytes"))?;
        Ok(self.heap.put(bytes)? as i64)
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }
}

/// Defines the core's imports.
pub(super) fn define(linker: &mut Linker<Host>) -> Result<()> {
    input(linker)?;
    memory(linker)?;
    results(linker)?;
    http(linker)?;
    of_1password(linker)
}

fn input(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(EXTISM, "input_length", |caller: Caller<'_, Host>| {
        caller.data().input.len() as i64
    })?;
    linker.func_wrap(
        EXTISM,
        "input_load_u8",
        |caller: Caller<'_, Host>, offset: i64| {
            caller.data().input(offset).map(|[byte]| i32::from(byte))
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "input_load_u64",
        |caller: Caller<'_, Host>, offset: i64| caller.data().input(offset).map(i64::from_le_bytes),
    )?;
    Ok(())
}

fn memory(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        EXTISM,
        "alloc",
        |mut caller: Caller<'_, Host>, length: i64| -> Result<i64> {
            Ok(caller.data_mut().heap.alloc(length as u64)? as i64)
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "free",
        |mut caller: Caller<'_, Host>, offset: i64| {
            caller.data_mut().heap.free(offset as u64);
        },
    )?;
    for name in ["length", "length_unsafe"] {
        linker.func_wrap(EXTISM, name, |caller: Caller<'_, Host>, offset: i64| {
            caller.data().heap.length(offset as u64) as i64
        })?;
    }
    linker.func_wrap(
        EXTISM,
        "load_u8",
        |caller: Caller<'_, Host>, offset: i64| -> Result<i32> {
            Ok(i32::from(u8::from_le_bytes(
                caller.data().heap.load(offset as u64)?,
            )))
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "load_u64",
        |caller: Caller<'_, Host>, offset: i64| -> Result<i64> {
            Ok(i64::from_le_bytes(caller.data().heap.load(offset as u64)?))
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "store_u8",
        |mut caller: Caller<'_, Host>, offset: i64, value: i32| -> Result<()> {
            Ok(caller.data_mut().heap.store(offset as u64, [value as u8])?)
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "store_u64",
        |mut caller: Caller<'_, Host>, offset: i64, value: i64| -> Result<()> {
            Ok(caller
                .data_mut()
                .heap
                .store(offset as u64, value.to_le_bytes())?)
        },
    )?;
    Ok(())
}

fn results(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        EXTISM,
        "output_set",
        |mut caller: Caller<'_, Host>, offset: i64, length: i64| {
            caller.data_mut().output = (offset as u64, length as u64);
        },
    )?;
    linker.func_wrap(
        EXTISM,
        "error_set",
        |mut caller: Caller<'_, Host>, offset: i64| {
            caller.data_mut().error = offset as u64;
        },
    )?;
    Ok(())
}

fn http(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap_async(
        EXTISM,
        "http_request",
        |mut caller: Caller<'_, Host>, (request, body): (i64, i64)| {
            Box::new(async move { caller.data_mut().http_request(request, body).await })
        },
    )?;
    linker.func_wrap(EXTISM, "http_status_code", |caller: Caller<'_, Host>| {
        i32::from(caller.data().status)
    })?;
    linker.func_wrap(EXTISM, "http_headers", |caller: Caller<'_, Host>| {
        caller.data().headers as i64
    })?;
    Ok(())
}

fn of_1password(linker: &mut Linker<Host>) -> Result<()> {
    linker.func_wrap(
        "op-extism-core",
        "random_fill_imported",
        |mut caller: Caller<'_, Host>, length: i32| caller.data_mut().random(length),
    )?;
    for module in ["op-now", "zxcvbn"] {
        linker.func_wrap(
            module,
            "unix_time_milliseconds_imported",
            |caller: Caller<'_, Host>| caller.data().now().as_millisecond(),
        )?;
    }
    // The core shows times to nobody here, so it may assume that the machine is in Greenwich.
    linker.func_wrap("op-time", "utc_offset_seconds", || 0_i64)?;
    Ok(())
}
