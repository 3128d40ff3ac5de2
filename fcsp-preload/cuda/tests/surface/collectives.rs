//! Communication kernels, and two jobs on two devices.

use crate::seen::{function, own_slot, pinned, regions, run, run_gated, work};
use crate::support::Library;
use cuda_sys::{CUfunction, CUresult, CUstream};
use fcsp_core::sync::Ordering::Acquire;
use std::ffi::c_void;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::ptr::null_mut;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// A rank's part of a collective: see the simulated driver's launches.
fn meet(cuda: &Library, kernel: CUfunction, words: [u64; 2], number: u32, stream: CUstream) {
    let ([mut mine, mut theirs], mut number) = (words, number);
    let mut params: [*mut c_void; 3] = [
        (&raw mut mine).cast(),
        (&raw mut theirs).cast(),
        (&raw mut number).cast(),
    ];
    let params = params.as_mut_ptr();
    let result = cu!(
        cuda,
        cuLaunchKernel(kernel, 16, 1, 1, 512, 1, 1, 0, stream, params, null_mut())
    );
    assert_eq!(result, CUresult::CUDA_SUCCESS);
}

#[test]
fn a_communication_kernel_is_not_held_back_and_no_turn_waits_for_it() {
    run_gated(crate::here!(), |cuda, it| {
        let kernel = function(cuda, c"ncclDevKernel_Simulated");
        let own = it.stream();
        let words = it.pinned(64) as u64;
        let met = || {
            meet(cuda, kernel, [words, words], 1, own);
            assert!(!it.is_open(), "what came before has ended");
        };
        assert_eq!(it.gated(met), 0);
        it.open_segment(100, own);
        meet(cuda, kernel, [words, words], 2, own);
        assert!(!it.is_open());
        it.settle();
    });
}

const ROLE: &str = "FCSP_TEST_JOB";
/// Compute between two collectives.
const KERNELS: u32 = 20;
const KERNEL_US: u32 = 100;

/// Two devices, two jobs with half of each.
const JOBS: &[(&str, &str)] = &[
    ("FCSP_TENANT", "one"),
    ("BUD_SM_LIMIT", "50"),
    ("FCSP_SIM_DEVICES", "2"),
];

/// A rank: computes and meets the other until `end`; how often it met.
fn rank(cuda: &Library, ordinal: i32, words: [u64; 2], start: &Barrier, end: Duration) -> u32 {
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, ordinal));
    ok!(cuda, cuCtxSetCurrent(context));
    let (compute, kernel) = (
        function(cuda, c"fcsp_work"),
        function(cuda, c"ncclDevKernel_Simulated"),
    );
    let mut own = null_mut();
    ok!(cuda, cuStreamCreate(&mut own, 1));
    start.wait();
    let began = Instant::now();
    let mut met = 0;
    while began.elapsed() < end {
        met += 1;
        for _ in 0..KERNELS {
            assert_eq!(work(cuda, compute, KERNEL_US, own), CUresult::CUDA_SUCCESS);
        }
        meet(cuda, kernel, words, met, own);
        if met % 4 == 0 {
            ok!(cuda, cuStreamSynchronize(own));
        }
    }
    // The other may have begun one more.
    let last = u32::MAX / 4;
    meet(cuda, kernel, words, last, own);
    ok!(cuda, cuStreamSynchronize(own));
    met
}

/// A job with a rank on each device; collectives, and segments given up on.
fn job(cuda: &Library) -> (u32, u32) {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(60));
        eprintln!("the jobs wait for each other");
        std::process::exit(1);
    });
    ok!(cuda, cuInit(0));
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    ok!(cuda, cuCtxSetCurrent(context));
    let words = pinned(cuda, 256) as u64;
    let words = [words, words + 128];
    let (start, end) = (Barrier::new(2), Duration::from_secs(2));
    let met = std::thread::scope(|scope| {
        let other = scope.spawn(|| rank(cuda, 1, [words[1], words[0]], &start, end));
        rank(cuda, 0, words, &start, end).min(other.join().expect("the other rank"))
    });
    let overdue = regions()
        .into_iter()
        .map(|region| own_slot(region).slot.compute.overdue.load(Acquire))
        .sum();
    (met, overdue)
}

fn start_other() -> Child {
    Command::new(std::env::current_exe().expect("own path"))
        .args(std::env::args().skip(1))
        .env(ROLE, "other")
        .env("FCSP_TENANT", "two")
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

#[test]
fn two_jobs_on_two_devices_do_not_wait_for_each_others_turns() {
    run(crate::here!(), JOBS, |cuda| {
        if std::env::var_os(ROLE).is_some() {
            let (met, overdue) = job(cuda);
            println!("\nmet {met} {overdue}");
            return;
        }
        let mut other = start_other();
        let (met, overdue) = job(cuda);
        let mut text = String::new();
        let mut pipe = other.stdout.take().expect("piped");
        pipe.read_to_string(&mut text).expect("text");
        let said = text.lines().find_map(|line| line.strip_prefix("met "));
        let said = said.expect("the other job came to its end");
        assert!(other.wait().expect("ends").success());
        let numbers: Vec<u32> = said.split(' ').filter_map(|n| n.parse().ok()).collect();
        let all = format!("one: {met} {overdue}; two: {numbers:?}");
        // With a turn that waits for ever there would be none. How many there are is the machine's; that
        // no turn waits is shown in virtual time, in the core's tests.
        assert!(met >= 5 && numbers[0] >= 5, "{all}");
    });
}
