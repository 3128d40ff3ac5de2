//! What the management library tells a tenant's programs, and others.

use crate::support::{CONTEXT_MIB, Library, MIB, Program, TENANT};
use cuda_sys::{nvmlDevice_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlProcessInfo_t, nvmlReturn_t};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::ptr::null_mut;

const ROLE: &str = "FCSP_TEST_ROLE";
const READY: &str = "the worker is ready";

const MANAGED: Program = Program {
    nvml: true,
    ..TENANT
};

struct Management {
    library: Library,
    device: nvmlDevice_t,
}

impl Management {
    fn open() -> Self {
        let library = Library::open(c"libnvidia-ml.so.1");
        let mut device = null_mut();
        let good = nvmlReturn_t::NVML_SUCCESS;
        assert_eq!(cu!(library, nvmlInit_v2()), good);
        assert_eq!(
            cu!(library, nvmlDeviceGetHandleByIndex_v2(0, &mut device)),
            good
        );
        Self { library, device }
    }

    /// Total, free and used MiB, by both calls.
    fn memory_mib(&self) -> [u64; 3] {
        let mut memory = nvmlMemory_t::default();
        let good = nvmlReturn_t::NVML_SUCCESS;
        assert_eq!(
            cu!(
                self.library,
                nvmlDeviceGetMemoryInfo(self.device, &mut memory)
            ),
            good
        );
        let mut second = nvmlMemory_v2_t {
            version: cuda_sys::structure_version::<nvmlMemory_v2_t>(2),
            ..Default::default()
        };
        assert_eq!(
            cu!(
                self.library,
                nvmlDeviceGetMemoryInfo_v2(self.device, &mut second)
            ),
            good
        );
        assert_eq!(second.total, memory.total);
        assert_eq!(second.free, memory.free);
        assert_eq!(second.used + second.reserved, memory.used);
        [memory.total, memory.free, memory.used].map(|bytes| bytes / MIB)
    }

    /// Ids of the processes on the device, by the newest call; asked as programs ask, count first.
    fn pids(&self) -> Vec<u32> {
        let mut count = 0;
        let first = cu!(
            self.library,
            nvmlDeviceGetComputeRunningProcesses_v3(self.device, &mut count, null_mut())
        );
        if first == nvmlReturn_t::NVML_SUCCESS {
            assert_eq!(count, 0);
            return Vec::new();
        }
        assert_eq!(first, nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE);
        let mut infos = vec![nvmlProcessInfo_t::default(); count as usize];
        assert_eq!(
            cu!(
                self.library,
                nvmlDeviceGetComputeRunningProcesses_v3(
                    self.device,
                    &mut count,
                    infos.as_mut_ptr()
                )
            ),
            nvmlReturn_t::NVML_SUCCESS
        );
        infos.iter().map(|info| info.pid).collect()
    }
}

/// A process of some tenant with a context and 100 MiB, until it is dropped.
struct Worker(Child);

impl Worker {
    fn start(tenant: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("own path"))
            .args(std::env::args().skip(1))
            .env(ROLE, "worker")
            .env("FCSP_TENANT", tenant)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains(READY));
        assert!(ready, "the worker ended early");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("ends");
    }
}

/// What a worker does; true if this process is one.
fn works(cuda: &Library) -> bool {
    if std::env::var_os(ROLE).is_none() {
        return false;
    }
    ok!(cuda, cuInit(0));
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    ok!(cuda, cuCtxSetCurrent(context));
    cuda.alloc_mib(100);
    println!("\n{READY}");
    let end = std::io::stdin().read(&mut [0]).expect("a pipe");
    assert_eq!(end, 0);
    true
}

#[test]
fn a_tenant_sees_its_quota_and_its_own_processes() {
    MANAGED.run_bare(crate::here!(), |cuda| {
        if works(cuda) {
            return;
        }
        let management = Management::open();
        let _stranger = Worker::start("somebody");
        let friend = Worker::start("tester");
        ok!(cuda, cuInit(0));
        let mut context = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        cuda.alloc_mib(200);
        let used = 2 * CONTEXT_MIB + 300;
        assert_eq!(management.memory_mib(), [2048, 2048 - used, used]);
        let mut pids = management.pids();
        pids.sort_unstable();
        let mut ours = [std::process::id(), friend.pid()];
        ours.sort_unstable();
        assert_eq!(pids, ours);
    });
}

#[test]
fn a_program_that_only_watches_sees_its_tenants_memory_and_processes() {
    MANAGED.run_bare(crate::here!(), |cuda| {
        if works(cuda) {
            return;
        }
        let management = Management::open();
        assert_eq!(
            management.memory_mib(),
            [2048, 2048, 0],
            "nobody is there yet"
        );
        let _stranger = Worker::start("somebody");
        // No region was there at the first look; the next look is due after a second.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        assert_eq!(management.memory_mib(), [2048, 2048, 0], "not its tenant");
        assert_eq!(management.pids(), []);
        let friend = Worker::start("tester");
        let used = CONTEXT_MIB + 100;
        assert_eq!(management.memory_mib(), [2048, 2048 - used, used]);
        assert_eq!(management.pids(), [friend.pid()]);
        let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
        let regions = fcsp_core::region::list(directory.as_ref()).expect("readable");
        let slots: Vec<u32> = regions
            .iter()
            .filter_map(|(_, region)| region.as_ref().ok())
            .flat_map(|region| fcsp_core::region::scan::live_slots(region.layout()))
            .map(|slot| slot.slot.pid.load(fcsp_core::sync::Ordering::Relaxed))
            .collect();
        assert_eq!(slots.len(), 2, "watching takes no slot");
    });
}

#[test]
fn an_operator_sees_the_device_as_it_is() {
    // With neither limits nor a name but its own; in a container the container would be the tenant.
    let operator = Program {
        env: &[("FCSP_TENANT", "")],
        quota_mib: 0,
        ..MANAGED
    };
    operator.run_bare(crate::here!(), |cuda| {
        if works(cuda) {
            return;
        }
        let management = Management::open();
        let worker = Worker::start("somebody");
        let [total, _, used] = management.memory_mib();
        assert!(total >= 8192, "{total} MiB: the whole board");
        assert!(used >= CONTEXT_MIB + 100, "{used} MiB: all there is");
        let in_container = fcsp_core::policy::tenant_name::from_process().starts_with("container-");
        if !in_container {
            assert_eq!(management.pids(), [worker.pid()]);
        }
    });
}

#[test]
fn what_contexts_take_ends_with_them() {
    MANAGED.run_bare(crate::here!(), |cuda| {
        let management = Management::open();
        let used_mib = || management.memory_mib()[2];
        // Long enough for the driver's own figure to be looked at.
        let look = || std::thread::sleep(std::time::Duration::from_millis(400));
        ok!(cuda, cuInit(0));
        let mut context = null_mut();
        for _ in 0..2 {
            ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
            ok!(cuda, cuCtxSetCurrent(context));
            cuda.alloc_mib(100);
            assert_eq!(used_mib(), CONTEXT_MIB + 100);
            look();
            assert_eq!(used_mib(), CONTEXT_MIB + 100);
            ok!(cuda, cuDevicePrimaryCtxRelease_v2(0));
            assert_eq!(used_mib(), 0);
            look();
            assert_eq!(used_mib(), 0);
        }
    });
}
