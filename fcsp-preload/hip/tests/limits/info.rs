//! What a program is told: the tenant's quota is the whole device, and the last error is its own.

use crate::support::{QUOTA_BYTES, run};
use hip_sys::{
    hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipDriverProcAddressQueryResult, hipError_t,
};
use std::ptr::null_mut;

#[test]
fn the_quota_is_the_whole_device_in_every_layout() {
    run(crate::here!(), &[], |hip, major| {
        let mut bytes = 0;
        ok!(hip, hipDeviceTotalMem(&mut bytes, 0));
        assert_eq!(bytes as u64, QUOTA_BYTES);
        let mut old = hipDeviceProp_tR0000::default();
        ok!(hip, hipGetDeviceProperties(&mut old, 0));
        assert_eq!(old.totalGlobalMem as u64, QUOTA_BYTES);
        if major >= 6 {
            let mut new = hipDeviceProp_tR0600::default();
            ok!(hip, hipGetDevicePropertiesR0600(&mut new, 0));
            assert_eq!(new.totalGlobalMem as u64, QUOTA_BYTES);
        }
        assert_eq!(hip.free_bytes(), QUOTA_BYTES, "asking uses nothing");
    });
}

#[test]
fn the_drivers_lookup_hands_out_our_functions() {
    run(crate::here!(), &[], |hip, major| {
        if major < 6 {
            return;
        }
        let mut found = null_mut();
        let mut status = hipDriverProcAddressQueryResult::HIP_GET_PROC_ADDRESS_SUCCESS;
        let version = 6 * 10_000_000;
        ok!(
            hip,
            hipGetProcAddress(c"hipMalloc".as_ptr(), &mut found, version, 0, &mut status)
        );
        let ours: hip_sys::fn_types::hipMalloc = hip.function("hipMalloc");
        assert_eq!(found.addr(), ours as usize);
    });
}

#[test]
fn our_own_calls_leave_no_trace_in_the_last_error() {
    // Gated, so that copies ask the driver about addresses that it does not know.
    let strict = [("BUD_SM_LIMIT", "50"), ("BUD_ISOLATION_MODE", "strict")];
    run(crate::here!(), &strict, |hip, _| {
        let (mut address, host) = (null_mut(), [0_u8; 64]);
        ok!(hip, hipMalloc(&mut address, 1 << 20));
        let copy = hip_sys::hipMemcpyKind::hipMemcpyHostToDevice;
        let from = host.as_ptr().cast();
        ok!(hip, hipMemcpy(address, from, host.len(), copy));
        assert_eq!(hip!(hip, hipPeekAtLastError()), hipError_t::hipSuccess);
        let invalid = hipError_t::hipErrorInvalidValue;
        assert_eq!(hip!(hip, hipMalloc(null_mut(), 1)), invalid);
        ok!(hip, hipMemcpy(address, from, host.len(), copy));
        let left = hip!(hip, hipPeekAtLastError());
        assert_eq!(hip!(hip, hipGetLastError()), left);
        assert_eq!(hip!(hip, hipGetLastError()), hipError_t::hipSuccess);
    });
}
