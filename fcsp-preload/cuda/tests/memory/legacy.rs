//! Functions of the first CUDA releases, with 32-bit addresses and sizes. The simulated driver lacks them,
//! so the driver here is a few lines of C.

use crate::support::{CONTEXT_BYTES, CONTEXT_MIB, Driver, Library, MIB, Program, TENANT};
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR_v1, CUDA_ARRAY3D_DESCRIPTOR_v1, CUarray_format, CUcontext, CUresult,
};
use std::ptr::null_mut;

const OLD: Program = Program {
    driver: Driver::Old,
    ..TENANT
};

fn charged_mib(cuda: &Library) -> u64 {
    let (mut free, mut total) = (0, 0);
    ok!(cuda, cuMemGetInfo(&mut free, &mut total));
    assert_eq!(u64::from(total), 2048 * MIB);
    (u64::from(total - free) - CONTEXT_BYTES) / MIB
}

fn create(cuda: &Library) -> CUcontext {
    let mut context = null_mut();
    ok!(cuda, cuInit(0));
    ok!(cuda, cuCtxCreate(&mut context, 0, 0));
    context
}

#[test]
fn the_first_calls_are_charged_like_those_of_today() {
    OLD.run_bare(crate::here!(), |cuda| {
        create(cuda);
        let mut total = 0;
        ok!(cuda, cuDeviceTotalMem(&mut total, 0));
        assert_eq!(u64::from(total), 2048 * MIB);
        let (mut one, mut two, mut pitch) = (0, 0, 0);
        ok!(cuda, cuMemAlloc(&mut one, 100 << 20));
        ok!(cuda, cuMemAllocPitch(&mut two, &mut pitch, 1000, 4096, 4));
        assert_eq!(charged_mib(cuda), 100 + 4);
        refused!(cuda, cuMemAlloc(&mut 0, 2 << 30));
        refused!(cuda, cuMemAllocPitch(&mut 0, &mut 0, 1 << 20, 1 << 11, 4));
        refused!(cuda, cuMemAlloc(&mut 0, (100 << 20) + 1));
        assert_eq!(charged_mib(cuda), 104, "nor does the driver's refusal cost");
        let inside = cu!(cuda, cuMemFree(one + 1));
        assert_eq!(inside, CUresult::CUDA_ERROR_INVALID_VALUE);
        ok!(cuda, cuMemFree(one));
        ok!(cuda, cuMemFree(two));
        assert_eq!(charged_mib(cuda), 0);
    });
}

#[test]
fn the_first_arrays_are_charged_like_those_of_today() {
    OLD.run_bare(crate::here!(), |cuda| {
        create(cuda);
        let flat = CUDA_ARRAY_DESCRIPTOR_v1 {
            Width: 4096,
            Height: 4096,
            Format: CUarray_format::CU_AD_FORMAT_FLOAT,
            NumChannels: 1,
        };
        let deep = CUDA_ARRAY3D_DESCRIPTOR_v1 {
            Width: 256,
            Height: 256,
            Depth: 256,
            Format: CUarray_format::CU_AD_FORMAT_UNSIGNED_INT8,
            NumChannels: 4,
            Flags: 0,
        };
        let (mut one, mut two) = (null_mut(), null_mut());
        ok!(cuda, cuArrayCreate(&mut one, &flat));
        ok!(cuda, cuArray3DCreate(&mut two, &deep));
        assert_eq!(charged_mib(cuda), 64 + 64);
        ok!(cuda, cuArrayDestroy(one));
        ok!(cuda, cuArrayDestroy(two));
        assert_eq!(charged_mib(cuda), 0);
    });
}

#[test]
fn the_last_detachment_ends_a_context() {
    OLD.run_bare(crate::here!(), |cuda| {
        let first = create(cuda);
        let second = create(cuda);
        ok!(cuda, cuMemAlloc(&mut 0, 100 << 20));
        let mut again = null_mut();
        ok!(cuda, cuCtxAttach(&mut again, 0));
        assert_eq!(again, second);
        ok!(cuda, cuCtxDetach(second));
        assert_eq!(
            charged_mib(cuda),
            CONTEXT_MIB + 100,
            "one reference is left"
        );
        ok!(cuda, cuCtxDetach(second));
        ok!(cuda, cuCtxSetCurrent(first));
        assert_eq!(charged_mib(cuda), 0);
    });
}
