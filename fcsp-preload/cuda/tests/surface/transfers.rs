//! Copies and fills: which take a turn, which pass, which say that they wait.

use crate::seen::run_gated;
use crate::support::MIB;
use cuda_sys::{
    CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUmemcpyAttributes, CUmemorytype, CUstreamCaptureMode,
};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const LARGE: usize = 4 * MIB as usize;
const SMALL: usize = 64 << 10;

#[test]
fn large_fills_take_a_turn_and_small_ones_pass() {
    run_gated(crate::here!(), |cuda, it| {
        let (to, own) = (it.device(LARGE), it.stream());
        for (bytes, gated) in [(LARGE, 1), (SMALL, 0)] {
            let words = bytes / 4;
            let once = |name: &str, call: &dyn Fn()| {
                assert_eq!(it.gated(call), gated, "{name} of {bytes} bytes");
            };
            once("D8", &|| ok!(cuda, cuMemsetD8_v2(to, 1, bytes)));
            once("D8 ptds", &|| ok!(cuda, cuMemsetD8_v2_ptds(to, 1, bytes)));
            once("D16", &|| ok!(cuda, cuMemsetD16_v2(to, 1, bytes / 2)));
            once("D32", &|| ok!(cuda, cuMemsetD32_v2(to, 1, words)));
            once("D8Async", &|| ok!(cuda, cuMemsetD8Async(to, 1, bytes, own)));
            once("D16Async", &|| {
                ok!(cuda, cuMemsetD16Async(to, 1, bytes / 2, own));
            });
            once("D32Async", &|| {
                ok!(cuda, cuMemsetD32Async(to, 1, words, own))
            });
            once("D32Async ptsz", &|| {
                ok!(cuda, cuMemsetD32Async_ptsz(to, 1, words, null_mut()));
            });
            once("D2D8", &|| {
                ok!(cuda, cuMemsetD2D8_v2(to, bytes / 16, 1, bytes / 16, 16));
            });
            once("D2D16", &|| {
                ok!(cuda, cuMemsetD2D16_v2(to, bytes / 16, 1, bytes / 32, 16));
            });
            once("D2D32Async", &|| {
                ok!(
                    cuda,
                    cuMemsetD2D32Async(to, bytes / 16, 1, bytes / 64, 16, own)
                );
            });
        }
    });
}

/// A box of rows of 64 KiB between two addresses.
fn flat(to: u64, from: u64, bytes: usize) -> CUDA_MEMCPY2D {
    CUDA_MEMCPY2D {
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
        srcDevice: from,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_DEVICE,
        dstDevice: to,
        WidthInBytes: SMALL,
        Height: bytes / SMALL,
        ..Default::default()
    }
}

fn deep(to: u64, from: u64, bytes: usize) -> CUDA_MEMCPY3D {
    CUDA_MEMCPY3D {
        srcMemoryType: CUmemorytype::CU_MEMORYTYPE_UNIFIED,
        srcDevice: from,
        dstMemoryType: CUmemorytype::CU_MEMORYTYPE_UNIFIED,
        dstDevice: to,
        WidthInBytes: SMALL,
        Height: bytes / SMALL,
        Depth: 1,
        ..Default::default()
    }
}

#[test]
fn large_copies_inside_the_device_take_a_turn_and_small_ones_pass() {
    run_gated(crate::here!(), |cuda, it| {
        let (to, from, own) = (it.device(LARGE), it.device(LARGE), it.stream());
        let mut context = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut context));
        for (bytes, gated) in [(LARGE, 1), (SMALL, 0)] {
            let once = |name: &str, call: &dyn Fn()| {
                assert_eq!(it.gated(call), gated, "{name} of {bytes} bytes");
            };
            once("any", &|| ok!(cuda, cuMemcpy(to, from, bytes)));
            once("any ptds", &|| ok!(cuda, cuMemcpy_ptds(to, from, bytes)));
            once("anyAsync", &|| {
                ok!(cuda, cuMemcpyAsync(to, from, bytes, own))
            });
            once("DtoD", &|| ok!(cuda, cuMemcpyDtoD_v2(to, from, bytes)));
            once("DtoDAsync", &|| {
                ok!(cuda, cuMemcpyDtoDAsync_v2(to, from, bytes, own));
            });
            once("DtoDAsync ptsz", &|| {
                ok!(cuda, cuMemcpyDtoDAsync_v2_ptsz(to, from, bytes, null_mut()));
            });
            once("Peer, on one device", &|| {
                ok!(cuda, cuMemcpyPeer(to, context, from, context, bytes));
            });
            once("2D", &|| ok!(cuda, cuMemcpy2D_v2(&flat(to, from, bytes))));
            once("2DUnaligned", &|| {
                ok!(cuda, cuMemcpy2DUnaligned_v2(&flat(to, from, bytes)));
            });
            once("2DAsync", &|| {
                ok!(cuda, cuMemcpy2DAsync_v2(&flat(to, from, bytes), own));
            });
            once("3D", &|| ok!(cuda, cuMemcpy3D_v2(&deep(to, from, bytes))));
            once("3DAsync", &|| {
                ok!(cuda, cuMemcpy3DAsync_v2(&deep(to, from, bytes), own));
            });
            once("Batch", &|| {
                let (mut targets, mut sources) = ([to, to + bytes as u64 / 2], [from; 2]);
                let mut sizes = [bytes / 2; 2];
                let (mut attributes, mut index) = (CUmemcpyAttributes::default(), 0);
                ok!(
                    cuda,
                    cuMemcpyBatchAsync_v2(
                        targets.as_mut_ptr(),
                        sources.as_mut_ptr(),
                        sizes.as_mut_ptr(),
                        2,
                        &mut attributes,
                        &mut index,
                        1,
                        own
                    )
                );
            });
        }
    });
}

#[test]
fn copies_over_the_bus_pass_and_say_so_when_they_wait() {
    run_gated(crate::here!(), |cuda, it| {
        let (device, own) = (it.device(LARGE), it.stream());
        let pinned = it.pinned(LARGE);
        let mut pageable = vec![0_u8; LARGE];
        let pageable: *mut c_void = pageable.as_mut_ptr().cast();
        let once = |name: &str, told: u32, call: &dyn Fn()| {
            let mut kernels = 0;
            let gated = it.gated(|| {
                kernels = it.open_segment(10, own);
                assert_eq!(it.told(call), told, "{name}");
            });
            assert_eq!(gated, kernels, "{name}: only the kernels");
        };
        once("HtoD", 1, &|| {
            ok!(cuda, cuMemcpyHtoD_v2(device, pinned, LARGE))
        });
        once("DtoH", 1, &|| {
            ok!(cuda, cuMemcpyDtoH_v2(pinned, device, LARGE))
        });
        once("any", 1, &|| {
            ok!(cuda, cuMemcpy(pinned as u64, device, LARGE))
        });
        once("HtoDAsync, pinned", 0, &|| {
            ok!(cuda, cuMemcpyHtoDAsync_v2(device, pinned, LARGE, own));
        });
        once("HtoDAsync, pageable", 1, &|| {
            ok!(cuda, cuMemcpyHtoDAsync_v2(device, pageable, LARGE, own));
        });
        once("HtoDAsync, pageable and small", 0, &|| {
            ok!(cuda, cuMemcpyHtoDAsync_v2(device, pageable, SMALL, own));
        });
        once("DtoHAsync, pinned", 0, &|| {
            ok!(cuda, cuMemcpyDtoHAsync_v2(pinned, device, LARGE, own));
        });
        once("DtoHAsync, pageable", 1, &|| {
            ok!(cuda, cuMemcpyDtoHAsync_v2(pageable, device, SMALL, own));
        });
        once("anyAsync, pinned", 0, &|| {
            ok!(cuda, cuMemcpyAsync(device, pinned as u64, LARGE, own));
        });
        let up = CUDA_MEMCPY2D {
            srcMemoryType: CUmemorytype::CU_MEMORYTYPE_HOST,
            srcHost: pinned,
            ..flat(device, 0, LARGE)
        };
        once("2D from the host", 1, &|| ok!(cuda, cuMemcpy2D_v2(&up)));
        once("2DAsync from the host", 0, &|| {
            ok!(cuda, cuMemcpy2DAsync_v2(&up, own));
        });
    });
}

#[test]
fn many_small_ones_in_a_row_take_a_turn_together() {
    run_gated(crate::here!(), |cuda, it| {
        let (to, own) = (it.device(SMALL), it.stream());
        let fill = |count: u32| {
            (0..count).for_each(|_| ok!(cuda, cuMemsetD8Async(to, 1, 4096, own)));
        };
        it.launch(10, own);
        assert_eq!(it.gated(|| fill(63)), 0);
        assert_eq!(it.gated(|| fill(1)), 1);
        assert_eq!(it.gated(|| fill(640)), 10);
        let mixed = || {
            for _ in 0..4 {
                fill(40);
                it.launch(10, own);
            }
        };
        assert_eq!(it.gated(mixed), 4, "beside kernels they never do");
    });
}

#[test]
fn what_is_captured_is_not_gated() {
    run_gated(crate::here!(), |cuda, it| {
        let (to, from, own) = (it.device(LARGE), it.device(LARGE), it.stream());
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        let (mut graph, mut exec) = (null_mut(), null_mut());
        it.settle();
        ok!(cuda, cuStreamBeginCapture_v2(own, mode));
        ok!(cuda, cuMemsetD8Async(from, 3, LARGE, own));
        ok!(cuda, cuMemcpyDtoDAsync_v2(to, from, LARGE, own));
        ok!(cuda, cuStreamEndCapture(own, &mut graph));
        assert!(!it.is_open());
        ok!(cuda, cuGraphInstantiateWithFlags(&mut exec, graph, 0));
        assert_eq!(it.gated(|| ok!(cuda, cuGraphLaunch(exec, own))), 1);
        let mut byte = 0_u8;
        ok!(cuda, cuMemcpyDtoH_v2((&raw mut byte).cast(), to, 1));
        assert_eq!(byte, 3);
    });
}

#[test]
fn a_copy_that_waits_comes_back_from_behind_an_open_segment() {
    run_gated(crate::here!(), |cuda, it| {
        let device = it.device(LARGE);
        let mut pageable = vec![0_u8; LARGE];
        let began = Instant::now();
        for _ in 0..10 {
            it.launch(100, null_mut());
            ok!(cuda, cuMemsetD8_v2(device, 9, LARGE));
            let place = pageable.as_mut_ptr().cast();
            ok!(cuda, cuMemcpyDtoH_v2(place, device, LARGE));
            assert!(pageable.iter().all(|byte| *byte == 9));
            ok!(cuda, cuMemcpyHtoD_v2(device, place, LARGE));
        }
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}
