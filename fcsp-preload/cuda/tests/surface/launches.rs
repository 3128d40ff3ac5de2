//! Every way to launch a kernel.

use crate::seen::{PTX, run_gated};
use cuda_sys::{CUfunction, CUkernel, CUlibrary};
use std::ptr::null_mut;

#[test]
fn a_kernel_of_a_library_is_gated_by_either_handle() {
    run_gated(crate::here!(), |cuda, it| {
        let (mut library, mut kernel): (CUlibrary, CUkernel) = (null_mut(), null_mut());
        ok!(
            cuda,
            cuLibraryLoadData(
                &mut library,
                PTX.as_ptr().cast(),
                null_mut(),
                null_mut(),
                0,
                null_mut(),
                null_mut(),
                0
            )
        );
        ok!(
            cuda,
            cuLibraryGetKernel(&mut kernel, library, c"fcsp_work".as_ptr())
        );
        let mut function: CUfunction = null_mut();
        ok!(cuda, cuKernelGetFunction(&mut function, kernel));
        for handle in [kernel.cast(), function] {
            let launch = || {
                let result = crate::seen::work(cuda, handle, 10, null_mut());
                assert_eq!(result, cuda_sys::CUresult::CUDA_SUCCESS);
            };
            assert_eq!(it.gated(launch), 1);
        }
        ok!(cuda, cuLibraryUnload(library));
    });
}

#[test]
fn launches_of_before_cuda_4_are_gated() {
    run_gated(crate::here!(), |cuda, it| {
        let own = it.stream();
        ok!(cuda, cuFuncSetBlockShape(it.work, 256, 1, 1));
        ok!(cuda, cuParamSetSize(it.work, 24));
        ok!(cuda, cuParamSeti(it.work, 0, 1000));
        assert_eq!(it.gated(|| ok!(cuda, cuLaunch(it.work))), 1);
        assert_eq!(it.gated(|| ok!(cuda, cuLaunchGrid(it.work, 132, 1))), 1);
        assert_eq!(
            it.gated(|| ok!(cuda, cuLaunchGridAsync(it.work, 132, 1, own))),
            1
        );
    });
}
