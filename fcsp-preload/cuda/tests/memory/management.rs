//! What the management library tells a tenant's programs, and others.

use crate::support::{CONTEXT_MIB, Library, MIB, Program, TENANT};
use cuda_sys::undeclared::{ListProcesses, PROCESS_LISTS, ProcessEntry, TABLE_ID};
use cuda_sys::{
    nvmlDevice_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlProcessInfo_t, nvmlProcessInfo_v1_t,
    nvmlProcessInfo_v2_t, nvmlReturn_t,
};
use std::ffi::{c_uint, c_void};
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

    /// Ids of the processes on the device, by every way there is to ask, which must agree.
    fn pids(&self) -> Vec<u32> {
        let pids = asked(
            |count, place: *mut nvmlProcessInfo_t| {
                cu!(
                    self.library,
                    nvmlDeviceGetComputeRunningProcesses_v3(self.device, count, place)
                )
            },
            |info| info.pid,
        );
        let first = asked(
            |count, place: *mut nvmlProcessInfo_v1_t| {
                cu!(
                    self.library,
                    nvmlDeviceGetComputeRunningProcesses(self.device, count, place)
                )
            },
            |info| info.pid,
        );
        let second = asked(
            |count, place: *mut nvmlProcessInfo_v2_t| {
                cu!(
                    self.library,
                    nvmlDeviceGetComputeRunningProcesses_v2(self.device, count, place)
                )
            },
            |info| info.pid,
        );
        assert_eq!((&first, &second), (&pids, &pids));
        let [compute, graphics, mps] = self.private_pids();
        assert_eq!(compute, pids);
        assert!(graphics.is_empty() && mps.is_empty());
        pids
    }

    /// The private table, as `nvidia-smi` asks for it.
    fn table(&self) -> *const *const c_void {
        let mut table = std::ptr::null();
        let code = cu!(
            self.library,
            nvmlInternalGetExportTable(&mut table, &TABLE_ID)
        );
        assert_eq!(code, nvmlReturn_t::NVML_SUCCESS);
        table.cast()
    }

    /// What the private lists hold, asked with room to spare, as `nvidia-smi` does.
    fn private_pids(&self) -> [Vec<u32>; 3] {
        let table = self.table();
        PROCESS_LISTS.map(|at| {
            // SAFETY: the table has a function of this type there.
            let list =
                unsafe { std::mem::transmute::<*const c_void, ListProcesses>(*table.add(at)) };
            let mut entries: Vec<ProcessEntry> = Vec::with_capacity(250);
            let mut count = 250;
            // SAFETY: there is as much room.
            let code = unsafe { list(self.device, &mut count, entries.as_mut_ptr(), 0, 0, 0) };
            assert_eq!(code, nvmlReturn_t::NVML_SUCCESS);
            // SAFETY: filled as far as was said.
            unsafe { entries.set_len(count as usize) };
            for entry in &entries {
                assert_ne!(entry.name[0], 0, "names stay with their processes");
            }
            entries.iter().map(|entry| entry.detail.pid).collect()
        })
    }
}

/// The ids in a list that is asked for as programs ask, count first.
fn asked<T: Clone + Default>(
    ask: impl Fn(*mut c_uint, *mut T) -> nvmlReturn_t,
    pid: impl Fn(&T) -> u32,
) -> Vec<u32> {
    let mut count = 0;
    let first = ask(&mut count, null_mut());
    if first == nvmlReturn_t::NVML_SUCCESS {
        assert_eq!(count, 0);
        return Vec::new();
    }
    assert_eq!(first, nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE);
    let mut infos = vec![T::default(); count as usize];
    assert_eq!(
        ask(&mut count, infos.as_mut_ptr()),
        nvmlReturn_t::NVML_SUCCESS
    );
    infos.iter().map(pid).collect()
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
fn the_private_table_is_the_librarys_but_for_its_lists() {
    MANAGED.run_bare(crate::here!(), |_| {
        // Asked for before anything is initialised.
        let library = Library::open(c"libnvidia-ml.so.1");
        let find = |place: *mut *const c_void, id: *const [u8; 16]| {
            cu!(library, nvmlInternalGetExportTable(place, id))
        };
        let mut table = std::ptr::null();
        assert_eq!(find(&mut table, &TABLE_ID), nvmlReturn_t::NVML_SUCCESS);
        let refused = nvmlReturn_t::NVML_ERROR_INVALID_ARGUMENT;
        assert_eq!(find(null_mut(), &TABLE_ID), refused);
        assert_eq!(find(&mut table, std::ptr::null()), refused);
        assert_eq!(find(&mut table, &[7; 16]), refused);

        let management = Management::open();
        assert_eq!(management.table(), table.cast(), "one for all who ask");
        // SAFETY: its size comes first.
        let words = unsafe { *table.cast::<usize>() } / size_of::<usize>();
        let is_lists = |at: &usize| PROCESS_LISTS.contains(at);
        for at in 1..words {
            // SAFETY: within the table.
            let object = object_of(unsafe { *table.cast::<*const c_void>().add(at) });
            assert_eq!(
                object.contains("libfcsp_cuda"),
                is_lists(&at),
                "{at}: {object}"
            );
        }
    });
}

/// The file of the library that an address is in.
fn object_of(address: *const c_void) -> String {
    // SAFETY: all zero is a value.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about; the name lives as long as the library.
    unsafe {
        assert_ne!(libc::dladdr(address, &mut info), 0, "{address:?} is code");
        let name = std::ffi::CStr::from_ptr(info.dli_fname);
        name.to_string_lossy().into_owned()
    }
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
