//! What a context leaves behind.

use crate::support::TENANT;
use cuda_sys::CUcontext;
use std::ptr::null_mut;

#[test]
fn a_destroyed_context_gives_back_its_own_memory_only() {
    TENANT.run(crate::here!(), |cuda| {
        let kept = cuda.alloc_mib(100);
        let mut other: CUcontext = null_mut();
        ok!(cuda, cuCtxCreate_v2(&mut other, 0, 0));
        assert_eq!(cuda.charged_mib(), 518 + 100, "a second context");
        cuda.alloc_mib(200);
        ok!(cuda, cuMemAllocAsync(&mut 0, 2 << 20, null_mut()));
        assert_eq!(cuda.charged_mib(), 518 + 100 + 200 + 32);
        ok!(cuda, cuCtxDestroy_v2(other));
        let mut primary: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut primary, 0));
        ok!(cuda, cuCtxSetCurrent(primary));
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuMemFree_v2(kept));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn a_context_that_is_not_there_gives_nothing_back() {
    TENANT.run(crate::here!(), |cuda| {
        let mut other: CUcontext = null_mut();
        ok!(cuda, cuCtxCreate_v2(&mut other, 0, 0));
        cuda.alloc_mib(100);
        let mut primary: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut primary, 0));
        let refused = cu!(cuda, cuCtxDestroy_v2(primary));
        assert_ne!(
            refused,
            cuda_sys::CUresult::CUDA_SUCCESS,
            "it is a primary one"
        );
        assert_eq!(cuda.charged_mib(), 518 + 100);
        // And a context that went on after a refusal still ends properly.
        ok!(cuda, cuCtxDestroy_v2(other));
        ok!(cuda, cuCtxSetCurrent(primary));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn resetting_the_primary_context_gives_its_memory_back() {
    TENANT.run(crate::here!(), |cuda| {
        cuda.alloc_mib(300);
        ok!(cuda, cuMemAllocAsync(&mut 0, 2 << 20, null_mut()));
        assert_eq!(cuda.charged_mib(), 332);
        ok!(cuda, cuDevicePrimaryCtxReset_v2(0));
        let mut context: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        assert_eq!(cuda.charged_mib(), 0, "one context again");
        assert_eq!(cuda.alloc_mib(1400) & 511, 0, "all of the quota is there");
    });
}

#[test]
fn only_the_last_release_of_the_primary_context_gives_its_memory_back() {
    TENANT.run(crate::here!(), |cuda| {
        let mut context: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        cuda.alloc_mib(300);
        ok!(cuda, cuDevicePrimaryCtxRelease_v2(0));
        assert_eq!(cuda.charged_mib(), 300);
        ok!(cuda, cuDevicePrimaryCtxRelease_v2(0));
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
