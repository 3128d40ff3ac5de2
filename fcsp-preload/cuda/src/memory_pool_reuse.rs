//! What a stream freed last, so that a program near its quota need not wait at every step.
//!
//! A stream takes again what it freed before, and the pool does not grow (H100, driver 580.159, November 2026). So
//! where there is no room for a pool to grow, an allocation that is not larger than a block the same stream
//! freed into the same pool, and did not take again, needs none. Should the driver have given the block to
//! another stream meanwhile, the pool grows after all, and [`crate::memory_pool`] undoes that.
//!
//! Kept only once the quota was met, because the driver must be asked how large a freed block is. A small
//! table of hints: where two streams share a place the later one has it, and races lose or keep a
//! hint too many, which costs time and nothing else. Relaxed throughout for the same reason.

use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cuda_sys::{CUdeviceptr, CUmemoryPool, CUpointer_attribute, CUresult, CUstream};

use crate::hooks::cuda;
use crate::memory_pool_table as table;
use crate::queue::queue_of;

const STREAMS_MAX: usize = 64;
const BLOCKS_MAX: usize = 8;
/// What is taken of a block at least, and in steps of this: the driver's pages.
const BLOCK_ALIGN_BYTES: u64 = 2 << 20;
/// No stream and pool have this.
const NOBODY: u64 = 0;

struct Stream {
    /// Which stream, and which pool.
    owner: AtomicU64,
    /// Bytes of blocks it can take again; 0 for none.
    blocks: [AtomicU64; BLOCKS_MAX],
}

static STREAMS: [Stream; STREAMS_MAX] = [const {
    Stream {
        owner: AtomicU64::new(NOBODY),
        blocks: [const { AtomicU64::new(0) }; BLOCKS_MAX],
    }
}; STREAMS_MAX];

/// Whether the quota was met by stream-ordered allocations.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// True once frees are to be noted.
#[inline]
pub fn is_watched() -> bool {
    WATCHED.load(Ordering::Relaxed)
}

/// From now on frees are noted.
pub fn watch() {
    WATCHED.store(true, Ordering::Relaxed);
}

/// A stream with a pool's tag. Streams are addresses of less than 55 bits, or numbers with the top bit set.
fn owner_of<const PER_THREAD: bool>(stream: CUstream, tag: u8) -> Option<u64> {
    const TAG_SHIFT: u32 = 55;
    let queue = queue_of::<PER_THREAD>(stream)?.0;
    Some(queue & !(0xff << TAG_SHIFT) | u64::from(tag) << TAG_SHIFT)
}

fn place_of(owner: u64) -> &'static Stream {
    // Handles are addresses: their low bits say little (the multiplier is 2⁶⁴ divided by the golden ratio).
    let spread = owner.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    &STREAMS[spread as usize % STREAMS_MAX]
}

/// A block that is about to be freed in stream order: its pool's tag and its bytes.
pub struct Block(u8, u64);

impl Block {
    /// What the driver knows of the block at `address`, if frees are noted.
    #[inline]
    pub fn at(address: CUdeviceptr) -> Option<Self> {
        if is_watched() {
            Self::ask(address)
        } else {
            None
        }
    }

    #[cold]
    fn ask(address: CUdeviceptr) -> Option<Self> {
        let mut pool: CUmemoryPool = core::ptr::null_mut();
        let mut bytes = 0_usize;
        let place = (&raw mut pool).cast::<c_void>();
        let which = CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE;
        // SAFETY: the driver checks the address and writes a handle and a size, or fails.
        let results = unsafe {
            [
                cuda::cuPointerGetAttribute.get()?(place, which, address),
                cuda::cuMemGetAddressRange_v2.get()?(core::ptr::null_mut(), &mut bytes, address),
            ]
        };
        if results
            .iter()
            .any(|result| *result != CUresult::CUDA_SUCCESS)
        {
            return None;
        }
        let (tag, _) = table::find(pool)?;
        Some(Self(tag, bytes as u64))
    }

    /// It was freed in `stream`.
    pub fn freed<const PER_THREAD: bool>(self, stream: CUstream) {
        let Some(owner) = owner_of::<PER_THREAD>(stream, self.0) else {
            return;
        };
        let place = place_of(owner);
        if place.owner.swap(owner, Ordering::Relaxed) != owner {
            for block in &place.blocks {
                block.store(0, Ordering::Relaxed);
            }
        }
        let smallest = place
            .blocks
            .iter()
            .min_by_key(|block| block.load(Ordering::Relaxed));
        if let Some(block) = smallest {
            block.fetch_max(self.1, Ordering::Relaxed);
        }
    }
}

/// Takes a block of at least `bytes` that `stream` freed into the pool with that tag; false if there is none.
pub fn take<const PER_THREAD: bool>(stream: CUstream, tag: u8, bytes: u64) -> bool {
    let Some(owner) = owner_of::<PER_THREAD>(stream, tag) else {
        return false;
    };
    let place = place_of(owner);
    if place.owner.load(Ordering::Relaxed) != owner {
        return false;
    }
    let fitting = place
        .blocks
        .iter()
        .map(|block| (block, block.load(Ordering::Relaxed)))
        .filter(|(_, block_bytes)| *block_bytes >= bytes)
        .min_by_key(|(_, block_bytes)| *block_bytes);
    fitting.is_some_and(|(block, block_bytes)| {
        // What is left of it can be taken, too.
        let taken_bytes = bytes.next_multiple_of(BLOCK_ALIGN_BYTES);
        let left_bytes = block_bytes.saturating_sub(taken_bytes);
        block
            .compare_exchange(
                block_bytes,
                left_bytes,
                Ordering::Relaxed,
                Ordering::Relaxed,
            )
            .is_ok()
    })
}

/// The pool with that tag has given memory back: what was freed into it may be gone.
pub fn forget(tag: u8) {
    forget_if(|owner| owner >> 55 & 0xff == u64::from(tag));
}

/// Nothing can be taken again.
pub fn forget_all() {
    forget_if(|_| true);
}

fn forget_if(concerns: impl Fn(u64) -> bool) {
    if !is_watched() {
        return;
    }
    for stream in &STREAMS {
        if concerns(stream.owner.load(Ordering::Relaxed)) {
            stream.owner.store(NOBODY, Ordering::Relaxed);
        }
    }
}
