//! A sandbox for one account: one instance of the core with a cap on its memory and on its CPU time.

use wasmtime::{
    Config, Engine, InstancePre, Linker, Module, Store, StoreLimitsBuilder, TypedFunc,
    UpdateDeadline,
};
use zeroize::Zeroizing;

use super::egress::{Egress, Foreign};
use super::heap::Heap;
use super::ticker::SLICE;
use super::{CoreOptions, UnixClock, abi};
use crate::onepassword::Fault;

/// How the core is compiled and run. Compiling and loading must agree on it, so there is one place for it.
///
/// Memory is mapped when it is first touched, and a memory's initial content straight from the compiled file: a client's
/// cost is what it writes. The reserved address space (wasmtime's 4 GiB for each memory) costs nothing but addresses.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // For any processor of this kind, not just the one that compiles: images are built on one machine and run on others.
    config.target(super::artifact::TARGET)?;
    config.epoch_interruption(true);
    // Backtraces of the core's frames would say nothing to anybody, and cost memory.
    config.wasm_backtrace_max_frames(None);
    config.generate_address_map(false);
    Engine::new(&config)
}

/// The core with its imports, ready to be instantiated any number of times.
pub(super) fn prepare(module: &Module) -> wasmtime::Result<InstancePre<abi::Host>> {
    let mut linker = Linker::new(module.engine());
    abi::define(&mut linker)?;
    linker.instantiate_pre(module)
}

/// What the core can be asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Export {
    /// Signs in.
    InitClient,
    /// Everything else.
    Invoke,
}

/// What the core gave back.
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
            // Others get their turn after each slice.
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

    /// Calls the core. It may be dropped before it is ready, and the sandbox with it.
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
