//! Question: what does a wrapper add to a call of a driver function that does nothing?
//!
//! Baseline: the toy driver's function called through a pointer, as every dynamically linked call is. Both are timed in
//! one process, in turns, with the example library preloaded as it would be. Prints the median over rounds and the
//! spread between the 10th and the 90th percentile, in nanoseconds a call.

use std::ffi::{CString, c_int, c_void};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

type Launch = unsafe extern "C" fn(c_int) -> c_int;

const ROUNDS: usize = 101;
const CALLS: u32 = 200_000;
/// Tells the second start of this program that it runs preloaded.
const PRELOADED: &str = "FCSP_BENCH_PRELOADED";

fn main() {
    let exe = std::env::current_exe().expect("a bench knows where it is");
    if std::env::var_os(PRELOADED).is_none() {
        let error = Command::new(&exe)
            .env(PRELOADED, "1")
            .env("LD_PRELOAD", exe.with_file_name("libfcsp_example.so"))
            .env("LD_LIBRARY_PATH", build_driver())
            .exec();
        panic!("cannot start again: {error}");
    }
    let handle = open("libtoy.so.1");
    let driver = driver_function(handle, "toyLaunch");
    let wrapper = function(handle, "toyLaunch");
    assert_ne!(
        wrapper as *const (), driver as *const (),
        "the library is preloaded"
    );
    let contestants = [
        ("driver, called through a pointer", driver),
        ("wrapper with guard and panic border", wrapper),
        ("wrapper, fast path", function(handle, "toyQuickLaunch")),
        ("driver again", driver_function(handle, "toyQuickLaunch")),
    ];
    let mut times = contestants.map(|_| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for ((_, function), times) in contestants.iter().zip(&mut times) {
            times.push(time_ns(*function));
        }
    }
    let mut baseline_ns = None;
    for ((name, _), times) in contestants.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(ROUNDS - 1) * percent / 100];
        let added = at(50) - *baseline_ns.get_or_insert(at(50));
        println!(
            "{name:36} {:6.2} ns (10 % {:.2}, 90 % {:.2}), added {added:+.2} ns",
            at(50),
            at(10),
            at(90)
        );
    }
}

fn time_ns(function: Launch) -> f64 {
    let function = std::hint::black_box(function);
    let start = Instant::now();
    for kernel in 0..CALLS {
        // SAFETY: the toy driver takes any number, except two that make the example panic and are passed over.
        unsafe { function(std::hint::black_box((kernel | 16) as c_int)) };
    }
    start.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn build_driver() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/toy.c");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    std::fs::create_dir_all(&directory).expect("cargo gives benches a writable directory");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-Wl,-soname,libtoy.so.1", "-o"])
        .arg(directory.join("libtoy.so.1"))
        .arg(source)
        .status()
        .expect("a C compiler named cc");
    assert!(status.success(), "cc toy.c: {status}");
    directory
}

fn open(name: &str) -> *mut c_void {
    let name = CString::new(name).expect("no NUL");
    // SAFETY: a valid name; the toy driver has no initializers.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null(), "{name:?} loads");
    handle
}

fn function(handle: *mut c_void, name: &str) -> Launch {
    let name = CString::new(name).expect("no NUL");
    // SAFETY: a valid handle and name.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    assert!(!address.is_null(), "{name:?} exists");
    // SAFETY: both launch functions have this type.
    unsafe { std::mem::transmute::<*mut c_void, Launch>(address) }
}

/// The driver's own function, which the preloaded `dlsym` would replace.
fn driver_function(handle: *mut c_void, name: &str) -> Launch {
    let name = CString::new(name).expect("no NUL");
    let dlsym = fcsp_preload::resolve::real_dlsym().expect("the C library has dlsym");
    // SAFETY: a valid handle and name.
    let address = unsafe { dlsym(handle, name.as_ptr()) };
    // SAFETY: both launch functions have this type.
    unsafe { std::mem::transmute::<*mut c_void, Launch>(address) }
}
