//! The driver's functions that the gate calls.

use cuda_sys::fn_types;
use fcsp_nvidia_queue::Functions;

use crate::driver::Cuda;
use crate::hooks::cuda;

impl Functions for Cuda {
    #[inline]
    fn host_register(&self) -> Option<fn_types::cuMemHostRegister_v2> {
        cuda::cuMemHostRegister_v2.get()
    }

    #[inline]
    fn host_device_pointer(&self) -> Option<fn_types::cuMemHostGetDevicePointer_v2> {
        cuda::cuMemHostGetDevicePointer_v2.get()
    }

    #[inline]
    fn wait_value(&self) -> Option<fn_types::cuStreamWaitValue32_v2> {
        cuda::cuStreamWaitValue32_v2.get()
    }

    #[inline]
    fn write_value(&self) -> Option<fn_types::cuStreamWriteValue32_v2> {
        cuda::cuStreamWriteValue32_v2.get()
    }

    #[inline]
    fn event_create(&self) -> Option<fn_types::cuEventCreate> {
        cuda::cuEventCreate.get()
    }

    #[inline]
    fn event_record(&self) -> Option<fn_types::cuEventRecord> {
        cuda::cuEventRecord.get()
    }

    #[inline]
    fn event_elapsed(&self) -> Option<fn_types::cuEventElapsedTime> {
        cuda::cuEventElapsedTime_v2
            .get()
            .or_else(|| cuda::cuEventElapsedTime.get())
    }
}
