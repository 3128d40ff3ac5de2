//! The driver's ABI, called as a program calls it: through dlopen, in one process.

mod support;

use cuda_sys::{
    CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUdevice_attribute_enum, CUgraph, CUgraphExec,
    CUmemAccessDesc, CUmemAllocationProp, CUmemLocationType, CUmemoryPool, CUresult, CUstream,
    CUstreamCaptureMode, CUstreamCaptureStatus,
};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::{dangling_mut, null, null_mut};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};
use support::Cuda;

type R = CUresult;

const ATTRIBUTES: &str = include_str!("../oracle/device-attributes.csv");
const ADDRESSES: &str = include_str!("../oracle/cuGetProcAddress.csv");

/// The driver with a current context; one test at a time, since the device is one.
fn driver() -> (&'static Cuda, MutexGuard<'static, ()>) {
    static CUDA: OnceLock<(Cuda, tempfile::TempDir)> = OnceLock::new();
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let (cuda, _) = CUDA.get_or_init(|| {
        let dir = tempfile::tempdir_in("/dev/shm").expect("shared memory");
        // SAFETY: the other tests of this program wait in `driver` at this time.
        unsafe {
            std::env::set_var("FCSP_SIM_DIR", dir.path());
            std::env::set_var("FCSP_SIM_DEVICES", "2");
        }
        let cuda = Cuda::open();
        assert_eq!(
            cu!(cuda, cuDeviceGet(&mut 0, 0)),
            R::CUDA_ERROR_NOT_INITIALIZED
        );
        assert_eq!(cu!(cuda, cuInit(1)), R::CUDA_ERROR_INVALID_VALUE);
        ok!(cuda, cuInit(0));
        (cuda, dir)
    });
    let mut context = null_mut();
    ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
    ok!(cuda, cuCtxSetCurrent(context));
    (cuda, alone)
}

fn stream(cuda: &Cuda, flags: u32) -> CUstream {
    let mut stream = null_mut();
    ok!(cuda, cuStreamCreate(&mut stream, flags));
    stream
}

fn count(address: u64) -> u64 {
    // SAFETY: page-locked memory of a test, aligned.
    unsafe { std::sync::atomic::AtomicU64::from_ptr(address as *mut u64) }.load(Acquire)
}

fn word(address: u64) -> &'static AtomicU32 {
    // SAFETY: page-locked memory of a test that is never freed, aligned.
    unsafe { AtomicU32::from_ptr(address as *mut u32) }
}

#[test]
fn devices_answer_like_the_recorded_one() {
    let (cuda, _alone) = driver();
    let mut devices = 0;
    ok!(cuda, cuDeviceGetCount(&mut devices));
    assert_eq!(devices, 2);
    assert_eq!(
        cu!(cuda, cuDeviceGet(&mut 0, 2)),
        R::CUDA_ERROR_INVALID_DEVICE
    );
    assert_eq!(
        cu!(cuda, cuDeviceGet(&mut 0, -1)),
        R::CUDA_ERROR_INVALID_DEVICE
    );
    assert_eq!(
        cu!(cuda, cuDeviceGet(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    let mut name = [0; 64];
    ok!(cuda, cuDeviceGetName(name.as_mut_ptr(), 64, 0));
    // SAFETY: ended by the driver.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }
        .to_str()
        .expect("text");
    assert!(name.contains("simulated"), "{name}");
    let mut version = 0;
    ok!(cuda, cuDriverGetVersion(&mut version));
    assert_eq!(version, 13000);
    // The PCI address is the device's own, MPS a matter of the environment.
    let own = [33, 34, 50, 133];
    for line in ATTRIBUTES.lines().skip(1) {
        let row: Vec<c_int> = line
            .split(',')
            .map(|n| n.parse().expect("a number"))
            .collect();
        if own.contains(&row[0]) {
            continue;
        }
        let mut value = 0;
        let attribute = CUdevice_attribute_enum(row[0] as u32);
        let code = cu!(cuda, cuDeviceGetAttribute(&mut value, attribute, 0));
        assert_eq!(
            (code.0 as c_int, value),
            (row[1], row[2]),
            "attribute {}",
            row[0]
        );
    }
    let (mut a, mut b) = (cuda_sys::CUuuid::default(), cuda_sys::CUuuid::default());
    ok!(cuda, cuDeviceGetUuid_v2(&mut a, 0));
    ok!(cuda, cuDeviceGetUuid_v2(&mut b, 1));
    assert_ne!(a.bytes, b.bytes);
}

#[test]
fn procedure_addresses_are_the_recorded_ones() {
    let (cuda, _alone) = driver();
    let real: HashMap<&str, *mut c_void> = ADDRESSES
        .lines()
        .skip(1)
        .flat_map(|line| line.rsplit(',').next().unwrap_or("").split('|'))
        .map(|symbol| (symbol, cuda.symbol(symbol)))
        .collect();
    let mut checked = 0;
    for line in ADDRESSES.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let name = CString::new(fields[0]).expect("no NUL");
        let (flags, version) = (
            fields[1].parse().expect("flags"),
            fields[2].parse().expect("version"),
        );
        let (mut address, mut status) = (
            dangling_mut::<c_void>(),
            cuda_sys::CUdriverProcAddressQueryResult(9),
        );
        ok!(
            cuda,
            cuGetProcAddress_v2(name.as_ptr(), &mut address, version, flags, &mut status)
        );
        let symbol = fields[4].split('|').next().unwrap_or("");
        let wanted = real.get(symbol).copied().unwrap_or(null_mut());
        match fields[3] {
            "0/0" => {
                assert_eq!(address, wanted, "{line}");
                assert_eq!(status.0, u32::from(wanted.is_null()), "{line}");
            }
            answer => {
                assert!(address.is_null(), "{line}");
                assert_eq!(format!("0/{}", status.0), answer, "{line}");
            }
        }
        checked += 1;
    }
    assert!(checked > 2900);
    let mut address = null_mut();
    let missing = cu!(
        cuda,
        cuGetProcAddress(c"cuNothing".as_ptr(), &mut address, 12000, 0)
    );
    assert_eq!(missing, R::CUDA_ERROR_NOT_FOUND);
    let null_status = null_mut();
    let code = cu!(
        cuda,
        cuGetProcAddress_v2(null(), &mut address, 12000, 0, null_status)
    );
    assert_eq!(code, R::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn null_and_unknown_handles_are_refused() {
    let (cuda, _alone) = driver();
    for odd in [0x10_usize, 0x1234, 0x7fff_ffff_fff2, usize::MAX] {
        let handle = odd as *mut c_void;
        assert_eq!(
            cu!(cuda, cuStreamSynchronize(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuStreamDestroy_v2(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuEventQuery(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuEventDestroy_v2(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuModuleUnload(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuGraphLaunch(handle.cast(), null_mut())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuCtxSetCurrent(handle.cast())),
            R::CUDA_ERROR_INVALID_CONTEXT
        );
        assert_eq!(
            cu!(cuda, cuMemFree_v2(odd as u64)),
            R::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            cu!(cuda, cuMemRelease(odd as u64)),
            R::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            cuda.work(handle.cast(), 1, 0, null_mut()),
            R::CUDA_ERROR_INVALID_HANDLE
        );
    }
    assert_eq!(
        cu!(cuda, cuStreamCreate(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuStreamCreate(&mut null_mut(), 8)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuEventCreate(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(null_mut(), 1)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(&mut 0, 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuModuleLoadData(&mut null_mut(), null())),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemGetInfo_v2(null_mut(), null_mut()));
    let binary = *b"\x7fELF\x02\x01\x01\0";
    let code = cu!(
        cuda,
        cuModuleLoadData(&mut null_mut(), binary.as_ptr().cast())
    );
    assert_eq!(code, R::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let nonsense = c"not PTX";
    let code = cu!(
        cuda,
        cuModuleLoadData(&mut null_mut(), nonsense.as_ptr().cast())
    );
    assert_eq!(code, R::CUDA_ERROR_INVALID_PTX);
    let mut text = null();
    assert_eq!(
        cu!(
            cuda,
            cuGetErrorName(cuda_sys::cudaError_enum(31_337), &mut text)
        ),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert!(text.is_null());
    ok!(cuda, cuGetErrorName(R::CUDA_ERROR_OUT_OF_MEMORY, &mut text));
    // SAFETY: a text of the driver's.
    assert_eq!(unsafe { CStr::from_ptr(text) }, c"CUDA_ERROR_OUT_OF_MEMORY");
}

#[test]
fn memory_has_contents_and_limits() {
    let (cuda, _alone) = driver();
    let (mut free, mut total) = (0, 0);
    ok!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
    let mut address = 0;
    ok!(cuda, cuMemAlloc_v2(&mut address, 64 << 20));
    let mut less = 0;
    ok!(cuda, cuMemGetInfo_v2(&mut less, null_mut()));
    assert_eq!(free - less, 64 << 20);
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(&mut 0, total)),
        R::CUDA_ERROR_OUT_OF_MEMORY
    );
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(&mut 0, usize::MAX)),
        R::CUDA_ERROR_OUT_OF_MEMORY
    );
    let sent: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
    let mut received = vec![0_u8; sent.len()];
    ok!(
        cuda,
        cuMemcpyHtoD_v2(address + 100, sent.as_ptr().cast(), sent.len())
    );
    ok!(
        cuda,
        cuMemcpyDtoD_v2(address + (1 << 20), address + 100, sent.len())
    );
    ok!(
        cuda,
        cuMemcpyDtoH_v2(
            received.as_mut_ptr().cast(),
            address + (1 << 20),
            sent.len()
        )
    );
    assert_eq!(sent, received);
    ok!(cuda, cuMemsetD32_v2(address, 0x0102_0304, 10));
    ok!(cuda, cuMemsetD2D8_v2(address, 8, 0xff, 2, 3));
    ok!(
        cuda,
        cuMemcpyDtoH_v2(received.as_mut_ptr().cast(), address, 40)
    );
    assert_eq!(
        &received[..12],
        [0xff, 0xff, 2, 1, 4, 3, 2, 1, 0xff, 0xff, 2, 1]
    );
    let end = address + (64 << 20);
    let over = cu!(cuda, cuMemcpyHtoD_v2(end - 10, sent.as_ptr().cast(), 11));
    assert_eq!(over, R::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(
        cu!(cuda, cuMemFree_v2(address + 1)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemFree_v2(address));
    assert_eq!(
        cu!(cuda, cuMemFree_v2(address)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemFree_v2(0));
    ok!(cuda, cuMemGetInfo_v2(&mut less, null_mut()));
    assert_eq!(free, less);
}

#[test]
fn pools_keep_what_their_threshold_says() {
    let (cuda, _alone) = driver();
    let mut pool: CUmemoryPool = null_mut();
    ok!(cuda, cuDeviceGetDefaultMemPool(&mut pool, 0));
    let attribute = |number: u32| {
        let mut value = 0_u64;
        let which = cuda_sys::CUmemPool_attribute_enum(number);
        ok!(
            cuda,
            cuMemPoolGetAttribute(pool, which, (&raw mut value).cast())
        );
        value
    };
    let (reserved, used) = (5, 7);
    let mut address = 0;
    ok!(cuda, cuMemAllocAsync(&mut address, 10 << 20, null_mut()));
    assert_eq!((attribute(reserved), attribute(used)), (10 << 20, 10 << 20));
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    ok!(cuda, cuStreamSynchronize(null_mut()));
    assert_eq!((attribute(reserved), attribute(used)), (0, 0));
    let mut threshold = u64::MAX;
    let release = cuda_sys::CUmemPool_attribute_enum(4);
    ok!(
        cuda,
        cuMemPoolSetAttribute(pool, release, (&raw mut threshold).cast())
    );
    ok!(cuda, cuMemAllocAsync(&mut address, 10 << 20, null_mut()));
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    ok!(cuda, cuStreamSynchronize(null_mut()));
    assert_eq!((attribute(reserved), attribute(used)), (10 << 20, 0));
    ok!(cuda, cuMemPoolTrimTo(pool, 0));
    assert_eq!(attribute(reserved), 0);
    threshold = 0;
    ok!(
        cuda,
        cuMemPoolSetAttribute(pool, release, (&raw mut threshold).cast())
    );
    // Freed behind a gate, it is still in use.
    let gate = cuda.pinned(64);
    let gated = stream(cuda, 1);
    ok!(cuda, cuMemAllocAsync(&mut address, 2 << 20, gated));
    ok!(cuda, cuStreamWaitValue32_v2(gated, gate, 1, 0));
    ok!(cuda, cuMemFreeAsync(address, gated));
    assert_eq!(attribute(used), 2 << 20);
    assert_eq!(
        cu!(cuda, cuMemFreeAsync(address, gated)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    word(gate).store(1, Release);
    ok!(cuda, cuStreamSynchronize(gated));
    assert_eq!(attribute(used), 0);
    ok!(cuda, cuStreamDestroy_v2(gated));
}

#[test]
fn physical_memory_can_be_mapped_twice_and_handed_over() {
    let (cuda, _alone) = driver();
    const BYTES: usize = 4 << 20;
    let mut prop = CUmemAllocationProp::default();
    prop.type_.0 = 1;
    prop.requestedHandleTypes.0 = 1;
    prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    let (mut handle, mut imported, mut fd) = (0, 0, -1);
    assert_eq!(
        cu!(cuda, cuMemCreate(&mut handle, 4096, &prop, 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemCreate(&mut handle, BYTES, &prop, 0));
    let posix = cuda_sys::CUmemAllocationHandleType::CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    ok!(
        cuda,
        cuMemExportToShareableHandle((&raw mut fd).cast::<c_void>(), handle, posix, 0)
    );
    ok!(
        cuda,
        cuMemImportFromShareableHandle(&mut imported, fd as usize as *mut c_void, posix)
    );
    let bad = cu!(
        cuda,
        cuMemImportFromShareableHandle(&mut 0, null_mut(), posix)
    );
    assert_eq!(bad, R::CUDA_ERROR_INVALID_VALUE);
    let mut base = 0;
    ok!(cuda, cuMemAddressReserve(&mut base, 2 * BYTES, 0, 0, 0));
    let second = base + BYTES as u64;
    assert_eq!(
        cu!(cuda, cuMemMap(base + 1, BYTES, 0, handle, 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemMap(base, BYTES, 0, handle, 0));
    ok!(cuda, cuMemMap(second, BYTES, 0, imported, 0));
    assert_eq!(
        cu!(cuda, cuMemMap(base, BYTES, 0, handle, 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    let mut access = CUmemAccessDesc {
        location: prop.location,
        ..CUmemAccessDesc::default()
    };
    access.flags.0 = 3;
    ok!(cuda, cuMemSetAccess(base, 2 * BYTES, &access, 1));
    ok!(cuda, cuMemsetD8_v2(base, 77, BYTES));
    let mut byte = 0_u8;
    ok!(
        cuda,
        cuMemcpyDtoH_v2((&raw mut byte).cast(), second + 12345, 1)
    );
    assert_eq!(byte, 77);
    // The memory outlives its handles while it is mapped.
    let (mut before, mut after) = (0, 0);
    ok!(cuda, cuMemRelease(handle));
    ok!(cuda, cuMemRelease(imported));
    ok!(cuda, cuMemGetInfo_v2(&mut before, null_mut()));
    assert_eq!(
        cu!(cuda, cuMemAddressFree(base, 2 * BYTES)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemUnmap(base, 2 * BYTES));
    ok!(cuda, cuMemAddressFree(base, 2 * BYTES));
    ok!(cuda, cuMemGetInfo_v2(&mut after, null_mut()));
    assert_eq!(after - before, BYTES);
    // SAFETY: our own descriptor.
    unsafe { libc::close(fd) };
}

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
    assert!((4.9..5.2).contains(&ms), "5 ms of work took {ms} ms");
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

#[test]
fn contexts_take_and_give_back_their_overhead() {
    let (cuda, _alone) = driver();
    let (mut before, mut during, mut after) = (0, 0, 0);
    ok!(cuda, cuMemGetInfo_v2(&mut before, null_mut()));
    let mut context = null_mut();
    ok!(cuda, cuCtxCreate_v4(&mut context, null_mut(), 0, 0));
    let mut left_behind = 0;
    ok!(cuda, cuMemAlloc_v2(&mut left_behind, 32 << 20));
    ok!(cuda, cuMemGetInfo_v2(&mut during, null_mut()));
    assert_eq!(before - during, (518 + 32) << 20);
    ok!(cuda, cuCtxDestroy_v2(context));
    ok!(cuda, cuMemGetInfo_v2(&mut after, null_mut()));
    assert_eq!(before, after);
    assert_eq!(
        cu!(cuda, cuCtxDestroy_v2(context)),
        R::CUDA_ERROR_INVALID_CONTEXT
    );
}

#[test]
fn a_forked_child_cannot_use_the_driver() {
    let (cuda, _alone) = driver();
    // SAFETY: the child only calls the driver, which refuses at once, and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let init = cu!(cuda, cuInit(0));
        let alloc = cu!(cuda, cuMemAlloc_v2(&mut 0, 1));
        let refused = [init, alloc]
            .iter()
            .all(|code| *code == R::CUDA_ERROR_NOT_INITIALIZED);
        // SAFETY: leaves without running what belongs to the parent.
        unsafe { libc::_exit(c_int::from(!refused)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child just made.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    ok!(cuda, cuCtxSynchronize());
}

#[test]
fn pointers_are_described() {
    let (cuda, _alone) = driver();
    let (mut address, pinned) = (0, cuda.pinned(4096));
    ok!(cuda, cuMemAlloc_v2(&mut address, 1000));
    let ask = |attribute: u32, at: u64| {
        let mut value = 0_u64;
        let which = cuda_sys::CUpointer_attribute_enum(attribute);
        let code = cu!(
            cuda,
            cuPointerGetAttribute((&raw mut value).cast(), which, at)
        );
        (code.0, value)
    };
    let (memory_type, ordinal, range_start) = (2, 9, 11);
    assert_eq!(ask(memory_type, address), (0, 2));
    assert_eq!(ask(memory_type, pinned), (0, 1));
    assert_eq!(ask(ordinal, address), (0, 0));
    assert_eq!(ask(range_start, address + 999), (0, address));
    assert_eq!(
        ask(range_start, address + 1000).0,
        R::CUDA_ERROR_INVALID_VALUE.0
    );
    let local = 0_u8;
    let mut kind = 7_u32;
    let mut which = cuda_sys::CUpointer_attribute_enum(memory_type);
    let mut places = [(&raw mut kind).cast::<c_void>()];
    ok!(
        cuda,
        cuPointerGetAttributes(
            1,
            &mut which,
            places.as_mut_ptr(),
            (&raw const local) as u64
        )
    );
    assert_eq!(kind, 0, "pageable memory has no type");
    ok!(cuda, cuMemFree_v2(address));
}
