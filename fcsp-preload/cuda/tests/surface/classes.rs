//! What the time of submissions counts as.

use crate::seen::{function, own_slot, regions, run_gated};
use crate::support::Library;
use cuda_sys::{CUfunction, CUresult, CUstream};
use fcsp_core::sched::class::{CLASSES, Class};
use fcsp_core::sync::Ordering::Relaxed;
use std::ptr::null_mut;

/// Some blocks of a kernel without parameters.
fn launch(cuda: &Library, kernel: CUfunction, stream: CUstream) {
    let (params, extra) = (null_mut(), null_mut());
    let result = cu!(
        cuda,
        cuLaunchKernel(kernel, 132, 1, 1, 256, 1, 1, 0, stream, params, extra)
    );
    assert_eq!(result, CUresult::CUDA_SUCCESS);
}

/// By class, in the region: it is there once the segment has ended.
fn counted() -> [u64; CLASSES] {
    let words = &own_slot(regions().first().expect("one device"))
        .slot
        .classes_ns;
    std::array::from_fn(|at| words[at].load(Relaxed))
}

#[test]
fn work_is_counted_by_what_it_is() {
    run_gated(crate::here!(), |cuda, it| {
        let own = it.stream();
        let kernel = |name| function(cuda, name);
        let (attention, product, other) = (
            kernel(c"_Z16flash_fwd_kernel9simulated"),
            kernel(c"simulated_s16816gemm_bf16"),
            it.work,
        );
        let (to, from) = (it.device(16 << 20), it.device(16 << 20));
        let once = |class: Class, call: &dyn Fn()| {
            it.settle();
            let before = counted();
            call();
            it.settle();
            let after = counted();
            for other in Class::ALL {
                let grown = after[other.place()] > before[other.place()];
                assert_eq!(grown, other == class, "{class}: {before:?}, {after:?}");
            }
        };
        once(Class::Attention, &|| launch(cuda, attention, own));
        once(Class::FeedForward, &|| launch(cuda, product, own));
        once(Class::Copy, &|| {
            ok!(cuda, cuMemcpyDtoDAsync_v2(to, from, 16 << 20, own));
        });
        once(Class::Other, &|| {
            let result = crate::seen::work(cuda, other, 100, own);
            assert_eq!(result, CUresult::CUDA_SUCCESS);
        });
    });
}
