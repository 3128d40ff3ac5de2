//! Memory as a program sees it: contents, limits, pools, mappings, descriptions.

#[path = "support/driver.rs"]
mod driver;
mod support;

use cuda_sys::{CUmemAccessDesc, CUmemAllocationProp, CUmemLocationType, CUmemoryPool, CUresult};
use driver::{driver, stream, word};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Release;

type R = CUresult;

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
    assert_eq!((attribute(reserved), attribute(used)), (32 << 20, 10 << 20));
    ok!(cuda, cuMemFreeAsync(address, null_mut()));
    assert_eq!(attribute(reserved), 32 << 20, "until a synchronization");
    ok!(cuda, cuMemPoolTrimTo(pool, 0));
    assert_eq!(attribute(reserved), 32 << 20, "a trim is none");
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
    assert_eq!((attribute(reserved), attribute(used)), (32 << 20, 0));
    ok!(cuda, cuMemPoolTrimTo(pool, 0));
    assert_eq!(attribute(reserved), 0);
    threshold = 0;
    ok!(
        cuda,
        cuMemPoolSetAttribute(pool, release, (&raw mut threshold).cast())
    );
    // Freed behind a gate, the pool keeps it, though nobody uses it any more.
    let gate = cuda.pinned(64);
    let gated = stream(cuda, 1);
    ok!(cuda, cuMemAllocAsync(&mut address, 2 << 20, gated));
    ok!(cuda, cuStreamWaitValue32_v2(gated, gate, 1, 0));
    ok!(cuda, cuMemFreeAsync(address, gated));
    assert_eq!((attribute(reserved), attribute(used)), (32 << 20, 0));
    assert_eq!(
        cu!(cuda, cuMemFreeAsync(address, gated)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    word(gate).store(1, Release);
    ok!(cuda, cuStreamSynchronize(gated));
    assert_eq!((attribute(reserved), attribute(used)), (0, 0));
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
