//! Memory: charged when it is allocated, refused beyond the quota, given back when it is freed.

use crate::support::{CONTEXT_BYTES, Library, MIB, QUOTA_BYTES, run};
use fcsp_core::ledger::slot_bytes;
use fcsp_core::region::{list, scan};
use fcsp_core::sync::Ordering::Acquire;
use hip_sys::{
    hipError_t, hipExtent, hipMemAllocationProp, hipMemAllocationType, hipMemLocation,
    hipMemLocationType, hipPitchedPtr,
};
use std::ffi::c_void;
use std::ptr::null_mut;

/// `hipMemAllocationProp` in hip_runtime_api.h 5.2.3.
#[repr(C)]
struct PropertiesOf52 {
    compression: u8,
    location: hipMemLocation,
    handle_type: u32,
    type_: hipMemAllocationType,
    usage: u16,
    metadata: usize,
}

/// A device in use.
fn begin(hip: &Library) {
    let mut address = null_mut();
    ok!(hip, hipMalloc(&mut address, 1 << 20));
    ok!(hip, hipFree(address));
    assert_eq!(hip.charged_bytes(), 0);
}

/// What this process is charged on the one device that it uses.
fn own_bytes() -> u64 {
    let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
    let found = list(directory.as_ref()).expect("readable").into_iter();
    let region = found.filter_map(|(_, region)| region.ok()).next();
    let region = region.expect("one device");
    let mut slots = scan::live_slots(region.layout());
    let mine = slots.find(|it| it.slot.pid.load(Acquire) == std::process::id());
    slot_bytes(region.layout(), mine.expect("attached").index)
}

#[test]
fn a_context_is_charged_with_whatever_makes_the_runtime_make_it() {
    type First = fn(&Library);
    let firsts: [First; 4] = [
        |hip| ok!(hip, hipFree(null_mut())),
        |hip| ok!(hip, hipStreamCreate(&mut null_mut())),
        |hip| ok!(hip, hipHostMalloc(&mut null_mut(), 4096, 0)),
        |hip| ok!(hip, hipMalloc(&mut null_mut(), 1)),
    ];
    run(crate::here!(), &[], |hip, _| {
        for first in firsts {
            first(hip);
            // Not asked of the driver, which would make one.
            let charged_bytes = own_bytes();
            assert!((CONTEXT_BYTES..=CONTEXT_BYTES + 4096).contains(&charged_bytes));
            ok!(hip, hipDeviceReset());
            assert_eq!(own_bytes(), 0);
        }
    });
}

#[test]
fn allocations_are_charged_within_the_quota_and_given_back() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        assert_eq!(hip.free_bytes(), QUOTA_BYTES - CONTEXT_BYTES);
        let (mut one, mut other, mut pitch) = (null_mut(), null_mut(), 0);
        ok!(hip, hipMalloc(&mut one, (1000 * MIB) as usize));
        assert_eq!(hip.charged_bytes(), 1000 * MIB);
        refused!(hip, hipMalloc(&mut other, (1000 * MIB) as usize));
        refused!(hip, hipMallocManaged(&mut other, (1000 * MIB) as usize, 1));
        refused!(
            hip,
            hipMallocPitch(&mut other, &mut pitch, 1000 << 10, 1 << 10)
        );
        assert_eq!(hip.charged_bytes(), 1000 * MIB, "refusals cost nothing");
        ok!(
            hip,
            hipMallocPitch(&mut other, &mut pitch, 1 << 10, 1 << 10)
        );
        assert_eq!(hip.charged_bytes(), 1001 * MIB);
        ok!(hip, hipFree(other));
        ok!(hip, hipMallocManaged(&mut other, 4 << 20, 1));
        assert_eq!(hip.charged_bytes(), 1004 * MIB);
        ok!(hip, hipFree(other));
        let mut pitched = hipPitchedPtr::default();
        let extent = hipExtent {
            width: 1 << 10,
            height: 1 << 10,
            depth: 3,
        };
        ok!(hip, hipMalloc3D(&mut pitched, extent));
        assert_eq!(hip.charged_bytes(), 1004 * MIB, "whole blocks");
        ok!(hip, hipFree(pitched.ptr));
        ok!(hip, hipFree(one));
        assert_eq!(hip.charged_bytes(), 0);
    });
}

#[test]
fn what_the_driver_rounds_up_to_is_charged_before_it_is_asked() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        let (mut large, mut small, mut rows, mut pitch) = (null_mut(), null_mut(), null_mut(), 0);
        ok!(hip, hipMalloc(&mut large, (1 << 20) + 1));
        assert_eq!(hip.charged_bytes(), 2 * MIB);
        ok!(hip, hipMalloc(&mut small, 1));
        assert_eq!(hip.charged_bytes(), 2 * MIB + 4096);
        ok!(hip, hipMallocPitch(&mut rows, &mut pitch, 1_000, 1_500));
        assert_eq!((hip.charged_bytes(), pitch), (4 * MIB + 4096, 1_024));
        ok!(hip, hipFree(large));
        ok!(hip, hipFree(rows));
        // Less than is left, but in whole blocks more.
        let most = hip.free_bytes() - MIB / 2;
        refused!(hip, hipMalloc(&mut large, most as usize));
        ok!(hip, hipFree(small));
        assert_eq!(hip.charged_bytes(), 0);
    });
}

#[test]
fn what_the_driver_refuses_is_not_charged_and_not_given_back() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        let mut address: *mut c_void = null_mut();
        let invalid = hipError_t::hipErrorInvalidValue;
        assert_eq!(hip!(hip, hipMalloc(null_mut(), 1 << 20)), invalid);
        assert_eq!(hip.charged_bytes(), 0);
        ok!(hip, hipMalloc(&mut address, 64 << 20));
        let inside = address.wrapping_byte_add(4096);
        assert_ne!(hip!(hip, hipFree(inside)), hipError_t::hipSuccess);
        assert_eq!(hip.charged_bytes(), 64 * MIB);
        ok!(hip, hipFree(address));
        assert_ne!(hip!(hip, hipFree(address)), hipError_t::hipSuccess);
        ok!(hip, hipFree(null_mut()));
        assert_eq!(hip.charged_bytes(), 0);
    });
}

#[test]
fn a_pool_is_charged_what_its_driver_says_it_has() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        let (mut address, mut pool) = (null_mut(), null_mut());
        ok!(hip, hipDeviceGetDefaultMemPool(&mut pool, 0));
        let reserved = || {
            let mut bytes = 0_u64;
            let attribute = hip_sys::hipMemPoolAttr::hipMemPoolAttrReservedMemCurrent;
            let place = (&raw mut bytes).cast();
            ok!(hip, hipMemPoolGetAttribute(pool, attribute, place));
            bytes
        };
        ok!(hip, hipMallocAsync(&mut address, 100 << 20, null_mut()));
        assert!(reserved() >= 100 * MIB);
        assert_eq!(hip.charged_bytes(), reserved());
        refused!(hip, hipMallocAsync(&mut null_mut(), 2 << 30, null_mut()));
        ok!(hip, hipFreeAsync(address, null_mut()));
        ok!(hip, hipStreamSynchronize(null_mut()));
        assert_eq!(hip.charged_bytes(), reserved());
        ok!(hip, hipMemPoolTrimTo(pool, 0));
        assert_eq!((hip.charged_bytes(), reserved()), (0, 0));
    });
}

#[test]
fn physical_memory_lives_while_a_handle_or_a_mapping_does() {
    run(crate::here!(), &[], |hip, major| {
        begin(hip);
        let location = hipMemLocation {
            type_: hipMemLocationType::hipMemLocationTypeDevice,
            id: 0,
        };
        let new = hipMemAllocationProp {
            type_: hipMemAllocationType::hipMemAllocationTypePinned,
            location,
            ..Default::default()
        };
        let old = PropertiesOf52 {
            compression: 0,
            location,
            handle_type: 0,
            type_: hipMemAllocationType::hipMemAllocationTypePinned,
            usage: 0,
            metadata: 0,
        };
        let prop: *const hipMemAllocationProp = match major {
            5 => (&raw const old).cast(),
            _ => &new,
        };
        let bytes = 64 << 20;
        let (mut handle, mut address) = (null_mut(), null_mut());
        ok!(hip, hipMemCreate(&mut handle, bytes, prop, 0));
        assert_eq!(hip.charged_bytes(), 64 * MIB);
        refused!(hip, hipMemCreate(&mut null_mut(), 4 << 30, prop, 0));
        ok!(
            hip,
            hipMemAddressReserve(&mut address, bytes, 0, null_mut(), 0)
        );
        ok!(hip, hipMemMap(address, bytes, 0, handle, 0));
        ok!(hip, hipMemRelease(handle));
        assert_eq!(hip.charged_bytes(), 64 * MIB, "it is mapped");
        ok!(hip, hipMemUnmap(address, bytes));
        assert_eq!(hip.charged_bytes(), 0);
    });
}

#[test]
fn a_reset_gives_everything_back() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        let mut address = null_mut();
        ok!(hip, hipMalloc(&mut address, 100 << 20));
        ok!(hip, hipMallocAsync(&mut address, 10 << 20, null_mut()));
        ok!(hip, hipDeviceReset());
        assert_eq!(hip.free_bytes(), QUOTA_BYTES, "the context, too");
        begin(hip);
    });
}

#[test]
fn each_thread_is_charged_on_the_device_it_has_chosen() {
    run(crate::here!(), &[("FCSP_SIM_DEVICES", "2")], |hip, _| {
        let mut address = null_mut();
        ok!(hip, hipSetDevice(1));
        begin(hip);
        ok!(hip, hipMalloc(&mut address, 100 << 20));
        assert_eq!(hip.charged_bytes(), 100 * MIB);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // A new thread begins on the first device, which nobody has used.
                assert_eq!(hip.free_bytes(), QUOTA_BYTES);
                begin(hip);
                let mut other = null_mut();
                ok!(hip, hipMalloc(&mut other, 50 << 20));
                assert_eq!(hip.charged_bytes(), 50 * MIB);
            });
        });
        assert_eq!(hip.charged_bytes(), 100 * MIB);
        ok!(hip, hipSetDevice(0));
        assert_eq!(hip.charged_bytes(), 50 * MIB);
        // The other device's memory can be freed from here.
        ok!(hip, hipFree(address));
        ok!(hip, hipSetDevice(1));
        assert_eq!(hip.charged_bytes(), 0);
    });
}

#[test]
fn many_threads_at_once_are_never_over_the_quota() {
    run(crate::here!(), &[], |hip, _| {
        begin(hip);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mut address = null_mut();
                        let result = hip!(hip, hipMalloc(&mut address, 600 << 20));
                        if result == hipError_t::hipSuccess {
                            assert!(hip.charged_bytes() <= QUOTA_BYTES - CONTEXT_BYTES);
                            ok!(hip, hipFree(address));
                        } else {
                            assert_eq!(result, hipError_t::hipErrorOutOfMemory);
                        }
                    }
                });
            }
        });
        assert_eq!(hip.charged_bytes(), 0);
    });
}
