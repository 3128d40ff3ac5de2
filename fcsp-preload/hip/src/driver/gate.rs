//! The driver's functions that the gate calls.

use fcsp_amd_queue::Functions;
use hip_sys::{fn_types, hipError_t};

use crate::driver::Hip;
use crate::errors;
use crate::hooks::hip;

impl Functions for Hip {
    #[inline]
    fn host_register(&self) -> Option<fn_types::hipHostRegister> {
        hip::hipHostRegister.get()
    }

    #[inline]
    fn host_device_pointer(&self) -> Option<fn_types::hipHostGetDevicePointer> {
        hip::hipHostGetDevicePointer.get()
    }

    #[inline]
    fn wait_value(&self) -> Option<fn_types::hipStreamWaitValue32> {
        hip::hipStreamWaitValue32.get()
    }

    #[inline]
    fn write_value(&self) -> Option<fn_types::hipStreamWriteValue32> {
        hip::hipStreamWriteValue32.get()
    }

    #[inline]
    fn event_create(&self) -> Option<fn_types::hipEventCreateWithFlags> {
        hip::hipEventCreateWithFlags.get()
    }

    #[inline]
    fn event_record(&self) -> Option<fn_types::hipEventRecord> {
        hip::hipEventRecord.get()
    }

    #[inline]
    fn event_elapsed(&self) -> Option<fn_types::hipEventElapsedTime> {
        hip::hipEventElapsedTime.get()
    }

    #[inline]
    fn quietly<R>(&self, call: impl FnOnce() -> R) -> R {
        errors::quietly(call)
    }
}

pub fn succeeded(result: hipError_t) -> bool {
    result == hipError_t::hipSuccess
}
