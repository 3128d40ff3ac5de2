//! Streams, events, devices of threads, and captures.

use core::ffi::{CStr, c_void};
use core::ptr;

use fcsp_amd_queue::new_event;
use fcsp_core::backend::Marker;
use fcsp_gate::{Handle, StreamDriver};
use fcsp_program::driver::{Codes, Devices, Queues};
use hip_sys::{
    HIP_STREAM_LEGACY, HIP_STREAM_NULL, HIP_STREAM_PER_THREAD, hipError_t, hipEvent_t,
    hipEventDisableTiming, hipFunction_t, hipStream_t, hipStreamCaptureMode,
    hipStreamCaptureStatus, hipStreamNonBlocking,
};

use crate::driver::Hip;
use crate::driver::gate::succeeded;
use crate::errors::quietly;
use crate::hooks::hip;
use crate::launch::{HOST_FUNCTION, host_address};

impl Queues for Hip {
    /// The null stream, which every version knows.
    const LEGACY: hipStream_t = HIP_STREAM_NULL;
    const PER_THREAD: hipStream_t = HIP_STREAM_PER_THREAD;

    #[inline(always)]
    fn is_legacy(stream: hipStream_t) -> bool {
        stream == HIP_STREAM_LEGACY
    }

    /// Twice the ordinal of the calling thread's device, plus 2.
    fn home() -> u64 {
        Self::current_ordinal().map_or(0, |ordinal| (ordinal as u64 + 1) << 1)
    }

    fn within_home(home: u64, call: impl FnOnce() -> bool) -> bool {
        let Some(wanted) = i32::try_from(home >> 1)
            .ok()
            .and_then(|it| it.checked_sub(1))
        else {
            return false;
        };
        let Some(current) = Self::current_ordinal() else {
            return false;
        };
        if wanted == current {
            return call();
        }
        let Some(set) = hip::hipSetDevice.get() else {
            return false;
        };
        // SAFETY: a device the program had chosen when it used its default stream.
        if !succeeded(quietly(|| unsafe { set(wanted) })) {
            return false;
        }
        let done = call();
        // SAFETY: the device that the thread had.
        quietly(|| unsafe { set(current) });
        done
    }

    fn ordinal_of_stream(stream: hipStream_t) -> Option<i32> {
        let get = hip::hipGetStreamDeviceId.get()?;
        // SAFETY: the program's own stream; the driver checks it. Below 0 it does not know it.
        let ordinal = quietly(|| unsafe { get(stream) });
        (ordinal >= 0).then_some(ordinal)
    }

    fn new_stream() -> Option<hipStream_t> {
        let create = hip::hipStreamCreateWithFlags.get()?;
        let mut stream = ptr::null_mut();
        // SAFETY: the driver writes one handle.
        let result = quietly(|| unsafe { create(&mut stream, hipStreamNonBlocking) });
        succeeded(result).then_some(stream)
    }

    fn new_event() -> Option<u64> {
        new_event(&Self, hipEventDisableTiming).map(Handle::number)
    }

    fn record(event: u64, stream: hipStream_t) -> bool {
        Self::STREAMS.record(Marker(event), stream)
    }

    fn wait_event(stream: hipStream_t, event: u64) -> bool {
        hip::hipStreamWaitEvent.get().is_some_and(|wait| {
            // SAFETY: a stream and an event of ours.
            let wait = || unsafe { wait(stream, hipEvent_t::from_number(event), 0) };
            succeeded(quietly(wait))
        })
    }

    fn wait_for_stream<const PER_THREAD: bool>(stream: hipStream_t) -> Option<hipError_t> {
        let wait = if PER_THREAD {
            hip::hipStreamSynchronize_spt.get()
        } else {
            hip::hipStreamSynchronize.get()
        };
        // SAFETY: the program's own stream; the driver checks it.
        wait.map(|wait| quietly(|| unsafe { wait(stream) }))
    }

    fn wait_for_all() -> Option<hipError_t> {
        let wait = hip::hipDeviceSynchronize.get()?;
        // SAFETY: no arguments.
        Some(quietly(|| unsafe { wait() }))
    }

    fn is_capturing<const PER_THREAD: bool>(stream: hipStream_t) -> bool {
        let mut status = hipStreamCaptureStatus::hipStreamCaptureStatusNone;
        let ask = if PER_THREAD {
            hip::hipStreamIsCapturing_spt.get()
        } else {
            hip::hipStreamIsCapturing.get()
        };
        // SAFETY: the program's own stream; the driver checks it.
        let result = ask.map(|ask| quietly(|| unsafe { ask(stream, &mut status) }));
        // An error here means a capture that forbids the null stream: leave that to the launch itself.
        result != Some(hipError_t::hipSuccess)
            || status != hipStreamCaptureStatus::hipStreamCaptureStatusNone
    }

    type CaptureMode = hipStreamCaptureMode;

    fn relax_captures() -> Option<hipStreamCaptureMode> {
        exchange(hipStreamCaptureMode::hipStreamCaptureModeRelaxed)
    }

    fn restore_captures(mode: hipStreamCaptureMode) {
        exchange(mode);
    }

    /// RCCL, which has taken over NCCL's names and had its own, and rocSHMEM.
    const COLLECTIVES: &[&[u8]] = &[b"nccl", b"rccl", b"rocshmem"];

    fn kernel_name(kernel: u64) -> Option<&'static CStr> {
        let name = if kernel & HOST_FUNCTION != 0 {
            let get = hip::hipKernelNameRefByPtr.get()?;
            let function: *const c_void = host_address(kernel);
            // SAFETY: what the program launches; the driver looks it up among the functions it knows.
            quietly(|| unsafe { get(function, HIP_STREAM_NULL) })
        } else {
            let get = hip::hipKernelNameRef.get()?;
            // SAFETY: what the program launches.
            quietly(|| unsafe { get(hipFunction_t::from_number(kernel)) })
        };
        // SAFETY: the driver's own string. It is read at once, while the program has the function.
        (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
    }
}

fn exchange(mut mode: hipStreamCaptureMode) -> Option<hipStreamCaptureMode> {
    let exchange = hip::hipThreadExchangeStreamCaptureMode.get()?;
    // SAFETY: the driver reads and writes the one place.
    succeeded(quietly(|| unsafe { exchange(&mut mode) })).then_some(mode)
}

#[cfg(test)]
mod tests {
    use fcsp_program::communication::communicates;

    use super::*;

    #[test]
    fn collectives_are_known_by_name() {
        for name in [
            "_Z24ncclDevKernel_Generic_1P4node",
            "ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t",
            "rcclGenericKernel_1",
            "rocshmem_barrier_all",
        ] {
            assert!(communicates(Hip::COLLECTIVES, name.as_bytes()), "{name}");
        }
        assert!(!communicates(Hip::COLLECTIVES, b"my_ncclDevKernel"));
    }
}
