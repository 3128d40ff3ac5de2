//! The library's view of a device that this process uses, opened as a program opens it.

use fcsp_sim::{Config, Device, Vendor};
use fcsp_sim_link::link_archive;
use rocm_smi_sys::{amdsmi_proc_info_t, amdsmi_status_t, amdsmi_vram_usage_t, fn_types};
use std::ffi::{CStr, CString, c_void};
use std::process::Command;
use std::ptr::null_mut;

const EXPORTS: &str = include_str!("../../../sys/rocm-smi/exports/libamd_smi-10.1.txt");

struct Library(*mut c_void);

impl Library {
    fn open() -> Self {
        let exe = std::env::current_exe().expect("own path");
        let profile = exe.ancestors().nth(2).expect("profile directory");
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-amd-smi",
            "--lib",
            "--target-dir",
        ]);
        build.arg(profile.parent().expect("target directory"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "the archive does not build"
        );
        let directory = profile.join("sim-amd-smi");
        std::fs::create_dir_all(&directory).expect("a directory in target");
        let path = directory.join("libamd_smi.so.27");
        let archive = profile.join("libfcsp_sim_amd_smi.a");
        link_archive(&archive, EXPORTS, "libamd_smi.so.27", &path).expect("linked");
        let path = CString::new(path.to_str().expect("plain path")).expect("no NUL");
        // SAFETY: a path; the library's initializers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        Self(handle)
    }

    fn function<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: an open handle and NUL-terminated texts.
        let address = unsafe { libc::dlvsym(self.0, name.as_ptr(), c"AMDSMI_1".as_ptr()) };
        assert!(!address.is_null(), "{name:?} is not exported with its node");
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
        // SAFETY: the arguments are what amdsmi.h wants of this function.
        unsafe { function($($arg),*) }
    }};
}

macro_rules! ok {
    ($library:expr, $name:ident($($arg:expr),*)) => {
        assert_eq!(
            call!($library, $name($($arg),*)),
            amdsmi_status_t::AMDSMI_STATUS_SUCCESS,
            stringify!($name)
        )
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
    let mut count = 0;
    assert_eq!(
        call!(library, amdsmi_get_socket_handles(&mut count, null_mut())),
        amdsmi_status_t::AMDSMI_STATUS_NOT_INIT
    );
    ok!(library, amdsmi_init(2));
    ok!(library, amdsmi_get_socket_handles(&mut count, null_mut()));
    assert_eq!(count, 2);
    let mut sockets = [null_mut(); 2];
    ok!(
        library,
        amdsmi_get_socket_handles(&mut count, sockets.as_mut_ptr())
    );
    let mut processor = null_mut();
    count = 1;
    ok!(
        library,
        amdsmi_get_processor_handles(sockets[1], &mut count, &mut processor)
    );

    let device = Device::open(&Config::of(Vendor::Amd), 1).expect("a device");
    device.charge(5 << 20).expect("memory");
    let mut usage = amdsmi_vram_usage_t::default();
    ok!(library, amdsmi_get_gpu_vram_usage(processor, &mut usage));
    assert_eq!(u64::from(usage.vram_total), device.total_bytes() >> 20);
    assert_eq!(usage.vram_used, 5);

    count = 0;
    ok!(
        library,
        amdsmi_get_gpu_process_list(processor, &mut count, null_mut())
    );
    assert_eq!(count, 1);
    let mut info = amdsmi_proc_info_t::default();
    ok!(
        library,
        amdsmi_get_gpu_process_list(processor, &mut count, &mut info)
    );
    assert_eq!((info.pid, info.mem), (std::process::id(), 5 << 20));

    let (mut room, mut text) = (64, [0; 64]);
    ok!(
        library,
        amdsmi_get_gpu_device_uuid(processor, &mut room, text.as_mut_ptr())
    );
    assert_eq!(room, 36);
    assert_eq!(
        call!(library, amdsmi_get_gpu_vram_usage(null_mut(), &mut usage)),
        amdsmi_status_t::AMDSMI_STATUS_INVAL
    );
    ok!(library, amdsmi_shut_down());
}
