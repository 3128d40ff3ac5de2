//! Work that takes device time goes through the gate while the tenant is held to a ceiling.

use crate::support::{Library, Stage, linked, run};
use fcsp_core::region::layout::SlotPages;
use fcsp_core::region::{Region, list, scan};
use fcsp_core::sync::Ordering::Acquire;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::ptr::null_mut;

/// A tenant with half of the device and never more.
const STRICT: [(&str, &str); 2] = [("BUD_SM_LIMIT", "50"), ("BUD_ISOLATION_MODE", "strict")];
/// Large enough to be submitted in its turn.
const LARGE: usize = 4 << 20;

/// A process's slot on the one device it uses.
fn slot_of(pid: u32, run_dir: &Path) -> &'static SlotPages {
    let found = list(run_dir).expect("readable").into_iter();
    let region = found.filter_map(|(_, region)| region.ok()).next();
    let region: &'static Region = Box::leak(Box::new(region.expect("one device")));
    let mine = scan::live_slots(region.layout()).find(|it| it.slot.pid.load(Acquire) == pid);
    &region.layout().slots[mine.expect("attached").index.0 as usize]
}

/// This process's own.
fn own_slot() -> &'static SlotPages {
    let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
    slot_of(std::process::id(), directory.as_ref())
}

/// Submissions that went through the gate while `call` ran.
fn gated(hip: &Library, call: impl FnOnce()) -> u64 {
    let slot = own_slot();
    assert_ne!(slot.slot.gate.gated.load(Acquire), 0, "held to a ceiling");
    ok!(hip, hipDeviceSynchronize());
    let before = slot.slot.queue.launches.load(Acquire);
    call();
    ok!(hip, hipDeviceSynchronize());
    slot.slot.queue.launches.load(Acquire) - before
}

#[test]
fn fills_and_copies_inside_the_device_are_gated_on_every_stream() {
    run(crate::here!(), &STRICT, |hip, major| {
        let (mut one, mut other, mut stream) = (null_mut(), null_mut(), null_mut());
        ok!(hip, hipMalloc(&mut one, LARGE));
        ok!(hip, hipMalloc(&mut other, LARGE));
        ok!(hip, hipStreamCreate(&mut stream));
        let copy = hip_sys::hipMemcpyKind::hipMemcpyDeviceToDevice;
        for stream in [stream, null_mut(), hip_sys::HIP_STREAM_PER_THREAD] {
            let fill = || ok!(hip, hipMemsetAsync(one, 1, LARGE, stream));
            assert_eq!(gated(hip, fill), 1, "{stream:?}");
            let copy = || ok!(hip, hipMemcpyAsync(other, one, LARGE, copy, stream));
            assert_eq!(gated(hip, copy), 1, "{stream:?}");
        }
        if major >= 6 {
            let thread = || ok!(hip, hipMemsetAsync_spt(one, 2, LARGE, null_mut()));
            assert_eq!(gated(hip, thread), 1);
        }
        ok!(hip, hipStreamDestroy(stream));
    });
}

#[test]
fn what_is_captured_is_gated_as_a_graph() {
    run(crate::here!(), &STRICT, |hip, _| {
        let (mut one, mut stream) = (null_mut(), null_mut());
        let (mut graph, mut exec) = (null_mut(), null_mut());
        ok!(hip, hipMalloc(&mut one, LARGE));
        ok!(hip, hipStreamCreate(&mut stream));
        let mode = hip_sys::hipStreamCaptureMode::hipStreamCaptureModeGlobal;
        let slot = own_slot();
        ok!(hip, hipDeviceSynchronize());
        let before = slot.slot.queue.launches.load(Acquire);
        ok!(hip, hipStreamBeginCapture(stream, mode));
        ok!(hip, hipMemsetAsync(one, 1, LARGE, stream));
        ok!(hip, hipStreamEndCapture(stream, &mut graph));
        assert_eq!(slot.slot.queue.launches.load(Acquire), before);
        ok!(
            hip,
            hipGraphInstantiate(&mut exec, graph, null_mut(), null_mut(), 0)
        );
        let launch = || ok!(hip, hipGraphLaunch(exec, stream));
        assert_eq!(gated(hip, launch), 1);
        ok!(hip, hipGraphExecDestroy(exec));
        ok!(hip, hipGraphDestroy(graph));
    });
}

/// Ways to launch a kernel, as the compiler translates them. Each is a launch of its own.
const LAUNCHES: u64 = 4;

#[test]
fn kernels_of_compiled_programs_are_gated() {
    for options in [&[][..], &["-fgpu-default-stream=per-thread"][..]] {
        let stage = Stage::new(crate::here!());
        let program = stage.file("kernels");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limits/kernels.cpp");
        let compiled = Command::new("hipcc")
            .args(["--offload-arch=gfx90a", "-O1"])
            .args(options)
            .arg("-o")
            .args([&program, &source])
            .output();
        let compiled = match compiled {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fcsp_skipped::skip("hipcc is not installed (Debian: apt-get install hipcc)");
                return;
            }
            other => other.expect("hipcc starts"),
        };
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{said}");
        // The version that hipcc is of.
        stage.link(&linked(5), "libamdhip64.so.5");
        let mut child = stage
            .program(&program)
            .envs(STRICT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        output.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "launched");
        let slot = slot_of(child.id(), &stage.directory);
        assert_eq!(
            slot.slot.queue.launches.load(Acquire),
            LAUNCHES,
            "{options:?}"
        );
        drop(child.stdin.take());
        assert!(child.wait().expect("it ends").success());
    }
}
