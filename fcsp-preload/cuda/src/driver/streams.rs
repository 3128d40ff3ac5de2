//! Streams, events, contexts and captures.

use core::ffi::{CStr, c_char};
use core::ptr;

use cuda_sys::{
    CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUcontext, CUevent, CUevent_flags, CUfunction,
    CUkernel, CUresult, CUstream, CUstream_flags, CUstreamCaptureMode, CUstreamCaptureStatus,
};
use fcsp_gate::Handle;
use fcsp_nvidia_queue::new_event;
use fcsp_program::driver::Queues;

use crate::driver::{Cuda, current_context};
use crate::hooks::cuda;
use crate::memory::contexts;

fn succeeded(result: CUresult) -> bool {
    result == CUresult::CUDA_SUCCESS
}

impl Queues for Cuda {
    const LEGACY: CUstream = CU_STREAM_LEGACY;
    const PER_THREAD: CUstream = CU_STREAM_PER_THREAD;

    #[inline]
    fn home() -> u64 {
        contexts::only().unwrap_or_else(current_context).number()
    }

    fn within_home(home: u64, call: impl FnOnce() -> bool) -> bool {
        let context = CUcontext::from_number(home);
        if context == current_context() {
            return call();
        }
        let (Some(push), Some(pop)) = (
            cuda::cuCtxPushCurrent_v2.get(),
            cuda::cuCtxPopCurrent_v2.get(),
        ) else {
            return false;
        };
        // SAFETY: a context the program had current when it used a stream of it; the driver checks it.
        if !succeeded(unsafe { push(context) }) {
            return false;
        }
        let done = call();
        let mut popped = ptr::null_mut();
        // SAFETY: takes off what was pushed above.
        unsafe { pop(&mut popped) };
        done
    }

    fn ordinal_of_stream(stream: CUstream) -> Option<i32> {
        let mut context = ptr::null_mut();
        // SAFETY: the program's own stream; the driver checks it, and writes a handle or fails.
        let result = unsafe { cuda::cuStreamGetCtx.get()?(stream, &mut context) };
        succeeded(result)
            .then(|| contexts::ordinal_of(context))
            .flatten()
    }

    fn new_stream() -> Option<CUstream> {
        let mut stream = ptr::null_mut();
        let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
        // SAFETY: the driver writes one handle.
        let result = unsafe { cuda::cuStreamCreate.get()?(&mut stream, flags) };
        succeeded(result).then_some(stream)
    }

    fn new_event() -> Option<u64> {
        let flags = CUevent_flags::CU_EVENT_DISABLE_TIMING;
        new_event(cuda::cuEventCreate.get()?, flags).map(Handle::number)
    }

    fn record(event: u64, stream: CUstream) -> bool {
        cuda::cuEventRecord
            .get()
            // SAFETY: an event of ours, the calling thread's own stream.
            .is_some_and(|record| succeeded(unsafe { record(CUevent::from_number(event), stream) }))
    }

    fn wait_event(stream: CUstream, event: u64) -> bool {
        cuda::cuStreamWaitEvent
            .get()
            // SAFETY: a stream and an event of ours.
            .is_some_and(|wait| succeeded(unsafe { wait(stream, CUevent::from_number(event), 0) }))
    }

    fn wait_for_stream<const PER_THREAD: bool>(stream: CUstream) -> Option<CUresult> {
        let wait = if PER_THREAD {
            cuda::cuStreamSynchronize_ptsz.get()
        } else {
            cuda::cuStreamSynchronize.get()
        };
        // SAFETY: the program's own stream; the driver checks it.
        wait.map(|wait| unsafe { wait(stream) })
    }

    fn wait_for_all() -> Option<CUresult> {
        // SAFETY: no arguments.
        cuda::cuCtxSynchronize.get().map(|wait| unsafe { wait() })
    }

    fn is_capturing<const PER_THREAD: bool>(stream: CUstream) -> bool {
        let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        let ask = if PER_THREAD {
            cuda::cuStreamIsCapturing_ptsz.get()
        } else {
            cuda::cuStreamIsCapturing.get()
        };
        // SAFETY: the program's own stream; the driver checks it.
        let result = ask.map(|ask| unsafe { ask(stream, &mut status) });
        // An error here means a capture that forbids the legacy stream: leave that to the launch itself.
        result != Some(CUresult::CUDA_SUCCESS)
            || status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE
    }

    type CaptureMode = CUstreamCaptureMode;

    fn relax_captures() -> Option<CUstreamCaptureMode> {
        exchange(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)
    }

    fn restore_captures(mode: CUstreamCaptureMode) {
        exchange(mode);
    }

    /// NCCL (`ncclDevKernel_…`, `ncclKernel_…`, `ncclSymkDevKernel_…`) and NVSHMEM.
    const COLLECTIVES: &[&[u8]] = &[b"nccl", b"nvshmem"];

    /// A driver before 12.3 does not say.
    fn kernel_name(kernel: u64) -> Option<&'static CStr> {
        let mut name: *const c_char = ptr::null();
        let mut result = CUresult::CUDA_ERROR_NOT_FOUND;
        if let Some(get) = cuda::cuFuncGetName.get() {
            // SAFETY: the driver writes a pointer to a name that lives as long as the function.
            result = unsafe { get(&mut name, CUfunction::from_number(kernel)) };
        }
        if !succeeded(result)
            && let Some(get) = cuda::cuKernelGetName.get()
        {
            // SAFETY: as above; a launch takes the handle of a library's kernel as well.
            result = unsafe { get(&mut name, CUkernel::from_number(kernel)) };
        }
        let known = succeeded(result) && !name.is_null();
        // SAFETY: the driver wrote it. It is read at once, while the program has the function.
        known.then(|| unsafe { CStr::from_ptr(name) })
    }
}

fn exchange(mut mode: CUstreamCaptureMode) -> Option<CUstreamCaptureMode> {
    let exchange = cuda::cuThreadExchangeStreamCaptureMode.get()?;
    // SAFETY: the driver reads and writes the one place.
    succeeded(unsafe { exchange(&mut mode) }).then_some(mode)
}

#[cfg(test)]
mod tests {
    use fcsp_program::communication::communicates;

    use super::*;

    #[test]
    fn collectives_are_known_by_name() {
        for name in [
            // As libnccl 2.32 has it.
            "_Z32ncclDevKernel_AllReduce_f32_RING24ncclDevKernelArgsStorageILm4096EE",
            "ncclDevKernel_AllReduce_Sum_f32_RING_LL",
            "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t",
            "ncclSymkDevKernel_AllGather_LL",
            "nvshmemi_barrier_all",
        ] {
            assert!(communicates(Cuda::COLLECTIVES, name.as_bytes()), "{name}");
        }
        for name in ["_Z16my_ncclDevKernelv", "my_ncclDevKernel", "ncc"] {
            assert!(!communicates(Cuda::COLLECTIVES, name.as_bytes()), "{name}");
        }
    }
}
