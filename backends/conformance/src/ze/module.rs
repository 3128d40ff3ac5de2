//! Work of known length: a kernel that counts down ([`Work`]).
//!
//! The kernel is that of the load program (`hw-tests/ze/work.cl`). How fast it counts is measured first.

use super::api::{LevelZero, call};
use crate::pace;
use fcsp_backend_intel::queue::Queue;
use level_zero_sys::{
    ze_command_list_desc_t, ze_command_list_handle_t, ze_command_queue_desc_t,
    ze_command_queue_mode_t, ze_context_handle_t, ze_device_handle_t, ze_group_count_t,
    ze_host_mem_alloc_desc_t, ze_kernel_desc_t, ze_kernel_handle_t, ze_module_desc_t,
    ze_module_format_t, ze_structure_type_t,
};
use std::ffi::c_void;
use std::ptr;
use std::time::Instant;

/// `hw-tests/ze/work.spv.h`, which is C.
const SOURCE: &str = include_str!("../../../../hw-tests/ze/work.spv.h");

/// The kernel, and how fast it is.
pub struct Work {
    kernel: ze_kernel_handle_t,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    rounds_per_ns: f64,
}

/// The bytes of a C array.
fn module_bytes() -> Vec<u8> {
    let body = SOURCE.split_once('{').map_or("", |(_, body)| body);
    let body = body.split_once('}').map_or("", |(body, _)| body);
    let number = |text: &str| u8::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok();
    body.split(',').filter_map(number).collect()
}

/// Loads the kernel and measures it. The device must be idle.
pub fn work(
    ze: &LevelZero,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
) -> Result<Work, String> {
    let code = module_bytes();
    let desc = ze_module_desc_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_MODULE_DESC,
        format: ze_module_format_t::ZE_MODULE_FORMAT_IL_SPIRV,
        inputSize: code.len(),
        pInputModule: code.as_ptr(),
        ..Default::default()
    };
    let (mut module, mut kernel) = (ptr::null_mut(), ptr::null_mut());
    let entry = ze_kernel_desc_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_KERNEL_DESC,
        pKernelName: c"fcsp_work".as_ptr(),
        ..Default::default()
    };
    let memory = ze_host_mem_alloc_desc_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC,
        ..Default::default()
    };
    let (mut counter, none) = (ptr::null_mut::<c_void>(), 0_u64);
    // SAFETY: our context; code that lives through the call; the driver writes handles and an address; arguments of the
    // sizes that the kernel declares.
    unsafe {
        let log = ptr::null_mut();
        call!(ze, zeModuleCreate(context, device, &desc, &mut module, log))?;
        call!(ze, zeKernelCreate(module, &entry, &mut kernel))?;
        call!(ze, zeKernelSetGroupSize(kernel, 1, 1, 1))?;
        call!(ze, zeMemAllocHost(context, &memory, 8, 8, &mut counter))?;
        let place = (&raw const counter).cast();
        call!(ze, zeKernelSetArgumentValue(kernel, 1, 8, place))?;
        let place = (&raw const none).cast();
        call!(ze, zeKernelSetArgumentValue(kernel, 2, 8, place))?;
    }
    let mut work = Work {
        kernel,
        context,
        device,
        rounds_per_ns: 0.0,
    };
    work.rounds_per_ns = work.measure(ze)?;
    Ok(work)
}

impl Work {
    fn measure(&self, ze: &LevelZero) -> Result<f64, String> {
        let desc = ze_command_queue_desc_t {
            mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS,
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
            ..Default::default()
        };
        let mut list = ptr::null_mut();
        // SAFETY: our context; the driver writes one handle.
        unsafe {
            call!(
                ze,
                zeCommandListCreateImmediate(self.context, self.device, &desc, &mut list)
            )
        }?;
        pace::rounds_per_ns(|rounds| {
            let began = Instant::now();
            self.append(ze, list, rounds)?;
            Ok(began.elapsed())
        })
    }

    fn append(
        &self,
        ze: &LevelZero,
        list: ze_command_list_handle_t,
        rounds: u32,
    ) -> Result<(), String> {
        let one = ze_group_count_t {
            groupCountX: 1,
            groupCountY: 1,
            groupCountZ: 1,
        };
        let none = ptr::null_mut();
        // SAFETY: our kernel and list; an argument of the size that the kernel declares.
        unsafe {
            let place = (&raw const rounds).cast();
            call!(ze, zeKernelSetArgumentValue(self.kernel, 0, 4, place))?;
            call!(
                ze,
                zeCommandListAppendLaunchKernel(list, self.kernel, &one, none, 0, none.cast())
            )
        }
    }

    /// Puts work of that length into a queue.
    pub fn put(
        &self,
        ze: &LevelZero,
        queue: Queue,
        is_immediate: bool,
        ns: u64,
    ) -> Result<(), String> {
        // A little more than asked for: what is measured is that it took no less.
        let rounds = (ns as f64 * self.rounds_per_ns * 1.02) as u32;
        if is_immediate {
            return self.append(ze, queue.cast(), rounds);
        }
        let desc = ze_command_list_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC,
            ..Default::default()
        };
        let mut list = ptr::null_mut();
        // SAFETY: our context; the driver writes one handle. The list is left to the end of the process: it may be in
        // the queue until then.
        unsafe {
            call!(
                ze,
                zeCommandListCreate(self.context, self.device, &desc, &mut list)
            )?;
            self.append(ze, list, rounds)?;
            call!(ze, zeCommandListClose(list))?;
            let none = ptr::null_mut();
            call!(
                ze,
                zeCommandQueueExecuteCommandLists(queue.cast(), 1, &mut list, none)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_array_is_a_module() {
        let code = module_bytes();
        assert_eq!(code[..4], 0x0723_0203_u32.to_le_bytes());
        assert!(code.len().is_multiple_of(4) && code.len() > 1000);
    }
}
