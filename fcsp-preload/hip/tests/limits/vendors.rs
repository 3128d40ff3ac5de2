//! A program on a machine with devices of two vendors, with both preload libraries.

use crate::support::{Library, Stage, built};
use std::ffi::{CStr, c_void};

/// The file that what a lookup in `library` gives lies in.
fn found_in(library: &CStr, function: &str) -> String {
    let address: *mut c_void = Library::open(library).function(function);
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: any address; the place is ours.
    assert_ne!(unsafe { libc::dladdr(address, &mut info) }, 0);
    // SAFETY: the dynamic linker's string.
    let path = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = path.to_str().expect("text");
    path.rsplit('/').next().expect("a name").to_owned()
}

#[test]
fn each_library_stands_before_its_own_driver_in_either_order() {
    const LIBRARIES: [&str; 2] = ["libfcsp_cuda.so", "libfcsp_hip.so"];
    let paths = LIBRARIES.map(|it| built().join(it).display().to_string());
    for order in [[0, 1], [1, 0]] {
        let preload = order.map(|at| paths[at].as_str()).join(":");
        let cuda = |stage: &Stage| stage.link(&built().join("libfcsp_sim_cuda.so"), "libcuda.so.1");
        let set = [("LD_PRELOAD", preload.as_str())];
        Stage::run_self_on(crate::here!(), &set, cuda, || {
            assert_eq!(found_in(c"libcuda.so.1", "cuMemAlloc_v2"), LIBRARIES[0]);
            assert_eq!(found_in(c"libamdhip64.so.6", "hipMalloc"), LIBRARIES[1]);
            let strange = found_in(c"libc.so.6", "malloc");
            assert!(strange.starts_with("libc."), "{strange}");
        });
    }
}
