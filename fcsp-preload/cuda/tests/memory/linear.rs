//! `cuMemAlloc`, its like, and their frees.

use crate::support::{CONTEXT_BYTES, MIB, Program, TENANT};
use cuda_sys::CUresult;

#[test]
fn allocations_are_charged_within_the_quota_and_given_back() {
    TENANT.run(crate::here!(), |cuda| {
        let (mut free, mut total) = (0, 0);
        ok!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
        assert_eq!(total as u64, 2048 * MIB);
        assert_eq!(free as u64, 2048 * MIB - CONTEXT_BYTES);
        ok!(cuda, cuDeviceTotalMem_v2(&mut total, 0));
        assert_eq!(total as u64, 2048 * MIB);
        let one = cuda.alloc_mib(1000);
        assert_eq!(cuda.charged_mib(), 1000);
        let (mut address, mut pitch) = (0, 0);
        refused!(cuda, cuMemAlloc_v2(&mut address, (600 * MIB) as usize));
        refused!(
            cuda,
            cuMemAllocPitch_v2(&mut address, &mut pitch, 600 << 10, 1 << 10, 4)
        );
        refused!(
            cuda,
            cuMemAllocManaged(&mut address, (600 * MIB) as usize, 1)
        );
        assert_eq!(cuda.charged_mib(), 1000, "refusals cost nothing");
        ok!(
            cuda,
            cuMemAllocPitch_v2(&mut address, &mut pitch, 512, 4 << 10, 4)
        );
        assert_eq!(cuda.charged_mib(), 1002);
        ok!(cuda, cuMemFree_v2(address));
        ok!(cuda, cuMemAllocManaged(&mut address, 4 << 20, 1));
        assert_eq!(cuda.charged_mib(), 1004);
        ok!(cuda, cuMemFree_v2(address));
        ok!(cuda, cuMemFree_v2(one));
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn what_the_driver_refuses_is_not_charged() {
    let small_device = Program {
        quota_mib: 8192,
        device_mib: 1024,
        ..TENANT
    };
    small_device.run(crate::here!(), |cuda| {
        refused!(cuda, cuMemAlloc_v2(&mut 0, (2048 * MIB) as usize));
        let invalid = CUresult::CUDA_ERROR_INVALID_VALUE;
        assert_eq!(cu!(cuda, cuMemAlloc_v2(&mut 0, 0)), invalid);
        assert_eq!(
            cu!(cuda, cuMemAlloc_v2(std::ptr::null_mut(), 1 << 20)),
            invalid
        );
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn frees_the_driver_refuses_give_nothing_back() {
    TENANT.run(crate::here!(), |cuda| {
        let address = cuda.alloc_mib(64);
        let inside = cu!(cuda, cuMemFree_v2(address + 4096));
        assert_eq!(inside, CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemFree_v2(address));
        let again = cu!(cuda, cuMemFree_v2(address));
        assert_eq!(again, CUresult::CUDA_ERROR_INVALID_VALUE);
        ok!(cuda, cuMemFree_v2(0));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
