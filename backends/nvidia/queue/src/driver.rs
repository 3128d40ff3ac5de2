//! The driver's functions that a gate calls: [`Driver`].

use core::ptr;

use cuda_sys::{CUevent, CUevent_flags, CUresult, fn_types};

/// Pointers to the driver's own functions, found once by whoever makes a gate. What the driver lacks
/// is `None`, and the gate then refuses what needs it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Driver {
    /// `cuMemHostRegister_v2`: pins the gate page.
    pub host_register: Option<fn_types::cuMemHostRegister_v2>,
    /// `cuMemHostGetDevicePointer_v2`: where the device sees it.
    pub host_device_pointer: Option<fn_types::cuMemHostGetDevicePointer_v2>,
    /// `cuStreamWaitValue32_v2`: the gate.
    pub wait_value: Option<fn_types::cuStreamWaitValue32_v2>,
    /// `cuStreamWriteValue32_v2`: the done word.
    pub write_value: Option<fn_types::cuStreamWriteValue32_v2>,
    /// `cuEventCreate`: a marker.
    pub event_create: Option<fn_types::cuEventCreate>,
    /// `cuEventRecord`.
    pub event_record: Option<fn_types::cuEventRecord>,
    /// `cuEventElapsedTime_v2`, else `cuEventElapsedTime`, which has the same signature.
    pub event_elapsed: Option<fn_types::cuEventElapsedTime>,
}

impl Driver {
    /// A new event in the current context; `None` if the driver gives none.
    pub fn event(&self, flags: CUevent_flags) -> Option<CUevent> {
        let mut event = ptr::null_mut();
        // SAFETY: the driver writes one handle.
        let result = unsafe { self.event_create?(&mut event, flags.0) };
        succeeded(result).then_some(event)
    }
}

pub(crate) fn succeeded(result: CUresult) -> bool {
    result == CUresult::CUDA_SUCCESS
}
