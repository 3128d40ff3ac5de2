//! Kernel launches: what `fcsp_sim::work` says of the kernel, with the arguments of the moment.
//!
//! Where a launch reads its size from memory, it is read when the command is handed to the queue, not when its turn
//! comes: the model wants to know how long work takes when it is submitted.

use crate::border::{Outcome, at, rc, read, require};
use crate::command::Action;
use crate::device::THREADS_PER_WAVE;
use crate::driver::Gpu;
use crate::handles::{KERNELS, get};
use crate::kernel::{Kernel, Settings, check_group};
use crate::list::append;
use crate::memory::contains;
use fcsp_sim::work::{Counted, modelled_ns};
use fcsp_sim::{Effect, Op};
use level_zero_sys::*;
use std::ffi::c_void;
use std::sync::Arc;

/// One or more launches of one command.
pub enum Launch {
    /// Of a size that is known.
    Direct(Work, [u32; 3]),
    /// Of a size that stands in memory.
    Indirect(Work, u64),
    /// Several, as many as a word says, of sizes that stand in memory.
    Several(Arc<[Work]>, u64, u64),
}

/// A kernel with its arguments.
#[derive(Clone)]
pub struct Work {
    gpu: &'static Gpu,
    /// What its arguments say, if they do: device time, counter and addend.
    counted: Option<(u64, Option<(u64, u64)>)>,
    group_items: u64,
}

impl Work {
    fn of(kernel: &Kernel, settings: &Settings) -> Result<Self, ze_result_t> {
        let counted = match Counted::of(kernel.entry.name.as_bytes()) {
            Some(counted) => {
                let argument = |index: usize| {
                    let bytes = settings.arguments.get(index).and_then(Option::as_ref);
                    bytes.ok_or(rc::INVALID_ARGUMENT)
                };
                let iters = argument(0)?.as_slice().try_into().map(u32::from_le_bytes);
                let counter = argument(1)?.as_slice().try_into().map(u64::from_le_bytes);
                let add = argument(2)?.as_slice().try_into().map(u64::from_le_bytes);
                let (Ok(iters), Ok(counter), Ok(add)) = (iters, counter, add) else {
                    return Err(rc::INVALID_ARGUMENT_SIZE);
                };
                // On hardware the kernel would fault and take the device with it.
                let known = counter == 0 || counter % 8 == 0 && contains(counter, 8);
                require(known, rc::INVALID_ARGUMENT)?;
                let count = (counter != 0).then_some((counter, add));
                Some((counted.duration_ns(iters, add), count))
            }
            None => None,
        };
        Ok(Self {
            gpu: kernel.gpu,
            counted,
            group_items: settings.group.iter().map(|n| u64::from(*n)).product(),
        })
    }

    fn op(&self, groups: [u32; 3]) -> Op {
        let (duration_ns, count) = self.counted.unwrap_or_else(|| {
            let groups = groups
                .iter()
                .fold(1_u64, |all, n| all.saturating_mul((*n).into()));
            let items = groups.saturating_mul(self.group_items);
            let config = self.gpu.device.config();
            (modelled_ns(config, items, THREADS_PER_WAVE), None)
        });
        Op::Work {
            duration_ns,
            effect: match count {
                Some((address, add)) => Effect::AddU64 { address, add },
                None => Effect::None,
            },
        }
    }
}

fn groups_at(address: u64) -> [u32; 3] {
    // SAFETY: the range was checked when the command was recorded.
    let groups = unsafe { (address as *const ze_group_count_t).read_unaligned() };
    [groups.groupCountX, groups.groupCountY, groups.groupCountZ]
}

impl Launch {
    /// The operations for a queue.
    pub fn ops(&self, ops: &mut Vec<Op>) {
        match self {
            Self::Direct(work, groups) => ops.push(work.op(*groups)),
            Self::Indirect(work, address) => ops.push(work.op(groups_at(*address))),
            Self::Several(all, count, groups) => {
                // SAFETY: as above.
                let count = unsafe { (*count as *const u32).read_unaligned() } as usize;
                let step = size_of::<ze_group_count_t>() as u64;
                let launches = all.iter().take(count).zip(0_u64..);
                ops.extend(launches.map(|(work, at)| work.op(groups_at(groups + at * step))));
            }
        }
    }
}

/// `zeCommandListAppendLaunchKernel`.
pub unsafe fn kernel(
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    groups: *const ze_group_count_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    // SAFETY: the caller's structure.
    let groups = unsafe { read(groups) }?;
    let groups = [groups.groupCountX, groups.groupCountY, groups.groupCountZ];
    let work = Work::of(&kernel, &kernel.settings())?;
    let launch = Action::Launch(Launch::Direct(work, groups));
    // SAFETY: the same contract.
    unsafe { append(list, |_| Ok(launch), signal, count, waits) }
}

/// `zeCommandListAppendLaunchCooperativeKernel`: all groups have to be resident at once.
pub unsafe fn cooperative(
    list: ze_command_list_handle_t,
    handle: ze_kernel_handle_t,
    groups: *const ze_group_count_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    // SAFETY: the caller's structure.
    let g = unsafe { read(groups) }?;
    let group = get(&KERNELS, handle)?.settings().group;
    let items = [g.groupCountX, g.groupCountY, g.groupCountZ]
        .iter()
        .chain(&group)
        .fold(1_u64, |all, n| all.saturating_mul((*n).into()));
    require(items <= THREADS_PER_WAVE, rc::INVALID_ARGUMENT)?;
    // SAFETY: the same contract.
    unsafe { kernel(list, handle, groups, signal, count, waits) }
}

/// `zeCommandListAppendLaunchKernelIndirect`.
pub unsafe fn indirect(
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    groups: *const ze_group_count_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    require(!groups.is_null(), rc::NULL_POINTER)?;
    let known = contains(groups as u64, size_of::<ze_group_count_t>() as u64);
    require(known, rc::INVALID_ARGUMENT)?;
    let work = Work::of(&kernel, &kernel.settings())?;
    let launch = Action::Launch(Launch::Indirect(work, groups as u64));
    // SAFETY: the same contract.
    unsafe { append(list, |_| Ok(launch), signal, count, waits) }
}

/// `zeCommandListAppendLaunchMultipleKernelsIndirect`.
pub unsafe fn several(
    list: ze_command_list_handle_t,
    kernel_count: u32,
    kernels: *mut ze_kernel_handle_t,
    launches: *const u32,
    groups: *const ze_group_count_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let given = !kernels.is_null() && !launches.is_null() && !groups.is_null();
    require(given, rc::NULL_POINTER)?;
    let bytes = u64::from(kernel_count) * size_of::<ze_group_count_t>() as u64;
    let known = contains(launches as u64, 4) && contains(groups as u64, bytes);
    require(known, rc::INVALID_ARGUMENT)?;
    let work = (0..kernel_count as usize)
        .map(|index| {
            // SAFETY: within the array, by the caller's contract.
            let kernel = get(&KERNELS, unsafe { *kernels.add(index) })?;
            Work::of(&kernel, &kernel.settings())
        })
        .collect::<Result<Arc<[Work]>, _>>()?;
    let launch = Action::Launch(Launch::Several(work, launches as u64, groups as u64));
    // SAFETY: the same contract.
    unsafe { append(list, |_| Ok(launch), signal, count, waits) }
}

/// `zeCommandListAppendLaunchKernelWithParameters`. Extensions change nothing a simulated kernel could show.
pub unsafe fn with_parameters(
    list: ze_command_list_handle_t,
    handle: ze_kernel_handle_t,
    groups: *const ze_group_count_t,
    _next: *const c_void,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { kernel(list, handle, groups, signal, count, waits) }
}

/// `zeCommandListAppendLaunchKernelWithArguments`. A parameter of unknown size counts as a pointer.
pub unsafe fn with_arguments(
    list: ze_command_list_handle_t,
    handle: ze_kernel_handle_t,
    groups: ze_group_count_t,
    sizes: ze_group_size_t,
    arguments: *mut *mut c_void,
    _next: *const c_void,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let of = get(&KERNELS, handle)?;
    let group = [sizes.groupSizeX, sizes.groupSizeY, sizes.groupSizeZ];
    check_group(group)?;
    let mut settings = of.settings();
    settings.group = group;
    for (index, size) in of.entry.parameters.iter().enumerate() {
        // SAFETY: one pointer per parameter, by the caller's contract.
        let value = unsafe { *at(arguments.wrapping_add(index))? };
        require(!value.is_null(), rc::NULL_POINTER)?;
        // SAFETY: each to at least its size.
        let bytes = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size.unwrap_or(8)) };
        settings.arguments[index] = Some(bytes.to_vec());
    }
    drop(settings);
    // SAFETY: the same contract.
    unsafe { kernel(list, handle, &groups, signal, count, waits) }
}
