//! What a stream freed last, so that a program near its quota need not wait at every step.
//!
//! A stream takes again what it freed before, and the pool does not grow. So
//! where there is no room for a pool to grow, an allocation that is not larger than a block the same stream
//! freed into the same pool, and did not take again, needs none.
//!
//! That is certain only while nobody else touches the pools: another stream may be given the block once it is
//! free, and whoever waits for the device makes the pool give it back. So blocks are remembered for one
//! stream at a time and forgotten at every wait, and in a process in which a second thread allocates, frees or
//! waits they are not remembered any more. That thread waits for the calls that rely on a block
//! ([`note_thread`]). What is left is a thread that began to wait before any pool was in use; should the
//! pool grow for that reason, [`crate::memory::pool`] undoes it.
//!
//! All of it begins once the quota was met, because the driver must be asked how large a freed block is, and ends when
//! there was room for many allocations since ([`made`]).

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::driver::{Driver, StreamOf};
use crate::line::LINE;
use crate::memory::pool::table;
use crate::queue::queue_of;

const BLOCKS_MAX: usize = 8;
/// Allocations in a row for which there was room, after which frees are noted no more. A pair that is noted takes some
/// 0.6 µs more (H200): so many of them cost more than the wait with which noting begins again.
const ROOMY_MAX: u32 = 1_000;
/// No stream and pool, and no thread, have this.
const NOBODY: u64 = 0;

/// The stream and pool whose blocks are remembered.
static OWNER: AtomicU64 = AtomicU64::new(NOBODY);
/// Bytes of blocks it can take again; 0 for none.
static BLOCKS: [AtomicU64; BLOCKS_MAX] = [const { AtomicU64::new(0) }; BLOCKS_MAX];
/// The only thread seen since.
static THREAD: AtomicU64 = AtomicU64::new(NOBODY);
/// Whether there was another one.
static SHARED: AtomicBool = AtomicBool::new(false);
/// Allocations in a row for which there was room.
static ROOMY: AtomicU32 = AtomicU32::new(0);
/// Calls under way that rely on a block.
static RELYING: AtomicU32 = AtomicU32::new(0);

/// True once frees are to be noted.
#[inline]
pub fn is_watched() -> bool {
    // Relaxed: a thread that sees it late is one that is not noticed yet.
    LINE.watched.load(Ordering::Relaxed)
}

/// From now on frees are noted.
pub fn watch() {
    ROOMY.store(0, Ordering::Relaxed);
    if !is_watched() {
        // Who did not see at once that noting had ended may have noted something after that.
        forget_blocks();
        LINE.watched.store(true, Ordering::Relaxed);
    }
}

/// An allocation was made while frees are noted; `had_room` if it was far from the quota and needed no block.
pub fn made(had_room: bool) {
    if !had_room {
        ROOMY.store(0, Ordering::Relaxed);
    } else if ROOMY.fetch_add(1, Ordering::Relaxed) >= ROOMY_MAX {
        LINE.watched.store(false, Ordering::Relaxed);
        forget_blocks();
    }
}

/// A number of the calling thread.
fn thread() -> u64 {
    thread_local! {
        static NUMBER: Cell<u64> = const { Cell::new(NOBODY) };
    }
    static NEXT: AtomicU64 = AtomicU64::new(NOBODY + 1);
    let mut number = NUMBER.get();
    if number == NOBODY {
        number = NEXT.fetch_add(1, Ordering::Relaxed);
        NUMBER.set(number);
    }
    number
}

/// The calling thread is about to allocate, to free in stream order, or to wait. Call it first.
#[inline]
pub fn note_thread() {
    if is_watched() {
        note_watched_thread();
    }
}

#[cold]
fn note_watched_thread() {
    if SHARED.load(Ordering::Relaxed) {
        return;
    }
    let me = thread();
    let first = THREAD.compare_exchange(NOBODY, me, Ordering::Relaxed, Ordering::Relaxed);
    if first.is_ok() || first == Err(me) {
        return;
    }
    // SeqCst, with those in `take`: either that call sees this, or this sees that call.
    SHARED.store(true, Ordering::SeqCst);
    while RELYING.load(Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
}

/// A stream with a pool's tag. Streams are addresses of less than 55 bits, or numbers with the top bit set.
fn owner_of<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>, tag: u8) -> u64 {
    const TAG_SHIFT: u32 = 55;
    match queue_of::<D, PER_THREAD>(stream) {
        Some(queue) => queue.0 & !(0xff << TAG_SHIFT) | u64::from(tag) << TAG_SHIFT,
        None => NOBODY,
    }
}

/// A block that is about to be freed: its pool's tag and its bytes.
pub struct Block(u8, u64);

impl Block {
    /// What the driver knows of the block at `address`, if frees are noted.
    #[inline]
    pub fn at<D: Driver>(address: u64) -> Option<Self> {
        // Relaxed: once shared, nothing is remembered, and what is asked in vain costs time only.
        if is_watched() && !SHARED.load(Ordering::Relaxed) {
            Self::of::<D>(address)
        } else {
            None
        }
    }

    /// What the driver knows of the block at `address`, if it is of a pool.
    #[cold]
    pub fn of<D: Driver>(address: u64) -> Option<Self> {
        let (pool, bytes) = D::block_at(address)?;
        let (tag, _) = table::find(pool)?;
        Some(Self(tag, bytes))
    }

    /// It was freed without a stream's order.
    pub fn freed_now(self) {
        if let Some(pool) = table::tagged(self.0) {
            pool.freed_now(self.1);
        }
    }

    /// It was freed in `stream`.
    pub fn freed<D: Driver, const PER_THREAD: bool>(self, stream: StreamOf<D>) {
        let owner = owner_of::<D, PER_THREAD>(stream, self.0);
        // Relaxed, here and below: blocks are used while there is one thread.
        if OWNER.swap(owner, Ordering::Relaxed) != owner {
            clear();
        }
        let smallest = BLOCKS
            .iter()
            .min_by_key(|block| block.load(Ordering::Relaxed));
        if let Some(block) = smallest {
            block.fetch_max(self.1, Ordering::Relaxed);
        }
    }
}

/// A call that relies on a block; others are kept out while this lives.
pub struct Relying(());

impl Drop for Relying {
    fn drop(&mut self) {
        RELYING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Takes a block of at least `bytes` that `stream` freed into the pool with that tag. `None` if there is none: then
/// the call may be given any block, and none is remembered any more.
pub fn take<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    tag: u8,
    bytes: u64,
) -> Option<Relying> {
    if OWNER.load(Ordering::Relaxed) == NOBODY {
        return None;
    }
    RELYING.fetch_add(1, Ordering::SeqCst);
    let relying = Relying(());
    if SHARED.load(Ordering::SeqCst) {
        return None;
    }
    let ours = OWNER.load(Ordering::Relaxed) == owner_of::<D, PER_THREAD>(stream, tag);
    let fitting = BLOCKS
        .iter()
        .filter(|_| ours)
        .map(|block| (block, block.load(Ordering::Relaxed)))
        .filter(|(_, block_bytes)| *block_bytes >= bytes)
        .min_by_key(|(_, block_bytes)| *block_bytes);
    let Some((block, block_bytes)) = fitting else {
        forget();
        return None;
    };
    // What is left of it can be taken, too.
    let taken_bytes = bytes.next_multiple_of(D::BLOCK_ALIGN_BYTES);
    block.store(block_bytes.saturating_sub(taken_bytes), Ordering::Relaxed);
    Some(relying)
}

/// Pools may have given memory back, or are about to: what was freed into them may be gone.
#[inline]
pub fn forget() {
    if is_watched() {
        forget_blocks();
    }
}

fn forget_blocks() {
    OWNER.store(NOBODY, Ordering::Relaxed);
    clear();
}

fn clear() {
    for block in &BLOCKS {
        block.store(0, Ordering::Relaxed);
    }
}

/// In the child of a fork, which has one thread, a new one.
pub fn forget_in_child() {
    forget();
    LINE.watched.store(false, Ordering::Relaxed);
    SHARED.store(false, Ordering::Relaxed);
    THREAD.store(NOBODY, Ordering::Relaxed);
    RELYING.store(0, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frees_are_noted_until_many_allocations_in_a_row_had_room() {
        watch();
        for _ in 0..ROOMY_MAX {
            made(true);
        }
        assert!(is_watched());
        made(false);
        for _ in 0..ROOMY_MAX {
            made(true);
        }
        assert!(is_watched(), "counted anew after one that had none");
        made(true);
        assert!(!is_watched());
        watch();
        made(true);
        assert!(is_watched(), "and when the quota is met again");
    }
}
