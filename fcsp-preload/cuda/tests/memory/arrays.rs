//! Arrays and mipmapped arrays.

use crate::support::{CONTEXT_MIB, Program, TENANT};
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUDA_ARRAY3D_LAYERED, CUarray_format,
    CUcontext, CUresult,
};
use std::ptr::null_mut;

fn flat(width: usize, height: usize) -> CUDA_ARRAY_DESCRIPTOR {
    CUDA_ARRAY_DESCRIPTOR {
        Width: width,
        Height: height,
        Format: CUarray_format::CU_AD_FORMAT_FLOAT,
        NumChannels: 4,
    }
}

fn deep(width: usize, height: usize, depth: usize, flags: u32) -> CUDA_ARRAY3D_DESCRIPTOR {
    CUDA_ARRAY3D_DESCRIPTOR {
        Width: width,
        Height: height,
        Depth: depth,
        Format: CUarray_format::CU_AD_FORMAT_FLOAT,
        NumChannels: 4,
        Flags: flags,
    }
}

#[test]
fn arrays_are_charged_refused_and_given_back() {
    TENANT.run(crate::here!(), |cuda| {
        let (mut one, mut two, mut three) = (null_mut(), null_mut(), null_mut());
        ok!(cuda, cuArrayCreate_v2(&mut one, &flat(4096, 4096)));
        assert_eq!(cuda.charged_mib(), 256);
        let layers = deep(1024, 1024, 16, CUDA_ARRAY3D_LAYERED);
        ok!(cuda, cuArray3DCreate_v2(&mut two, &layers));
        assert_eq!(cuda.charged_mib(), 512);
        ok!(
            cuda,
            cuMipmappedArrayCreate(&mut three, &deep(2048, 2048, 0, 0), 2)
        );
        assert_eq!(cuda.charged_mib(), 512 + 64 + 16);
        let huge = flat(16384, 16384);
        refused!(cuda, cuArrayCreate_v2(&mut null_mut(), &huge));
        let huge = deep(16384, 4096, 1, 0);
        refused!(cuda, cuArray3DCreate_v2(&mut null_mut(), &huge));
        refused!(cuda, cuMipmappedArrayCreate(&mut null_mut(), &huge, 1));
        assert_eq!(cuda.charged_mib(), 592);
        ok!(cuda, cuArrayDestroy(one));
        ok!(cuda, cuArrayDestroy(two));
        assert_eq!(cuda.charged_mib(), 80);
        ok!(cuda, cuMipmappedArrayDestroy(three));
        assert_eq!(cuda.charged_mib(), 0);
        let again = cu!(cuda, cuArrayDestroy(one));
        assert_ne!(again, CUresult::CUDA_SUCCESS);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn arrays_the_driver_refuses_are_not_charged() {
    let small_device = Program {
        quota_mib: 8192,
        device_mib: 1024,
        ..TENANT
    };
    small_device.run(crate::here!(), |cuda| {
        refused!(cuda, cuArrayCreate_v2(&mut null_mut(), &flat(16384, 16384)));
        let nothing = cu!(cuda, cuArrayCreate_v2(&mut null_mut(), &flat(0, 0)));
        assert_eq!(nothing, CUresult::CUDA_ERROR_INVALID_VALUE);
        let null = cu!(
            cuda,
            cuArrayCreate_v2(&mut null_mut(), std::ptr::null::<CUDA_ARRAY_DESCRIPTOR>())
        );
        assert_eq!(null, CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(cuda.charged_mib(), 0);
    });
}

#[test]
fn arrays_end_with_their_context() {
    TENANT.run(crate::here!(), |cuda| {
        let mut primary: CUcontext = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut primary));
        let mut other: CUcontext = null_mut();
        ok!(cuda, cuCtxCreate_v2(&mut other, 0, 0));
        ok!(cuda, cuArrayCreate_v2(&mut null_mut(), &flat(4096, 4096)));
        ok!(
            cuda,
            cuMipmappedArrayCreate(&mut null_mut(), &deep(2048, 2048, 0, 0), 1)
        );
        assert_eq!(cuda.charged_mib(), CONTEXT_MIB + 256 + 64);
        ok!(cuda, cuCtxDestroy_v2(other));
        ok!(cuda, cuCtxSetCurrent(primary));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
