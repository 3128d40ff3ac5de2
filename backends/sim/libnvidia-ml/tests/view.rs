//! The library's view of a device that this process uses, opened as a program opens it.

use cuda_sys::{
    fn_types, nvmlDevice_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlReturn_t, nvmlUtilization_t,
};
use fcsp_sim::calibration::DRIVER_RESERVE_BYTES;
use fcsp_sim::{Config, Device, Effect, Op, Queues, StreamKind};
use std::ffi::{CStr, CString, c_char, c_void};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::{Duration, Instant};

type R = nvmlReturn_t;

struct Nvml(*mut c_void);

impl Nvml {
    fn open() -> Self {
        let exe = std::env::current_exe().expect("own path");
        let profile = exe
            .ancestors()
            .nth(2)
            .expect("profile directory")
            .to_owned();
        // Cargo does not build a package's cdylib for its tests.
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-nvml",
            "--lib",
            "--target-dir",
        ]);
        build.arg(profile.parent().expect("target directory"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "the library does not build"
        );
        let path = profile.join("libfcsp_sim_nvml.so");
        let path = CString::new(path.to_str().expect("plain path")).expect("no NUL");
        // SAFETY: a path; the library's initializers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        Self(handle)
    }

    fn function<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: an open handle and a NUL-terminated name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "{name:?} is not exported");
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: both are pointers; the caller names the type generated for this symbol.
        unsafe { std::mem::transmute_copy(&address) }
    }
}

macro_rules! nvml {
    ($library:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let name = CString::new(stringify!($name)).expect("no NUL");
        let function: fn_types::$name = $library.function(&name);
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what nvml.h wants of this function.
        unsafe { function($($arg),*) }
    }};
}

macro_rules! ok {
    ($library:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!(nvml!($library, $name($($arg),*)), R::NVML_SUCCESS, stringify!($name))
    };
}

#[test]
fn the_library_sees_what_processes_do_on_the_device() {
    let dir = tempfile::tempdir_in("/dev/shm").expect("shared memory");
    // SAFETY: this program has one test, so nobody else reads the environment now.
    unsafe { std::env::set_var("FCSP_SIM_DIR", dir.path()) };
    let nvml = Nvml::open();
    let mut device: nvmlDevice_t = null_mut();
    let early = nvml!(nvml, nvmlDeviceGetHandleByIndex_v2(0, &mut device));
    assert_eq!(early, R::NVML_ERROR_UNINITIALIZED);
    ok!(nvml, nvmlInit_v2());
    ok!(nvml, nvmlDeviceGetHandleByIndex_v2(0, &mut device));
    let beyond = nvml!(nvml, nvmlDeviceGetHandleByIndex_v2(1, &mut null_mut()));
    assert_eq!(beyond, R::NVML_ERROR_INVALID_ARGUMENT);

    let model = Arc::new(Device::open(&Config::from_env(), 0).expect("device"));
    identity(&nvml, device, &model);
    memory(&nvml, device, &model);
    processes(&nvml, device);
    utilization(&nvml, device, &model);

    assert_eq!(
        nvml!(nvml, nvmlDeviceGetPowerUsage(device, &mut 0)),
        R::NVML_ERROR_NOT_SUPPORTED
    );
    let odd = nvml!(nvml, nvmlDeviceGetPowerUsage(7 as nvmlDevice_t, &mut 0));
    assert_eq!(odd, R::NVML_ERROR_INVALID_ARGUMENT);
    ok!(nvml, nvmlShutdown());
    assert_eq!(nvml!(nvml, nvmlShutdown()), R::NVML_ERROR_UNINITIALIZED);
}

fn text(buffer: &[c_char]) -> String {
    // SAFETY: ended by the library.
    unsafe { CStr::from_ptr(buffer.as_ptr()) }
        .to_str()
        .expect("text")
        .to_owned()
}

fn identity(nvml: &Nvml, device: nvmlDevice_t, model: &Device) {
    let mut buffer = [0; 96];
    ok!(nvml, nvmlDeviceGetName(device, buffer.as_mut_ptr(), 96));
    assert!(text(&buffer).contains("simulated"));
    ok!(nvml, nvmlSystemGetDriverVersion(buffer.as_mut_ptr(), 96));
    assert!(text(&buffer).contains("sim"));
    let small = nvml!(nvml, nvmlDeviceGetUUID(device, buffer.as_mut_ptr(), 10));
    assert_eq!(small, R::NVML_ERROR_INSUFFICIENT_SIZE);
    ok!(nvml, nvmlDeviceGetUUID(device, buffer.as_mut_ptr(), 96));
    let digits: String = text(&buffer)["GPU-".len()..]
        .chars()
        .filter(|c| *c != '-')
        .collect();
    let hex: String = model
        .uuid()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digits, hex);
    let mut same = null_mut();
    ok!(nvml, nvmlDeviceGetHandleByUUID(buffer.as_ptr(), &mut same));
    assert_eq!(same, device);
    ok!(
        nvml,
        nvmlDeviceGetHandleByPciBusId_v2(c"0000:06:00.0".as_ptr(), &mut same)
    );
    assert_eq!(same, device);
}

fn memory(nvml: &Nvml, device: nvmlDevice_t, model: &Device) {
    let mut info = nvmlMemory_t::default();
    ok!(nvml, nvmlDeviceGetMemoryInfo(device, &mut info));
    assert_eq!(info.used, DRIVER_RESERVE_BYTES);
    model.charge(3 << 30).expect("room");
    ok!(nvml, nvmlDeviceGetMemoryInfo(device, &mut info));
    assert_eq!(info.used, DRIVER_RESERVE_BYTES + (3 << 30));
    assert_eq!(info.total, info.free + info.used);
    let mut second = nvmlMemory_v2_t::default();
    let wrong = nvml!(nvml, nvmlDeviceGetMemoryInfo_v2(device, &mut second));
    assert_eq!(wrong, R::NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    second.version = cuda_sys::structure_version::<nvmlMemory_v2_t>(2);
    ok!(nvml, nvmlDeviceGetMemoryInfo_v2(device, &mut second));
    assert_eq!(
        (second.used, second.reserved),
        (3 << 30, DRIVER_RESERVE_BYTES)
    );
}

fn processes(nvml: &Nvml, device: nvmlDevice_t) {
    let mut count = 0;
    let asked = nvml!(
        nvml,
        nvmlDeviceGetComputeRunningProcesses_v3(device, &mut count, null_mut())
    );
    assert_eq!((asked, count), (R::NVML_ERROR_INSUFFICIENT_SIZE, 1));
    let mut infos = [cuda_sys::nvmlProcessInfo_t::default(); 4];
    count = 4;
    let list = infos.as_mut_ptr();
    ok!(
        nvml,
        nvmlDeviceGetComputeRunningProcesses_v3(device, &mut count, list)
    );
    assert_eq!(count, 1);
    assert_eq!(
        (infos[0].pid, infos[0].usedGpuMemory),
        (std::process::id(), 3 << 30)
    );
}

fn utilization(nvml: &Nvml, device: nvmlDevice_t, model: &Arc<Device>) {
    let percent = || {
        let mut rates = nvmlUtilization_t::default();
        ok!(nvml, nvmlDeviceGetUtilizationRates(device, &mut rates));
        rates.gpu
    };
    let queues = Queues::new(Arc::clone(model)).expect("a place");
    let stream = queues.create_stream(1, StreamKind::NonBlocking);
    let work = || Op::Work {
        duration_ns: 10_000_000,
        effect: Effect::None,
    };
    queues
        .submit(stream, (0..150).map(|_| work()))
        .expect("stream");
    let began = Instant::now();
    while percent() < 95 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "busy and nobody saw"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    queues.wait_stream(stream).expect("stream");
    let began = Instant::now();
    while percent() > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "idle and nobody saw"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
