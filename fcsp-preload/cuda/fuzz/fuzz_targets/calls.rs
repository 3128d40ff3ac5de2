//! The random driver calls of `tests/calls`, decided by a fuzzer that sees the library's branches.
//!
//! ```sh
//! cargo build -p fcsp-sim-cuda
//! cd fcsp-preload/cuda
//! FCSP_FUZZ_DRIVER=$PWD/../../target/debug/libfcsp_sim_cuda.so \
//!     cargo +nightly fuzz run --sanitizer none calls -- -max_len=4096 -timeout=60
//! ```
//!
//! The library is linked into the fuzzer, and its `dlsym` answers the fuzzer's lookups as it answers a program's. An
//! input that makes a difference is written to `artifacts/`; `FCSP_CALLS_INPUT` gives it to the test
//! `random_calls_…`, which prints the calls.

#![no_main]
#![allow(dead_code, reason = "what the tests share is used in part")]

use std::cell::RefCell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use fcsp_cuda as _;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/calls/arrays.rs"]
mod arrays;
#[path = "../../tests/calls/ask.rs"]
mod ask;
#[path = "../../tests/calls/bytes.rs"]
mod bytes;
#[path = "../../tests/calls/capturing.rs"]
mod capturing;
#[path = "../../tests/calls/contexts.rs"]
mod contexts;
#[path = "../../tests/calls/graphs.rs"]
mod graphs;
#[path = "../../tests/calls/linear.rs"]
mod linear;
#[path = "../../tests/calls/model.rs"]
mod model;
#[path = "../../tests/calls/pool_book.rs"]
mod pool_book;
#[path = "../../tests/calls/pools.rs"]
mod pools;
#[path = "../../tests/calls/rounds.rs"]
mod rounds;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/calls/vmm.rs"]
mod vmm;
#[path = "../../tests/calls/work.rs"]
mod work;
#[path = "../../tests/calls/world.rs"]
mod world;

use bytes::Bytes;
use support::library::Library;
use world::World;

/// Calls of a round at most.
const CALLS: usize = 400;

thread_local! {
    /// The drivers, opened once: a round ends with everything given back.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Sets up what a program under the library finds, and opens the drivers.
fn open() -> World {
    let driver = std::env::var_os("FCSP_FUZZ_DRIVER").map(PathBuf::from);
    let driver = driver.expect("FCSP_FUZZ_DRIVER names the simulated driver, see above");
    let run_dir = PathBuf::from(format!("/dev/shm/fcsp-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(run_dir.join("lib")).expect("shared memory");
    std::fs::copy(&driver, run_dir.join("lib/libcuda.so.1")).expect("a copy of the driver");
    let set = [
        ("BUD_MEMORY_LIMIT_DEV0", "6442450944".as_ref()),
        ("FCSP_LOG", "off".as_ref()),
        ("FCSP_RUN_DIR", run_dir.as_os_str()),
        ("FCSP_SIM_DEVICES", "2".as_ref()),
        ("FCSP_SIM_DIR", run_dir.join("sim").as_os_str()),
        ("FCSP_SIM_MEMORY_BYTES", "1125899906842624".as_ref()),
        ("FCSP_TENANT", support::TENANT.as_ref()),
    ]
    .map(|(name, value): (&str, &std::ffi::OsStr)| (name, value.to_owned()));
    for (name, value) in set {
        // SAFETY: the fuzzer has one thread, and no driver is open yet.
        unsafe { std::env::set_var(name, value) };
    }
    // By its path; from now on its name finds it.
    let driver = run_dir.join("lib/libcuda.so.1");
    let driver = CString::new(driver.as_os_str().as_bytes()).expect("no NUL");
    let _kept_open = Library::open(&driver);
    World::open()
}

fuzz_target!(|bytes: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let world = world.get_or_insert_with(open);
        let bytes = bytes.to_vec();
        world.bytes = Bytes::Given { bytes, at: 0 };
        rounds::round(world, CALLS);
        rounds::judge(world, "by this input");
    });
});
