//! The library's view of a device that this process uses, opened as a program opens it.

use fcsp_sim::{Config, Device, Vendor};
use rocm_smi_sys::{fn_types, rsmi_memory_type_t, rsmi_process_info_t, rsmi_status_t};
use std::ffi::{CStr, CString, c_void};
use std::process::Command;

struct Library(*mut c_void);

impl Library {
    fn open() -> Self {
        let exe = std::env::current_exe().expect("own path");
        let profile = exe.ancestors().nth(2).expect("profile directory");
        // Cargo does not build a package's cdylib for its tests.
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-rocm-smi",
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
        let path = profile.join("libfcsp_sim_rocm_smi.so");
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

macro_rules! call {
    ($library:expr, $name:ident($($arg:expr),*)) => {{
        let name = CString::new(stringify!($name)).expect("no NUL");
        let function: fn_types::$name = $library.function(&name);
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what rocm_smi.h wants of this function.
        unsafe { function($($arg),*) }
    }};
}

macro_rules! ok {
    ($library:expr, $name:ident($($arg:expr),*)) => {
        assert_eq!(call!($library, $name($($arg),*)), rsmi_status_t::RSMI_STATUS_SUCCESS, stringify!($name))
    };
}

/// One test: the environment is the process's.
#[test]
fn memory_and_processes_are_what_the_model_has() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // SAFETY: the only test of this program; nothing else reads the environment meanwhile.
    unsafe {
        std::env::set_var("FCSP_SIM_DIR", directory.path());
        std::env::set_var("FCSP_SIM_AMD_DEVICES", "2");
    }
    let library = Library::open();
    let vram = rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM;
    let mut devices = 0;
    assert_eq!(
        call!(library, rsmi_num_monitor_devices(&mut devices)),
        rsmi_status_t::RSMI_STATUS_INIT_ERROR
    );
    ok!(library, rsmi_init(0));
    ok!(library, rsmi_num_monitor_devices(&mut devices));
    assert_eq!(devices, 2);

    let device = Device::open(&Config::of(Vendor::Amd), 1).expect("a device");
    device.charge(3 << 20).expect("memory");
    let (mut total, mut used) = (0, 0);
    ok!(library, rsmi_dev_memory_total_get(1, vram, &mut total));
    ok!(library, rsmi_dev_memory_usage_get(1, vram, &mut used));
    assert_eq!((total, used), (device.total_bytes(), 3 << 20));
    ok!(library, rsmi_dev_memory_usage_get(0, vram, &mut used));
    assert_eq!(used, 0);
    assert_eq!(
        call!(library, rsmi_dev_memory_usage_get(2, vram, &mut used)),
        rsmi_status_t::RSMI_STATUS_INVALID_ARGS
    );

    let pid = std::process::id();
    let mut info = rsmi_process_info_t::default();
    ok!(
        library,
        rsmi_compute_process_info_by_device_get(pid, 1, &mut info)
    );
    assert_eq!((info.process_id, info.vram_usage), (pid, 3 << 20));
    assert_eq!(
        call!(
            library,
            rsmi_compute_process_info_by_device_get(pid, 0, &mut info)
        ),
        rsmi_status_t::RSMI_STATUS_NOT_FOUND
    );
    let mut count = 0;
    ok!(
        library,
        rsmi_compute_process_info_get(std::ptr::null_mut(), &mut count)
    );
    assert_eq!(count, 1);
    let (mut on, mut room) = ([9; 2], 2);
    ok!(
        library,
        rsmi_compute_process_gpus_get(pid, on.as_mut_ptr(), &mut room)
    );
    assert_eq!((on[0], room), (1, 1));
    let mut name = [0; 64];
    ok!(library, rsmi_dev_name_get(0, name.as_mut_ptr(), name.len()));
    // SAFETY: ended by the library.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    assert!(name.to_string_lossy().contains("simulated"));
    ok!(library, rsmi_shut_down());
    assert_eq!(
        call!(library, rsmi_shut_down()),
        rsmi_status_t::RSMI_STATUS_INIT_ERROR
    );
}
