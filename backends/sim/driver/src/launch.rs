//! Kernel launches: arguments, limits, and how long a kernel takes.
//!
//! `fcsp_sim::work` says what kernels do and how long they take. Here one more is known by its name:
//! `ncclDevKernel_Simulated(u64 mine, u64 theirs, u32 n)`, a rank's part of a collective: before it runs it writes `n` to
//! the first word and waits until the second has come to it.
//!
//! Which set `fcsp_chase` read last is known for each process, so that a cache is simulated for it and for nobody else.

use crate::border::{Outcome, rc, require};
use crate::context::cpu_cost;
use crate::driver::profile;
use crate::graph::NodeKind;
use crate::memory;
use crate::module::{FUNCTIONS, Function};
use crate::stream::resolve;
use crate::types::*;
use fcsp_sim::work::{self, Counted, Reads};
use fcsp_sim::{Comparison, Effect, Gate, Op, Width};
use std::ffi::{c_uint, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a launch does, arguments read.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// Device time, before jitter.
    pub duration_ns: u64,
    /// Counter to add to, and what.
    pub count: Option<(u64, u64)>,
    /// For `fcsp_stamped`: where it writes when it began and when it ended.
    pub stamps: Option<u64>,
    /// For `fcsp_chase`: where it writes, for how many blocks, and what.
    pub reads: Option<(u64, u64, Reads)>,
    /// For a rank's part of a collective: word to write, word to wait for, value.
    pub meeting: Option<(u64, u64, u32)>,
    /// Handle of the function.
    pub function: u64,
    /// Blocks, by dimension.
    pub grid: [c_uint; 3],
    /// Threads of a block, by dimension.
    pub block: [c_uint; 3],
    /// Dynamic shared memory.
    pub shared_bytes: c_uint,
}

const LAUNCH_CPU_NS: u64 = 2_500;

impl Kernel {
    /// The operations for a stream.
    pub fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::with_capacity(3);
        if let Some((mine, theirs, value)) = self.meeting {
            let (width, value) = (Width::Bits32, u64::from(value));
            ops.push(Op::Write {
                address: mine,
                width,
                value,
            });
            ops.push(Op::Wait(Gate {
                address: theirs,
                width,
                comparison: Comparison::AtLeast,
                value,
                mask: u64::MAX,
            }));
        }
        if let Some(address) = self.stamps {
            // Takes no time, and is done when the device has come to this program.
            ops.push(Op::Work {
                duration_ns: 0,
                effect: Effect::Stamp { address },
            });
        }
        let effect = match (self.count, self.stamps, self.reads) {
            (Some((address, add)), ..) => Effect::AddU64 { address, add },
            (_, Some(address), _) => Effect::Stamp {
                address: address + 8,
            },
            (.., Some((address, blocks, reads))) => {
                Effect::Run(Box::new(move || write_reads(address, blocks, reads)))
            }
            _ => Effect::None,
        };
        ops.push(Op::Work {
            duration_ns: self.duration_ns,
            effect,
        });
        ops
    }
}

/// Words of a block of `fcsp_chase`.
const CHASE_WORDS: u64 = 4;

/// What each block of `fcsp_chase` writes: cycles, reads and hits. The fourth word stays as it is.
fn write_reads(address: u64, blocks: u64, reads: Reads) {
    for block in 0..blocks {
        let words = [reads.count * reads.cycles, reads.count, reads.hits];
        for (place, word) in words.into_iter().enumerate() {
            let at = address + 8 * (CHASE_WORDS * block + place as u64);
            // SAFETY: `prepare` found that all words are the program's, which keeps them until the kernel is done.
            unsafe { AtomicU64::from_ptr(at as *mut u64) }.store(word, Ordering::Release);
        }
    }
}

/// The bytes of one argument, in either way a launch can pass them.
unsafe fn argument<const N: usize>(
    function: &Function,
    index: usize,
    params: *mut *mut c_void,
    buffer: &[u8],
) -> Result<[u8; N], Failure> {
    let parameter = function
        .entry
        .parameters
        .get(index)
        .ok_or(rc::INVALID_VALUE)?;
    require(parameter.bytes == N, rc::INVALID_VALUE)?;
    if params.is_null() {
        let bytes = buffer
            .get(parameter.offset..parameter.offset + N)
            .ok_or(rc::INVALID_VALUE)?;
        return bytes.try_into().map_err(|_| rc::INVALID_VALUE);
    }
    // SAFETY: the caller passes one pointer per parameter, each to at least its size.
    unsafe {
        let place = *params.add(index);
        require(!place.is_null(), rc::INVALID_VALUE)?;
        Ok(place.cast::<[u8; N]>().read_unaligned())
    }
}

/// The packed buffer of a launch's `extra`.
unsafe fn packed<'a>(extra: *mut *mut c_void) -> Result<&'a [u8], Failure> {
    if extra.is_null() {
        return Ok(&[]);
    }
    let (mut start, mut bytes) = (std::ptr::null::<u8>(), 0);
    for index in (0..8).step_by(2) {
        // SAFETY: the list is terminated by null, at which the loop ends.
        let (key, value) = unsafe { (*extra.add(index), extra.add(index + 1)) };
        if key == LAUNCH_PARAM_BUFFER_POINTER {
            // SAFETY: a key is followed by its value.
            start = unsafe { *value }.cast();
        } else if key == LAUNCH_PARAM_BUFFER_SIZE {
            // SAFETY: as above; the value points to the size.
            bytes = unsafe { *(*value).cast::<usize>() };
        } else if key.is_null() || key == LAUNCH_PARAM_END {
            break;
        } else {
            return Err(rc::INVALID_VALUE);
        }
    }
    require(!start.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's buffer and its size.
    Ok(unsafe { std::slice::from_raw_parts(start, bytes) })
}

/// Checks a launch and reads its arguments.
///
/// # Safety
/// `params` and `extra` are as the driver wants them for this function.
pub unsafe fn prepare(
    handle: FunctionHandle,
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared_bytes: c_uint,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<Kernel, Failure> {
    let function = FUNCTIONS.get(handle).ok_or(rc::INVALID_HANDLE)?;
    check_shape(grid, block)?;
    require(
        shared_bytes <= profile().shared_bytes_max,
        rc::INVALID_VALUE,
    )?;
    require(params.is_null() || extra.is_null(), rc::INVALID_VALUE)?;
    let mut kernel = Kernel {
        duration_ns: 0,
        count: None,
        stamps: None,
        reads: None,
        meeting: None,
        function: handle as u64,
        grid,
        block,
        shared_bytes,
    };
    if let Some(counted) = Counted::of(function.name.as_bytes()) {
        // SAFETY: the same contract.
        let (iterations, counter, add) = unsafe { work_arguments(&function, params, extra) }?;
        kernel.duration_ns = counted.duration_ns(iterations, add);
        if counter != 0 {
            let known = counter % 8 == 0 && memory::contains(counter, 8);
            // On hardware the kernel would fault and take the context with it.
            require(known, rc::ILLEGAL_ADDRESS)?;
            kernel.count = Some((counter, add));
        }
    } else if function.name.as_bytes() == b"fcsp_stamped" {
        // SAFETY: the same contract.
        let (iterations, words) = unsafe { stamped_arguments(&function, params, extra) }?;
        require(are_words(words, 2), rc::ILLEGAL_ADDRESS)?;
        kernel.duration_ns = Counted::Work.duration_ns(iterations, 0);
        kernel.stamps = Some(words);
    } else if function.name.as_bytes() == b"fcsp_chase" {
        // SAFETY: the same contract.
        let (set, hops, hit_cycles, words) = unsafe { chase_arguments(&function, params, extra) }?;
        let blocks = u64::from(grid[0]);
        require(
            are_words(words, CHASE_WORDS * blocks) && memory::contains(set, 1),
            rc::ILLEGAL_ADDRESS,
        )?;
        // Only which set was read last is shared; nothing is published with it.
        let before = LAST_SET.swap(set, Ordering::Relaxed);
        let reads = Reads::of(set, before, hops, hit_cycles);
        kernel.duration_ns = reads.duration_ns();
        kernel.reads = Some((words, blocks, reads));
    } else {
        kernel.duration_ns = modelled_ns(grid, block);
    }
    if function.name.as_bytes() == b"ncclDevKernel_Simulated" {
        // SAFETY: the same contract.
        let meeting = unsafe { meeting_arguments(&function, params, extra) }?;
        let known = |word: u64| word.is_multiple_of(4) && memory::contains(word, 4);
        require(known(meeting.0) && known(meeting.1), rc::ILLEGAL_ADDRESS)?;
        kernel.meeting = Some(meeting);
    }
    Ok(kernel)
}

/// The set that this process read last.
static LAST_SET: AtomicU64 = AtomicU64::new(0);

/// Whether that many words of 64 bits from there on are the program's.
fn are_words(address: u64, count: u64) -> bool {
    address.is_multiple_of(8) && memory::contains(address, 8 * count)
}

unsafe fn stamped_arguments(
    function: &Arc<Function>,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<(u32, u64), Failure> {
    // SAFETY: the same contract throughout.
    unsafe {
        let buffer = packed(extra)?;
        Ok((
            u32::from_ne_bytes(argument(function, 0, params, buffer)?),
            u64::from_ne_bytes(argument(function, 1, params, buffer)?),
        ))
    }
}

unsafe fn chase_arguments(
    function: &Arc<Function>,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<(u64, u32, u32, u64), Failure> {
    // SAFETY: the same contract throughout.
    unsafe {
        let buffer = packed(extra)?;
        Ok((
            u64::from_ne_bytes(argument(function, 0, params, buffer)?),
            u32::from_ne_bytes(argument(function, 1, params, buffer)?),
            u32::from_ne_bytes(argument(function, 2, params, buffer)?),
            u64::from_ne_bytes(argument(function, 3, params, buffer)?),
        ))
    }
}

unsafe fn meeting_arguments(
    function: &Arc<Function>,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<(u64, u64, u32), Failure> {
    // SAFETY: the same contract throughout.
    unsafe {
        let buffer = packed(extra)?;
        Ok((
            u64::from_ne_bytes(argument(function, 0, params, buffer)?),
            u64::from_ne_bytes(argument(function, 1, params, buffer)?),
            u32::from_ne_bytes(argument(function, 2, params, buffer)?),
        ))
    }
}

unsafe fn work_arguments(
    function: &Arc<Function>,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Result<(u32, u64, u64), Failure> {
    // SAFETY: the same contract throughout.
    unsafe {
        let buffer = packed(extra)?;
        Ok((
            u32::from_ne_bytes(argument(function, 0, params, buffer)?),
            u64::from_ne_bytes(argument(function, 1, params, buffer)?),
            u64::from_ne_bytes(argument(function, 2, params, buffer)?),
        ))
    }
}

fn modelled_ns(grid: [c_uint; 3], block: [c_uint; 3]) -> u64 {
    let product = |shape: [c_uint; 3]| {
        shape
            .iter()
            .fold(1_u64, |all, n| all.saturating_mul(u64::from(*n)))
    };
    let threads = product(grid).saturating_mul(product(block));
    let config = crate::driver::gpus().first().map(|gpu| gpu.device.config());
    config.map_or(0, |config| {
        work::modelled_ns(config, threads, profile().threads_per_wave())
    })
}

/// The limits of attributes 2 to 7 and of 1024 threads in a block.
fn check_shape(grid: [c_uint; 3], block: [c_uint; 3]) -> Outcome {
    let within = |shape: [c_uint; 3], most: [c_uint; 3]| {
        shape
            .iter()
            .zip(most)
            .all(|(n, most)| *n >= 1 && *n <= most)
    };
    require(
        within(grid, [2_147_483_647, 65_535, 65_535]),
        rc::INVALID_VALUE,
    )?;
    require(within(block, [1024, 1024, 64]), rc::INVALID_VALUE)?;
    let threads: u64 = block.iter().map(|n| u64::from(*n)).product();
    require(threads <= 1024, rc::INVALID_VALUE)
}

/// `cuLaunchKernel`.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn kernel(
    function: FunctionHandle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: StreamHandle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Outcome {
    let stream = resolve(stream)?;
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    // SAFETY: the same contract.
    let kernel = unsafe { prepare(function, grid, block, shared_bytes, params, extra) }?;
    cpu_cost(stream.gpu, LAUNCH_CPU_NS);
    stream.run(NodeKind::Kernel(kernel))
}

/// `cuLaunchCooperativeKernel`.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn cooperative(
    function: FunctionHandle,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: StreamHandle,
    params: *mut *mut c_void,
) -> Outcome {
    let threads = [grid_x, grid_y, grid_z, block_x, block_y, block_z]
        .iter()
        .fold(1_u64, |all, n| all.saturating_mul(u64::from(*n)));
    // All blocks have to be resident at once.
    require(
        threads <= profile().threads_per_wave(),
        rc::COOPERATIVE_LAUNCH_TOO_LARGE,
    )?;
    // SAFETY: the same contract.
    unsafe {
        kernel(
            function,
            grid_x,
            grid_y,
            grid_z,
            block_x,
            block_y,
            block_z,
            shared_bytes,
            stream,
            params,
            std::ptr::null_mut(),
        )
    }
}
