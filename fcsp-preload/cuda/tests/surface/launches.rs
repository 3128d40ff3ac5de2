//! Every way to launch a kernel.

use crate::seen::{PTX, function, run_gated};
use cuda_sys::{CU_STREAM_LEGACY, CUcontext, CUfunction, CUkernel, CUlibrary, CUresult};
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
fn the_default_streams_of_two_contexts_are_two_queues() {
    run_gated(crate::here!(), |cuda, it| {
        let launch = |function, stream| {
            let result = crate::seen::work(cuda, function, 10, stream);
            assert_eq!(result, CUresult::CUDA_SUCCESS);
        };
        // One segment holds both, unless the machine is busy.
        const TIMES: u64 = 50;
        let default_streams = [null_mut(), CU_STREAM_LEGACY];
        for _ in 0..TIMES {
            let both = || {
                default_streams
                    .iter()
                    .for_each(|stream| launch(it.work, *stream))
            };
            assert_eq!(it.gated(both), 2);
        }
        assert_eq!(it.queues_max(), 1);
        let (mut first, mut second): (CUcontext, CUcontext) = (null_mut(), null_mut());
        ok!(cuda, cuCtxGetCurrent(&mut first));
        ok!(cuda, cuCtxCreate_v2(&mut second, 0, 0));
        let other = function(cuda, c"fcsp_work");
        let in_both = || {
            launch(other, null_mut());
            ok!(cuda, cuCtxSetCurrent(first));
            launch(it.work, null_mut());
            ok!(cuda, cuCtxSetCurrent(second));
        };
        assert!((0..TIMES).any(|_| it.gated(in_both) == 2 && it.queues_max() == 2));
        ok!(cuda, cuCtxDestroy_v2(second));
        ok!(cuda, cuCtxSetCurrent(first));
        assert_eq!(it.gated(|| launch(it.work, null_mut())), 1);
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
