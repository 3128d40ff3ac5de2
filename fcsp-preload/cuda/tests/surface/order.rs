//! Streams that wait for what others write.

use crate::seen::{Gated, run_gated};
use cuda_sys::{CUstreamBatchMemOpParams, CUstreamBatchMemOpType, CUstreamWaitValue_flags};
use fcsp_core::region::layout::SEGMENTS;
use fcsp_core::sync::Ordering::Acquire;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Release;

const AT_LEAST: u32 = CUstreamWaitValue_flags::CU_STREAM_WAIT_VALUE_GEQ.0;

/// A word that the program writes.
fn word(it: &Gated) -> (u64, &'static AtomicU32) {
    let place = it.pinned(64);
    // SAFETY: page-locked memory that is never freed, aligned.
    (place as u64, unsafe { AtomicU32::from_ptr(place.cast()) })
}

/// Puts a wait into a stream by `wait`; the segment before ends, what comes after is awaited.
fn check(it: &Gated, wait: impl FnOnce(cuda_sys::CUstream, u64)) {
    let (address, word) = word(it);
    let own = it.stream();
    it.open_segment(100, own);
    wait(own, address);
    assert!(!it.is_open(), "the segment ended before the wait");
    it.launch(100, own);
    let awaited = it.page().arrival.awaited.load(Acquire);
    assert_ne!(awaited, 0, "the next one is awaited");
    assert!((awaited.ilog2() as usize) < SEGMENTS);
    word.store(1, Release);
    it.settle();
}

#[test]
fn a_wait_for_a_word_ends_the_segment_before_it() {
    run_gated(crate::here!(), |cuda, it| {
        it.settle();
        check(&it, |stream, address| {
            ok!(cuda, cuStreamWaitValue32_v2(stream, address, 1, AT_LEAST));
        });
        check(&it, |stream, address| {
            ok!(cuda, cuStreamWaitValue32(stream, address, 1, AT_LEAST));
        });
        check(&it, |stream, address| {
            ok!(cuda, cuStreamWaitValue64_v2(stream, address, 1, AT_LEAST));
        });
        check(&it, |stream, address| {
            let mut operation = CUstreamBatchMemOpParams { pad: [0; 6] };
            operation.waitValue.operation = CUstreamBatchMemOpType::CU_STREAM_MEM_OP_WAIT_VALUE_32;
            operation.waitValue.address = address;
            operation.waitValue.flags = AT_LEAST;
            let value = 1;
            operation.waitValue.__bindgen_anon_1.value = value;
            ok!(cuda, cuStreamBatchMemOp_v2(stream, 1, &mut operation, 0));
        });
    });
}

#[test]
fn what_another_stream_waits_for_is_let_through() {
    run_gated(crate::here!(), |cuda, it| {
        let (address, _) = word(&it);
        let (first, second) = (it.stream(), it.stream());
        ok!(cuda, cuStreamWaitValue32_v2(first, address, 1, AT_LEAST));
        it.launch(100, first);
        // Numbered after what waits for it.
        it.launch(100, second);
        ok!(cuda, cuStreamWriteValue32_v2(second, address, 1, 0));
        it.settle();
    });
}

#[test]
fn events_end_segments_only_once_something_waits_for_others() {
    run_gated(crate::here!(), |cuda, it| {
        let (first, second) = (it.stream(), it.stream());
        let mut event = std::ptr::null_mut();
        ok!(cuda, cuEventCreate(&mut event, 2));
        let order = || {
            it.open_segment(10, second);
            ok!(cuda, cuEventRecord(event, first));
            ok!(cuda, cuStreamWaitEvent(second, event, 0));
            it.is_open()
        };
        assert!(order());
        it.settle();
        let (address, word) = word(&it);
        word.store(1, Release);
        ok!(cuda, cuStreamWaitValue32_v2(first, address, 1, AT_LEAST));
        assert!(!order());
        it.settle();
    });
}
