//! A gated program, and what the region tells of it.

use crate::support::{Library, Program, TENANT};
use cuda_sys::{CUdeviceptr, CUfunction, CUmodule, CUresult, CUstream};
use fcsp_core::region::layout::{GatePage, SEGMENTS, SlotPages};
use fcsp_core::region::{Region, list, scan};
use fcsp_core::sync::Ordering::Acquire;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

/// A tenant with half of the device and never more.
pub const STRICT: &[(&str, &str)] = &[
    ("FCSP_TENANT", "tester"),
    ("BUD_SM_LIMIT", "50"),
    ("BUD_ISOLATION_MODE", "strict"),
];

/// Runs `body` as a program of its own with those variables and a run directory in memory, where the
/// device can reach the region. `here` is [`here!`].
pub fn run(here: &str, env: &[(&'static str, &'static str)], body: impl FnOnce(&Library)) {
    let directory = RunDirectory::new(here);
    let mut env = env.to_vec();
    env.extend(directory.0.map(|path| ("FCSP_RUN_DIR", path)));
    let program = Program {
        quota_mib: 0,
        nvml: true,
        env: env.leak(),
        ..TENANT
    };
    program.run_bare(here, body);
}

/// As [`run`], gated, with the primary context current and the kernels loaded.
pub fn run_gated(here: &str, body: impl FnOnce(&Library, Gated)) {
    run(here, STRICT, |cuda| {
        ok!(cuda, cuInit(0));
        let mut context = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        body(cuda, Gated::new(cuda));
    });
}

/// A directory in memory that ends with its test; none in the program, which is told of it.
struct RunDirectory(Option<&'static str>);

impl RunDirectory {
    fn new(here: &str) -> Self {
        if std::env::var_os("FCSP_TEST_CHILD").is_some() {
            return Self(None);
        }
        let name = here.replace("::", "-");
        let path = format!("/dev/shm/fcsp-{name}-{}", std::process::id());
        std::fs::create_dir_all(&path).expect("memory for a directory");
        Self(Some(path.leak()))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        if let Some(path) = self.0 {
            // What is left does no harm.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// The kernels of these tests.
pub const PTX: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry fcsp_work(.param .u32 iters, .param .u64 counter, .param .u64 add) { ret; }
.visible .entry _Z16flash_fwd_kernel9simulated() { ret; }
.visible .entry simulated_s16816gemm_bf16() { ret; }
.visible .entry ncclDevKernel_Simulated(.param .u64 mine, .param .u64 theirs, .param .u32 n) { ret; }
";

/// The regions of all devices, kept for the life of the program.
pub fn regions() -> Vec<&'static Region> {
    let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
    let found = list(directory.as_ref()).expect("readable").into_iter();
    found
        .filter_map(|(_, region)| region.ok())
        .map(|region| &*Box::leak(Box::new(region)))
        .collect()
}

/// This process's slot on the one device it uses.
pub fn own_slot(region: &'static Region) -> &'static SlotPages {
    let pid = std::process::id();
    let mine = scan::live_slots(region.layout()).find(|it| it.slot.pid.load(Acquire) == pid);
    let index = mine.expect("this process is attached").index;
    &region.layout().slots[index.0 as usize]
}

/// The program at work.
pub struct Gated<'a> {
    /// The driver.
    pub cuda: &'a Library,
    /// `fcsp_work`.
    pub work: CUfunction,
    slot: &'static SlotPages,
}

impl<'a> Gated<'a> {
    /// Loads the kernels and finds the slot.
    pub fn new(cuda: &'a Library) -> Self {
        let work = function(cuda, c"fcsp_work");
        let slot = own_slot(regions().first().expect("one device"));
        assert_ne!(slot.slot.gate.gated.load(Acquire), 0, "held to a ceiling");
        Self { cuda, work, slot }
    }

    /// Waits for everything.
    pub fn settle(&self) {
        ok!(self.cuda, cuCtxSynchronize());
    }

    /// Submissions that went through the gate while `call` ran.
    pub fn gated(&self, call: impl FnOnce()) -> u64 {
        self.settle();
        let before = self.slot.slot.queue.launches.load(Acquire);
        call();
        self.settle();
        self.slot.slot.queue.launches.load(Acquire) - before
    }

    /// Segments that ended because a thread was about to wait while `call` ran.
    pub fn told(&self, call: impl FnOnce()) -> u32 {
        let synced = || self.slot.slot.queue.synced.load(Acquire);
        let before = synced();
        call();
        synced() - before
    }

    /// Whether a segment is open.
    pub fn is_open(&self) -> bool {
        let queue = &self.slot.slot.queue;
        queue.opened.load(Acquire) != queue.closed.load(Acquire)
    }

    /// Launches kernels of that length until a segment is open; gives how many that took. On a busy machine one can take so
    /// long that each after it is expected to fill a segment by itself; what they take, once they have run, corrects that.
    pub fn open_segment(&self, us: u32, stream: CUstream) -> u64 {
        for launches in 1..=500 {
            self.launch(us, stream);
            if self.is_open() {
                return launches;
            }
            self.settle();
        }
        panic!("every kernel fills a segment");
    }

    /// The page that the device sees.
    pub fn page(&self) -> &'static GatePage {
        &self.slot.page
    }

    /// The most queues that any of the newest segments used.
    pub fn queues_max(&self) -> u32 {
        let segments = self.page().segments.iter();
        let queues = segments.map(|segment| segment.lanes.load(Acquire).count_ones());
        queues.max().unwrap_or(0)
    }

    /// Expected device time of the newest segment.
    pub fn predicted_ns(&self) -> u64 {
        let newest = self.slot.slot.queue.opened.load(Acquire) as usize;
        self.page().segments[newest % SEGMENTS]
            .predicted_ns
            .load(Acquire)
    }

    /// Launches a kernel of so many microseconds.
    pub fn launch(&self, us: u32, stream: CUstream) {
        assert_eq!(
            work(self.cuda, self.work, us, stream),
            CUresult::CUDA_SUCCESS
        );
    }

    /// A created stream that does not wait for the default one.
    pub fn stream(&self) -> CUstream {
        let mut stream = null_mut();
        ok!(self.cuda, cuStreamCreate(&mut stream, 1));
        stream
    }

    /// Device memory.
    pub fn device(&self, bytes: usize) -> CUdeviceptr {
        let mut address = 0;
        ok!(self.cuda, cuMemAlloc_v2(&mut address, bytes));
        address
    }

    /// Page-locked memory.
    pub fn pinned(&self, bytes: usize) -> *mut c_void {
        pinned(self.cuda, bytes)
    }
}

/// Page-locked zeroed memory.
pub fn pinned(cuda: &Library, bytes: usize) -> *mut c_void {
    let mut place = null_mut();
    ok!(cuda, cuMemHostAlloc(&mut place, bytes, 0));
    place
}

/// Loads [`PTX`] and finds a kernel.
pub fn function(cuda: &Library, name: &CStr) -> CUfunction {
    let (mut module, mut function): (CUmodule, CUfunction) = (null_mut(), null_mut());
    ok!(cuda, cuModuleLoadData(&mut module, PTX.as_ptr().cast()));
    ok!(
        cuda,
        cuModuleGetFunction(&mut function, module, name.as_ptr())
    );
    function
}

/// Launches `fcsp_work` for so many microseconds.
pub fn work(cuda: &Library, function: CUfunction, us: u32, stream: CUstream) -> CUresult {
    let (mut iterations, mut counter, mut add) = (us * 100, 0_u64, 0_u64);
    let mut params: [*mut c_void; 3] = [
        (&raw mut iterations).cast(),
        (&raw mut counter).cast(),
        (&raw mut add).cast(),
    ];
    let params = params.as_mut_ptr();
    cu!(
        cuda,
        cuLaunchKernel(
            function,
            132,
            1,
            1,
            256,
            1,
            1,
            0,
            stream,
            params,
            null_mut()
        )
    )
}
