//! A tenant of the simulated device, started by the tests as a process of its own.
//!
//! `sim-tenant saturate <kernel us> <start ns> <end ns>` keeps the device busy and prints the device
//! time it got between the two times of CLOCK_MONOTONIC.
//! `sim-tenant leased <kernel us> <segment us> <words file> <index> <start ns> <end ns>` does the
//! same behind gates: segment n waits for word `2 * index` to reach n and then writes n to the next.
//! `sim-tenant hold <bytes>` allocates, says `holding` or `refused`, and waits to be killed.
//! `sim-tenant churn` allocates, launches and frees until it is killed.
//! `sim-tenant open <hex handle>` opens a memory handle and prints its first byte, then writes 9.

#[path = "mod.rs"]
mod support;

use cuda_sys::CUstream;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use support::{Cuda, now_ns, sleep_until};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> u64 { args[at].parse().expect("a number") };
    match args[0].as_str() {
        "saturate" => saturate(number(1) as u32, number(2), number(3)),
        "leased" => {
            let lease = Lease {
                segment_us: number(2) as u32,
                words: args[3].clone(),
                index: number(4),
            };
            leased(number(1) as u32, &lease, number(5), number(6));
        }
        "hold" => hold(number(1)),
        "churn" => churn(),
        "open" => open(&args[1]),
        other => panic!("unknown role {other}"),
    }
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("stdout");
}

/// Prints what a counter gained between two times, from a thread of its own.
fn report(counter: u64, start_ns: u64, end_ns: u64) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        // SAFETY: page-locked memory that lives as long as the process.
        let counter = unsafe { AtomicU64::from_ptr(counter as *mut u64) };
        sleep_until(start_ns);
        let first = (now_ns(), counter.load(Acquire));
        sleep_until(end_ns);
        let last = (now_ns(), counter.load(Acquire));
        say(&format!("{} {}", last.1 - first.1, last.0 - first.0));
    })
}

fn saturate(us: u32, start_ns: u64, end_ns: u64) {
    let (cuda, _) = Cuda::with_context();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(4096);
    let reporter = report(counter, start_ns, end_ns);
    let mut stream: CUstream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, 1));
    let mut events = [null_mut(); 2];
    for event in &mut events {
        ok!(cuda, cuEventCreate(event, 2));
    }
    // Two batches of some 10 ms in turn: always one queued while the other runs.
    let batch = (10_000 / us).max(1);
    for turn in 0.. {
        if now_ns() >= end_ns + 20_000_000 {
            break;
        }
        ok!(cuda, cuEventSynchronize(events[turn % 2]));
        for _ in 0..batch {
            assert_eq!(cuda.work(work, us, counter, stream).0, 0);
        }
        ok!(cuda, cuEventRecord(events[turn % 2], stream));
    }
    reporter.join().expect("reporter");
}

struct Lease {
    segment_us: u32,
    words: String,
    index: u64,
}

fn leased(us: u32, lease: &Lease, start_ns: u64, end_ns: u64) {
    let (cuda, _) = Cuda::with_context();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(4096);
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&lease.words)
        .expect("words");
    // SAFETY: a fresh shared mapping of a page of the file.
    let words = unsafe {
        libc::mmap(
            null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    ok!(cuda, cuMemHostRegister_v2(words, 4096, 0));
    let reporter = report(counter, start_ns, end_ns);
    let mut stream: CUstream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, 1));
    let (grant, done) = (
        words as u64 + lease.index * 128,
        words as u64 + lease.index * 128 + 64,
    );
    let mut events = [null_mut(); 3];
    for event in &mut events {
        ok!(cuda, cuEventCreate(event, 2));
    }
    // Three segments ahead of the device.
    for segment in 1_u32.. {
        if now_ns() >= end_ns + 20_000_000 {
            break;
        }
        ok!(cuda, cuEventSynchronize(events[segment as usize % 3]));
        ok!(cuda, cuStreamWaitValue32_v2(stream, grant, segment, 0));
        for _ in 0..lease.segment_us / us {
            assert_eq!(cuda.work(work, us, counter, stream).0, 0);
        }
        ok!(cuda, cuStreamWriteValue32_v2(stream, done, segment, 0));
        ok!(cuda, cuEventRecord(events[segment as usize % 3], stream));
    }
    reporter.join().expect("reporter");
    std::process::exit(0);
}

fn hold(bytes: u64) {
    let (cuda, _) = Cuda::with_context();
    let mut address = 0;
    let code = cu!(cuda, cuMemAlloc_v2(&mut address, bytes as usize));
    if code == cuda_sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return say("refused");
    }
    assert_eq!(code.0, 0);
    say("holding");
    loop {
        std::thread::park();
    }
}

fn churn() {
    let (cuda, _) = Cuda::with_context();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(4096);
    say("churning");
    loop {
        let mut address = 0;
        ok!(cuda, cuMemAllocAsync(&mut address, 3 << 20, null_mut()));
        assert_eq!(cuda.work(work, 20, counter, null_mut()).0, 0);
        ok!(cuda, cuMemFreeAsync(address, null_mut()));
    }
}

fn open(hex: &str) {
    let (cuda, _) = Cuda::with_context();
    let mut handle = cuda_sys::CUipcMemHandle::default();
    for (at, byte) in handle.reserved.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex") as std::ffi::c_char;
    }
    let mut address = 0;
    ok!(cuda, cuIpcOpenMemHandle_v2(&mut address, handle, 1));
    let mut byte = 0_u8;
    ok!(cuda, cuMemcpyDtoH_v2((&raw mut byte).cast(), address, 1));
    say(&byte.to_string());
    ok!(cuda, cuMemsetD8_v2(address, 9, 1));
    ok!(cuda, cuCtxSynchronize());
    ok!(cuda, cuIpcCloseMemHandle(address));
}
