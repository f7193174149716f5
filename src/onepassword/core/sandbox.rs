//! A sandbox for one account: one instance of the core with a cap on its memory and on its CPU time.

use wasmtime::{
    Config, Engine, InstancePre, Linker, Module, Store, StoreLimitsBuilder, TypedFunc,
    UpdateDeadline,
};
use zeroize::Zeroizing;

use super::abi;
use super::egress::{Egress, Foreign};
use super::heap::Heap;
use super::options::{CoreOptions, UnixClock};
use super::ticker::SLICE;
use crate::onepassword::Fault;

/// The core has one table of 2,305 functions, which does not grow; a later release may have a
/// larger one.
const MOST_IN_A_TABLE: usize = 16 * 1024;

/// How the core is compiled and run. Compiling and loading must agree on it, so it is defined once.
///
/// Memory is mapped when it is first touched, and its initial content comes straight from the
/// compiled file, so a client costs only what it writes. The reserved address space (wasmtime's 4
/// GiB for each memory) costs nothing but addresses.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // Backtraces of the core's frames are useless here and cost memory.
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);
    config
}

pub(super) fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&engine_config())
}

/// The core with its imports, ready to be instantiated any number of times.
pub(super) fn prepare(module: &Module) -> wasmtime::Result<InstancePre<abi::Host>> {
    let mut linker = Linker::new(module.engine());
    abi::define(&mut linker)?;
    linker.instantiate_pre(module)
}

/// The core's entry points.
#[derive(Debug, Clone, Copy)]
pub(super) enum Export {
    /// Signs in.
    InitClient,
    /// All other calls.
    Invoke,
}

/// The core's reply.
pub(super) enum Reply {
    /// The call's output.
    Output(Zeroizing<Vec<u8>>),
    /// The core's own error: JSON with a name and a message, not to be shown.
    Complaint(Zeroizing<Vec<u8>>),
}

/// One instance of the core. After an error from [`Sandbox::call`] it must not be used again.
pub(super) struct Sandbox {
    store: Store<abi::Host>,
    init_client: TypedFunc<(), i32>,
    invoke: TypedFunc<(), i32>,
    slices: u32,
}

/// The core used more CPU time than one call may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("out of CPU time")]
struct OutOfTime;

impl Sandbox {
    pub(super) async fn start(
        core: &InstancePre<abi::Host>,
        egress: Egress,
        options: &CoreOptions,
        clock: UnixClock,
    ) -> Result<Self, Fault> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(options.max_memory)
            .memories(1)
            .table_elements(MOST_IN_A_TABLE)
            .tables(1)
            .instances(1)
            .trap_on_grow_failure(true)
            .build();
        let host = abi::Host::new(Heap::new(options.max_memory), egress, limits, clock);
        let mut store = Store::new(core.module().engine(), host);
        store.limiter(|host| &mut host.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut store| {
            let host = store.data_mut();
            host.slices_left = host.slices_left.checked_sub(1).ok_or(OutOfTime)?;
            // Other tasks get their turn after each slice.
            Ok(UpdateDeadline::Yield(1))
        });
        let instance = core
            .instantiate_async(&mut store)
            .await
            .map_err(|_| Fault::Sandbox)?;
        let init_client = instance
            .get_typed_func(&mut store, "init_client")
            .map_err(|_| Fault::Sandbox)?;
        let invoke = instance
            .get_typed_func(&mut store, "invoke")
            .map_err(|_| Fault::Sandbox)?;
        let slices =
            u32::try_from(options.cpu_time.as_millis() / SLICE.as_millis()).unwrap_or(u32::MAX);
        Ok(Self {
            store,
            init_client,
            invoke,
            slices,
        })
    }

    /// Gives the next calls, all together, one call's CPU time and a journal of their own.
    pub(super) fn begin(&mut self, journal: super::egress::Journal) {
        let host = self.store.data_mut();
        host.egress.journal = journal;
        host.slices_left = self.slices;
    }

    /// Calls the core. The future may be dropped before it is ready, and the sandbox with it.
    pub(super) async fn call(
        &mut self,
        export: Export,
        input: Zeroizing<Vec<u8>>,
    ) -> Result<Reply, Fault> {
        self.store.data_mut().reset(input);
        let function = match export {
            Export::InitClient => &self.init_client,
            Export::Invoke => &self.invoke,
        };
        let code = function
            .call_async(&mut self.store, ())
            .await
            .map_err(|trap| fault_of(&trap))?;
        let host = self.store.data_mut();
        let reply = match code {
            0 => Reply::Output(host.take_output().map_err(|_| Fault::Output)?),
            _ => Reply::Complaint(Zeroizing::new(host.error_text().to_vec())),
        };
        // Nothing stays on the heap between calls.
        host.reset(Zeroizing::default());
        Ok(reply)
    }
}

fn fault_of(trap: &wasmtime::Error) -> Fault {
    if trap.downcast_ref::<OutOfTime>().is_some() {
        Fault::Cpu
    } else if trap.downcast_ref::<Foreign>().is_some() {
        Fault::ForeignRequest
    } else {
        Fault::Trap
    }
}

#[cfg(test)]
mod tests {
    //! Small cores that misbehave, each in its own way.

    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::network::Clients;
    use crate::onepassword::core::egress::Journal;
    use crate::onepassword::core::ticker::Ticker;
    use crate::onepassword::{NoAnswer, Origin, Outcome};

    const ORIGIN: &str = "http://127.0.0.1:9";

    async fn run(body: &str, options: CoreOptions) -> Result<Reply, Fault> {
        run_with("hello", body, options).await.0
    }

    /// Runs `body` as the sign-in of a core that has a table, too.
    async fn run_with(
        input: &str,
        body: &str,
        options: CoreOptions,
    ) -> (Result<Reply, Fault>, Journal) {
        let module = format!(
            r#"(module
                (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
                (import "extism:host/env" "store_u8" (func $store (param i64 i32)))
                (import "extism:host/env" "load_u8" (func $load (param i64) (result i32)))
                (import "extism:host/env" "input_length" (func $input_length (result i64)))
                (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
                (import "extism:host/env" "output_set" (func $output (param i64 i64)))
                (import "extism:host/env" "http_request" (func $http (param i64 i64) (result i64)))
                (import "extism:host/env" "http_status_code" (func $status (result i32)))
                (memory (export "memory") 1)
                (table 2 funcref)
                (func (export "init_client") (result i32)
                    (local $at i64) (local $to i64) {body})
                (func (export "invoke") (result i32) (i32.const 0)))"#
        );
        let module = wat::parse_str(module).expect("WebAssembly");
        let engine = engine().expect("an engine");
        let ticker = Ticker::start(engine.clone()).expect("a ticker");
        let _running = ticker.run();
        let core = prepare(&Module::new(&engine, module).expect("compiled")).expect("linked");
        let clients = Clients::new(&options.network, options.connect_timeout);
        let client = clients.expect("a way out").renewed();
        let clock: UnixClock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let origin = Origin::parse(ORIGIN).expect("an origin");
        let egress = Egress::new(client, origin, &options, clock.clone());
        let mut sandbox = Sandbox::start(&core, egress, &options, clock)
            .await
            .expect("started");
        let journal = Journal::until(Timestamp::MAX);
        sandbox.begin(journal.clone());
        let input = Zeroizing::new(input.as_bytes().to_vec());
        (sandbox.call(Export::InitClient, input).await, journal)
    }

    /// Copies the input into a block.
    const COPY: &str = "(local.set $to (call $alloc (call $input_length)))
        (loop $next
            (call $store (i64.add (local.get $to) (local.get $at)) (call $input (local.get $at)))
            (local.set $at (i64.add (local.get $at) (i64.const 1)))
            (br_if $next (i64.lt_u (local.get $at) (call $input_length))))";

    async fn fault(body: &str, options: CoreOptions) -> Fault {
        run(body, options).await.err().expect("stopped")
    }

    #[tokio::test]
    async fn input_and_output_pass_through_the_heap() {
        let body = format!("{COPY} (call $output (local.get $to) (i64.const 4)) (i32.const 0)");
        let Ok(Reply::Output(output)) = run(&body, CoreOptions::default()).await else {
            panic!("an output was expected")
        };
        assert_eq!(&*output, b"hell");
    }

    #[tokio::test]
    async fn a_core_that_computes_for_ever_is_stopped_and_lets_others_work_meanwhile() {
        let options = CoreOptions {
            cpu_time: Duration::from_millis(300),
            ..CoreOptions::default()
        };
        let other = tokio::spawn(async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(
            fault("(loop $l (br $l)) (i32.const 0)", options).await,
            Fault::Cpu
        );
        assert!(other.is_finished(), "on the same thread");
    }

    #[tokio::test]
    async fn a_core_that_wants_more_memory_than_its_cap_is_stopped() {
        let options = CoreOptions {
            max_memory: 1 << 20,
            ..CoreOptions::default()
        };
        let grow = |pages: u32| format!("(drop (memory.grow (i32.const {pages}))) (i32.const 0)");
        assert!(run(&grow(15), options.clone()).await.is_ok());
        assert_eq!(fault(&grow(16), options.clone()).await, Fault::Trap);
        let body = "(drop (call $alloc (i64.const 1048577))) (i32.const 0)";
        assert_eq!(fault(body, options).await, Fault::Trap);
    }

    #[tokio::test]
    async fn a_core_that_wants_many_small_blocks_is_stopped_before_they_cost_more_than_its_cap() {
        let options = CoreOptions {
            max_memory: 1 << 20,
            ..CoreOptions::default()
        };
        let many = |count: u32| {
            format!(
                "(loop $next
                    (drop (call $alloc (i64.const 1)))
                    (local.set $at (i64.add (local.get $at) (i64.const 1)))
                    (br_if $next (i64.lt_u (local.get $at) (i64.const {count}))))
                (i32.const 0)"
            )
        };
        assert!(run(&many(1_000), options.clone()).await.is_ok());
        assert_eq!(fault(&many(100_000), options).await, Fault::Trap);
    }

    #[tokio::test]
    async fn a_core_that_wants_a_larger_table_than_its_cap_is_stopped() {
        let grow = |by: usize| {
            format!("(drop (table.grow (ref.null func) (i32.const {by}))) (i32.const 0)")
        };
        let (most, options) = (MOST_IN_A_TABLE - 2, CoreOptions::default());
        assert!(run(&grow(most), options.clone()).await.is_ok());
        assert_eq!(fault(&grow(most + 1), options).await, Fault::Trap);
    }

    #[tokio::test]
    async fn a_core_that_reads_what_is_not_there_is_stopped() {
        for body in [
            "(drop (call $load (i64.const 0)))",
            "(drop (call $input (i64.const 999)))",
        ] {
            assert_eq!(
                fault(&format!("{body} (i32.const 0)"), CoreOptions::default()).await,
                Fault::Trap
            );
        }
    }

    #[tokio::test]
    async fn a_request_to_another_origin_is_never_sent_and_ends_the_sandbox() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let input = format!(
            r#"{{"url":"http://{}/api"}}"#,
            listener.local_addr().expect("bound")
        );
        let body =
            format!("{COPY} (drop (call $http (local.get $to) (i64.const 0))) (i32.const 0)");
        let (reply, journal) = run_with(&input, &body, CoreOptions::default()).await;
        assert_eq!(reply.err(), Some(Fault::ForeignRequest));
        assert!(listener.accept().is_err(), "nobody came");
        assert_eq!(
            journal.exchanges()[0].outcome,
            Outcome::Silent(NoAnswer::Foreign)
        );
        assert!(!journal.exchanges()[0].was_sent());
    }

    #[tokio::test]
    async fn a_core_with_other_wishes_than_ours_is_not_linked() {
        let wat = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#;
        let engine = engine().expect("an engine");
        let module =
            Module::new(&engine, wat::parse_str(wat).expect("WebAssembly")).expect("compiled");
        assert!(prepare(&module).is_err());
    }
}
