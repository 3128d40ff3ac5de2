//! What the rest of the library asks of the driver ([`fcsp_program::driver`]), by the driver's own functions, never the
//! exports of the same names: [`Cuda`].

mod gate;
mod graphs;
mod meter;
mod pools;
mod streams;
mod transfers;

use cuda_sys::{CUcontext, CUresult};
use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::Attachment;
use fcsp_nvidia_queue::Streams;
use fcsp_program::driver::{Codes, Devices, Undescribed};

use crate::hooks::cuda;
use crate::memory::contexts;
use crate::{identity, mps};

/// The driver of the program that this library is loaded into.
#[derive(Clone, Copy, Debug)]
pub struct Cuda;

impl Codes for Cuda {
    type Streams = Streams<Self>;
    const STREAMS: Self::Streams = Streams(Self);
    const SUCCESS: CUresult = CUresult::CUDA_SUCCESS;
    const NOT_READY: CUresult = CUresult::CUDA_ERROR_NOT_READY;
    const OUT_OF_MEMORY: CUresult = CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    const NOT_PERMITTED: CUresult = CUresult::CUDA_ERROR_NOT_PERMITTED;
}

impl Devices for Cuda {
    const VENDOR: Vendor = Vendor::Nvidia;

    fn current_ordinal() -> Option<i32> {
        let mut ordinal = 0;
        // SAFETY: the driver writes an ordinal there, or fails.
        let result = unsafe { cuda::cuCtxGetDevice.get()?(&mut ordinal) };
        (result == CUresult::CUDA_SUCCESS).then_some(ordinal)
    }

    fn id(ordinal: i32) -> Result<String, Undescribed> {
        identity::id(ordinal)
    }

    fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed> {
        identity::describe(ordinal, id)
    }

    fn total_bytes(ordinal: i32) -> Option<u64> {
        identity::total_bytes(ordinal).ok()
    }

    fn sharing_mode(ordinal: i32) -> SharingMode {
        mps::sharing_mode(ordinal)
    }

    fn partition_percent() -> Option<u32> {
        mps::partition_percent()
    }

    fn tell_sharing(attachment: &Attachment, id: &str) {
        mps::tell(attachment, id);
    }

    fn has_context(ordinal: i32) -> bool {
        contexts::any_on(ordinal)
    }

    fn is_only_context() -> bool {
        contexts::is_only()
    }
}

/// The calling thread's context; null if it has none.
#[inline(never)]
pub fn current_context() -> CUcontext {
    let mut context = core::ptr::null_mut();
    if let Some(get) = cuda::cuCtxGetCurrent.get() {
        // SAFETY: the driver writes one handle; on failure it stays null.
        unsafe { get(&mut context) };
    }
    context
}
