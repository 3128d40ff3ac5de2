//! The map over the chain.

use super::bucket::{BUSY, Bucket, FREE, Found};
use super::table::Table;
use std::sync::atomic::AtomicPtr;

/// Bits of a value that hold its kind.
const KIND_BITS: u32 = 8;

/// What is remembered of a live allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Bytes charged; less than 2⁵⁶.
    pub bytes: u64,
    /// What the caller wants to know about it again.
    pub kind: u8,
}

/// An allocation could not be entered: the system has no memory for another table, or the number is
/// one that no allocation has (0 or `u64::MAX`), or it has 2⁵⁶ bytes or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the allocation cannot be remembered: out of host memory, or not a possible allocation")]
pub struct NotEntered;

/// Live allocations of this process, by address or handle. Any thread may call any of it at any
/// time. Nothing blocks or allocates; entering may map memory, once for each table.
///
/// Two threads that enter the same key at once (no driver gives one address twice) may enter it
/// twice. After a fork the child has a copy of its own.
///
/// A free must take its entry out *before* the driver is asked, and put it back if the driver
/// refuses: afterwards another thread may already have been given the same address.
#[derive(Debug, Default)]
pub struct LiveMap {
    first: AtomicPtr<Table>,
}

impl LiveMap {
    /// An empty map, which has no memory yet.
    pub const fn new() -> Self {
        Self {
            first: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Enters an allocation; gives what was remembered under the same key, if anything: an
    /// allocation whose free was never seen, which the caller gives back to the ledger.
    ///
    /// # Errors
    /// [`NotEntered`]; nothing has changed.
    #[inline]
    pub fn insert(&self, key: u64, live: Live) -> Result<Option<Live>, NotEntered> {
        if key == FREE || key == BUSY || live.bytes >> (u64::BITS - KIND_BITS) != 0 {
            return Err(NotEntered);
        }
        let value = live.bytes << KIND_BITS | u64::from(live.kind);
        loop {
            let mut room = None;
            let mut last = Table::first(&self.first).ok_or(NotEntered)?;
            let here = loop {
                let bucket = last.bucket(key);
                match bucket.find(key) {
                    Found::At(index) => break Some((bucket, index)),
                    Found::Room(index) if room.is_none() => room = Some((bucket, index)),
                    Found::Room(_) | Found::Full => {}
                }
                match last.next() {
                    Some(next) if bucket.has_overflowed() => last = next,
                    _ => break None,
                }
            };
            // If another thread changes the entry first, all begins again.
            match (here, room) {
                (Some((bucket, index)), _) => {
                    if let Some(before) = bucket.replace(index, key, value) {
                        return Ok(Some(unpack(before)));
                    }
                }
                (None, Some((bucket, index))) => {
                    if bucket.put(index, key, value) {
                        return Ok(None);
                    }
                }
                (None, None) => {
                    last.next_or_make().ok_or(NotEntered)?;
                    last.bucket(key).set_overflowed();
                }
            }
        }
    }

    /// Takes an allocation out; nothing if it was never entered. Of several threads that take out
    /// the same one, one gets it.
    #[inline]
    pub fn remove(&self, key: u64) -> Option<Live> {
        loop {
            let (bucket, index) = self.find(key)?;
            if let Some(value) = bucket.remove(index, key) {
                return Some(unpack(value));
            }
        }
    }

    /// What is remembered of an allocation.
    #[inline]
    pub fn get(&self, key: u64) -> Option<Live> {
        loop {
            let (bucket, index) = self.find(key)?;
            if let Some(value) = bucket.read(index, key) {
                return Some(unpack(value));
            }
        }
    }

    /// Calls `visit` with each allocation that is entered from beginning to end of the call; those
    /// that come or go meanwhile may be among them or not.
    pub fn for_each(&self, mut visit: impl FnMut(u64, Live)) {
        let mut table = Table::at(&self.first);
        while let Some(this) = table {
            for (key, value) in this.buckets().iter().flat_map(Bucket::entries) {
                visit(key, unpack(value));
            }
            table = this.next();
        }
    }

    #[cfg(test)]
    pub(super) fn first_link(&self) -> &AtomicPtr<Table> {
        &self.first
    }

    #[inline]
    fn find(&self, key: u64) -> Option<(&Bucket, usize)> {
        if key == FREE || key == BUSY {
            return None;
        }
        let bucket = Table::first_bucket(&self.first, key)?;
        match bucket.find(key) {
            Found::At(index) => Some((bucket, index)),
            _ if bucket.has_overflowed() => self.find_further(key),
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    fn find_further(&self, key: u64) -> Option<(&Bucket, usize)> {
        let mut table = Table::at(&self.first);
        while let Some(this) = table {
            let bucket = this.bucket(key);
            if let Found::At(index) = bucket.find(key) {
                return Some((bucket, index));
            }
            if !bucket.has_overflowed() {
                return None;
            }
            table = this.next();
        }
        None
    }
}

impl Drop for LiveMap {
    fn drop(&mut self) {
        Table::unmap_chain(&mut self.first);
    }
}

fn unpack(value: u64) -> Live {
    Live {
        bytes: value >> KIND_BITS,
        kind: value as u8,
    }
}
