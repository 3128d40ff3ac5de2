//! Streams, events, memory words, captures and graphs as a program sees them.

#[path = "support/driver.rs"]
mod driver;
mod support;

use cuda_sys::{
    CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUgraph, CUgraphExec, CUresult, CUstream,
    CUstreamCaptureMode, CUstreamCaptureStatus,
};
use driver::{count, driver, stream, word};
use std::ffi::c_void;
use std::ptr::null;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;
use std::time::Instant;

type R = CUresult;

#[test]
fn streams_wait_on_registered_memory() {
    let (cuda, _alone) = driver();
    let page = tempfile::tempfile_in("/dev/shm").expect("file");
    page.set_len(4096).expect("length");
    let map = memmap2::MmapRaw::map_raw(&page).expect("mapping");
    let base = map.as_mut_ptr() as u64;
    let gated = stream(cuda, 1);
    let unknown = cu!(cuda, cuStreamWaitValue32_v2(gated, base, 1, 0));
    assert_eq!(unknown, R::CUDA_ERROR_INVALID_VALUE);
    ok!(cuda, cuMemHostRegister_v2(map.as_mut_ptr().cast(), 4096, 0));
    let twice = cu!(cuda, cuMemHostRegister_v2(map.as_mut_ptr().cast(), 4096, 0));
    assert_eq!(twice, R::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    let mut device = 0;
    ok!(
        cuda,
        cuMemHostGetDevicePointer_v2(&mut device, map.as_mut_ptr().cast(), 0)
    );
    assert_eq!(device, base);
    let odd = cu!(cuda, cuStreamWaitValue32_v2(gated, base + 2, 1, 0));
    assert_eq!(odd, R::CUDA_ERROR_INVALID_VALUE);
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(64);
    ok!(cuda, cuStreamWaitValue32_v2(gated, base, 5, 0));
    assert_eq!(cuda.work(work, 200, counter, gated).0, 0);
    ok!(cuda, cuStreamWriteValue64_v2(gated, base + 8, 1 << 40, 0));
    std::thread::sleep(Duration::from_millis(3));
    assert_eq!(cu!(cuda, cuStreamQuery(gated)), R::CUDA_ERROR_NOT_READY);
    assert_eq!((count(counter), count(base + 8)), (0, 0));
    word(base).store(6, Release);
    ok!(cuda, cuStreamSynchronize(gated));
    assert_eq!((count(counter), count(base + 8)), (200_000, 1 << 40));
    ok!(cuda, cuMemHostUnregister(map.as_mut_ptr().cast()));
    let again = cu!(cuda, cuMemHostUnregister(map.as_mut_ptr().cast()));
    assert_eq!(again, R::CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    ok!(cuda, cuStreamDestroy_v2(gated));
}

#[test]
fn events_measure_device_time() {
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let own = stream(cuda, 1);
    let mut events = [null_mut(); 3];
    for (event, flags) in events.iter_mut().zip([0, 0, 2]) {
        ok!(cuda, cuEventCreate(event, flags));
    }
    let mut ms = 0.0;
    ok!(cuda, cuEventQuery(events[0]));
    let unrecorded = cu!(cuda, cuEventElapsedTime_v2(&mut ms, events[0], events[1]));
    assert_eq!(unrecorded, R::CUDA_ERROR_INVALID_HANDLE);
    ok!(cuda, cuEventRecord(events[0], own));
    for _ in 0..10 {
        assert_eq!(cuda.work(work, 500, 0, own).0, 0);
    }
    ok!(cuda, cuEventRecord(events[1], own));
    ok!(cuda, cuEventRecord(events[2], own));
    assert_eq!(cu!(cuda, cuEventQuery(events[1])), R::CUDA_ERROR_NOT_READY);
    let pending = cu!(cuda, cuEventElapsedTime_v2(&mut ms, events[0], events[1]));
    assert_eq!(pending, R::CUDA_ERROR_NOT_READY);
    ok!(cuda, cuEventSynchronize(events[1]));
    ok!(cuda, cuEventElapsedTime_v2(&mut ms, events[0], events[1]));
    assert!((4.9..50.0).contains(&ms), "5 ms of work took {ms} ms");
    let untimed = cu!(cuda, cuEventElapsedTime_v2(&mut ms, events[0], events[2]));
    assert_eq!(untimed, R::CUDA_ERROR_INVALID_HANDLE);
    for event in events {
        ok!(cuda, cuEventDestroy_v2(event));
    }
    ok!(cuda, cuStreamDestroy_v2(own));
}

#[test]
fn default_streams_differ_by_symbol() {
    let (cuda, _alone) = driver();
    let id = |handle: CUstream| {
        let mut id = 0;
        ok!(cuda, cuStreamGetId(handle, &mut id));
        id
    };
    let mut thread_id = 0;
    ok!(cuda, cuStreamGetId_ptsz(null_mut(), &mut thread_id));
    assert_eq!(id(null_mut()), id(CU_STREAM_LEGACY));
    assert_eq!(thread_id, id(CU_STREAM_PER_THREAD));
    assert_ne!(id(CU_STREAM_LEGACY), id(CU_STREAM_PER_THREAD));
    let mut context = null_mut();
    ok!(cuda, cuCtxGetCurrent(&mut context));
    // Handles are plain numbers to whoever passes them on.
    let (context, mine) = (context as usize, id(CU_STREAM_PER_THREAD));
    let theirs = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(
                cu!(cuda, cuStreamQuery(null_mut())),
                R::CUDA_ERROR_INVALID_CONTEXT
            );
            ok!(cuda, cuCtxSetCurrent(context as *mut _));
            id(CU_STREAM_PER_THREAD)
        });
        other.join().expect("no panic")
    });
    assert_ne!(mine, theirs);
}

#[test]
fn captured_work_runs_when_the_graph_is_launched() {
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(64);
    let (main, side) = (stream(cuda, 1), stream(cuda, 1));
    let mut fork_join = [null_mut(); 2];
    for event in &mut fork_join {
        ok!(cuda, cuEventCreate(event, 2));
    }
    let mut address = 0;
    ok!(cuda, cuMemAlloc_v2(&mut address, 4096));
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    ok!(cuda, cuStreamBeginCapture_v2(main, mode));
    let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    ok!(cuda, cuStreamIsCapturing(main, &mut status));
    assert_eq!(
        status,
        CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE
    );
    assert_eq!(cuda.work(work, 100, counter, main).0, 0);
    ok!(cuda, cuEventRecord(fork_join[0], main));
    ok!(cuda, cuStreamWaitEvent(side, fork_join[0], 0));
    assert_eq!(cuda.work(work, 100, counter, side).0, 0);
    ok!(cuda, cuMemsetD8Async(address, 3, 4096, side));
    ok!(cuda, cuEventRecord(fork_join[1], side));
    ok!(cuda, cuStreamWaitEvent(main, fork_join[1], 0));
    assert_eq!(cuda.work(work, 100, counter, main).0, 0);
    let refused = cu!(cuda, cuMemAlloc_v2(&mut 0, 4096));
    assert_eq!(refused, R::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    let mut graph: CUgraph = null_mut();
    ok!(cuda, cuStreamEndCapture(main, &mut graph));
    assert_eq!(count(counter), 0, "capturing ran the work");
    let mut nodes = 0;
    ok!(cuda, cuGraphGetNodes(graph, null_mut(), &mut nodes));
    assert_eq!(nodes, 4);
    let mut exec: CUgraphExec = null_mut();
    ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, graph, 0));
    let began = Instant::now();
    for _ in 0..5 {
        ok!(cuda, cuGraphLaunch(exec, main));
    }
    ok!(cuda, cuStreamSynchronize(main));
    assert_eq!(count(counter), 5 * 300_000);
    assert!(began.elapsed().as_secs_f64() > 0.00147);
    let mut byte = 0_u8;
    ok!(
        cuda,
        cuMemcpyDtoH_v2((&raw mut byte).cast(), address + 4095, 1)
    );
    assert_eq!(byte, 3);
    ok!(cuda, cuGraphExecDestroy(exec));
    ok!(cuda, cuGraphDestroy(graph));
    assert_eq!(
        cu!(cuda, cuGraphDestroy(graph)),
        R::CUDA_ERROR_INVALID_HANDLE
    );
    ok!(cuda, cuMemFree_v2(address));
}

#[test]
fn a_capture_is_spoilt_by_what_it_forbids() {
    let (cuda, _alone) = driver();
    let (main, side) = (stream(cuda, 1), stream(cuda, 1));
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
    let mut graph: CUgraph = null_mut();
    ok!(cuda, cuStreamBeginCapture_v2(main, mode));
    let waited = cu!(cuda, cuStreamSynchronize(main));
    assert_eq!(waited, R::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    let ended = cu!(cuda, cuStreamEndCapture(main, &mut graph));
    assert_eq!(ended, R::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assert!(graph.is_null());
    ok!(cuda, cuStreamSynchronize(main));
    // A stream that joined has to be joined back.
    let work = cuda.kernel(c"fcsp_work");
    let mut event = null_mut();
    ok!(cuda, cuEventCreate(&mut event, 2));
    ok!(cuda, cuStreamBeginCapture_v2(main, mode));
    ok!(cuda, cuEventRecord(event, main));
    ok!(cuda, cuStreamWaitEvent(side, event, 0));
    assert_eq!(cuda.work(work, 1, 0, side).0, 0);
    let ended = cu!(cuda, cuStreamEndCapture(main, &mut graph));
    assert_eq!(ended, R::CUDA_ERROR_STREAM_CAPTURE_UNJOINED);
    ok!(cuda, cuStreamSynchronize(side));
    let legacy = cu!(cuda, cuStreamBeginCapture_v2(null_mut(), mode));
    assert_eq!(legacy, R::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

#[test]
fn graphs_can_be_built_by_hand() {
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(64);
    let (mut iterations, mut place, mut add) = (1000_u32, counter, 7_u64);
    let mut values: [*mut c_void; 3] = [
        (&raw mut iterations).cast(),
        (&raw mut place).cast(),
        (&raw mut add).cast(),
    ];
    let params = cuda_sys::CUDA_KERNEL_NODE_PARAMS {
        func: work,
        gridDimX: 1,
        gridDimY: 1,
        gridDimZ: 1,
        blockDimX: 32,
        blockDimY: 1,
        blockDimZ: 1,
        kernelParams: values.as_mut_ptr(),
        ..Default::default()
    };
    let (mut graph, mut first, mut second, mut exec) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    ok!(cuda, cuGraphCreate(&mut graph, 0));
    ok!(
        cuda,
        cuGraphAddKernelNode_v2(&mut first, graph, null(), 0, &params)
    );
    ok!(
        cuda,
        cuGraphAddKernelNode_v2(&mut second, graph, &first, 1, &params)
    );
    let mut roots = [null_mut(); 2];
    let mut number = 2;
    ok!(
        cuda,
        cuGraphGetRootNodes(graph, roots.as_mut_ptr(), &mut number)
    );
    assert_eq!((number, roots[0]), (1, first));
    ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, graph, 0));
    ok!(cuda, cuGraphLaunch(exec, null_mut()));
    ok!(cuda, cuCtxSynchronize());
    assert_eq!(count(counter), 14);
}

#[test]
fn host_functions_run_in_stream_order() {
    unsafe extern "C" fn note(data: *mut c_void) {
        let counter = data as u64;
        // SAFETY: the test's page-locked memory: what the kernel counted so far.
        unsafe { ((counter + 8) as *mut u64).write(count(counter)) };
    }
    let (cuda, _alone) = driver();
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(64);
    let own = stream(cuda, 0);
    assert_eq!(cuda.work(work, 300, counter, own).0, 0);
    ok!(
        cuda,
        cuLaunchHostFunc(own, Some(note), counter as *mut c_void)
    );
    assert_eq!(cuda.work(work, 300, counter, own).0, 0);
    ok!(cuda, cuStreamSynchronize(own));
    assert_eq!((count(counter), count(counter + 8)), (600_000, 300_000));
    assert_eq!(
        cu!(cuda, cuLaunchHostFunc(own, None, null_mut())),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuStreamDestroy_v2(own));
}

#[test]
fn streams_of_two_devices_wait_for_each_other() {
    let (cuda, _alone) = driver();
    let (mut first, mut second) = (null_mut(), null_mut());
    ok!(cuda, cuCtxGetCurrent(&mut first));
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut second, 1));
    let here = stream(cuda, 1);
    let mut event = null_mut();
    ok!(cuda, cuEventCreate(&mut event, 2));
    let work = cuda.kernel(c"fcsp_work");
    let counter = cuda.pinned(64);
    assert_eq!(cuda.work(work, 3000, counter, here).0, 0);
    ok!(cuda, cuEventRecord(event, here));
    ok!(cuda, cuCtxPushCurrent_v2(second));
    let there = stream(cuda, 1);
    ok!(cuda, cuStreamWaitEvent(there, event, 0));
    assert_eq!(cuda.work(work, 10, counter, there).0, 0);
    ok!(cuda, cuStreamSynchronize(there));
    assert_eq!(count(counter), 3_010_000);
    let mut popped = null_mut();
    ok!(cuda, cuCtxPopCurrent_v2(&mut popped));
    assert_eq!(popped, second);
    ok!(cuda, cuDevicePrimaryCtxRelease_v2(1));
}
