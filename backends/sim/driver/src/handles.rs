//! Handles: numbers that look like pointers and are never followed.
//!
//! Owns: the tables from handle to object. A handle carries its kind and a generation, so that any
//! value a program passes is either known or refused. Its low bits are zero, as those of the
//! driver's addresses are: programs may keep marks there. And like addresses, handles of two drivers in
//! one process differ ([`base`]): a loader may tell objects by them.

use fcsp_sim::{Key, Slab};
use std::sync::{Arc, RwLock};

/// Bits of a handle that are zero.
const KIND_SHIFT: u32 = 4;
/// The kind stands above those, the key above the kind.
const KEY_SHIFT: u32 = 8;

/// What distinguishes the handles of this copy of the library; its low bits are zero.
pub fn base() -> u64 {
    static HERE: u8 = 0;
    (&raw const HERE).addr() as u64 >> KEY_SHIFT << KEY_SHIFT
}

/// All objects of one kind.
pub struct Table<T> {
    kind: u64,
    slab: RwLock<Slab<Arc<T>>>,
}

impl<T> Table<T> {
    /// An empty table; `kind` (1 to 15) differs from every other table's.
    pub const fn new(kind: u64) -> Self {
        Self {
            kind,
            slab: RwLock::new(Slab::new()),
        }
    }

    /// Adds an object.
    pub fn insert(&self, object: T) -> u64 {
        self.insert_arc(Arc::new(object))
    }

    /// Adds an object others refer to already.
    pub fn insert_arc(&self, object: Arc<T>) -> u64 {
        let key = self
            .slab
            .write()
            .unwrap_or_else(|e| e.into_inner())
            .insert(object);
        self.handle(key)
    }

    /// The object of a handle.
    pub fn get<H>(&self, handle: *mut H) -> Option<Arc<T>> {
        let key = self.key(handle as u64)?;
        self.slab
            .read()
            .unwrap_or_else(|e| e.into_inner())
            .get(key)
            .cloned()
    }

    /// The handle of the first object that satisfies `condition`; 0 if none does.
    pub fn find(&self, condition: impl Fn(&T) -> bool) -> u64 {
        let slab = self.slab.read().unwrap_or_else(|e| e.into_inner());
        let found = slab.iter().find(|(_, object)| condition(object));
        found.map_or(0, |(key, _)| self.handle(key))
    }

    /// Every object that satisfies `condition`.
    pub fn all(&self, condition: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let slab = self.slab.read().unwrap_or_else(|e| e.into_inner());
        let objects = slab.iter().map(|(_, object)| object);
        objects.filter(|it| condition(it)).cloned().collect()
    }

    /// Takes an object out.
    pub fn remove<H>(&self, handle: *mut H) -> Option<Arc<T>> {
        let key = self.key(handle as u64)?;
        self.slab
            .write()
            .unwrap_or_else(|e| e.into_inner())
            .remove(key)
    }

    /// Takes out every object that satisfies `condition`.
    pub fn drain(&self, condition: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut slab = self.slab.write().unwrap_or_else(|e| e.into_inner());
        let keys: Vec<Key> = slab
            .iter()
            .filter(|(_, object)| condition(object))
            .map(|(key, _)| key)
            .collect();
        keys.into_iter()
            .filter_map(|key| slab.remove(key))
            .collect()
    }

    /// The handle as the driver's type.
    pub fn pointer<H>(handle: u64) -> *mut H {
        handle as *mut H
    }

    fn handle(&self, key: Key) -> u64 {
        (key.to_raw() << KEY_SHIFT | self.kind << KIND_SHIFT) ^ base()
    }

    fn key(&self, handle: u64) -> Option<Key> {
        let handle = handle ^ base();
        let below_key = handle & ((1 << KEY_SHIFT) - 1);
        (below_key == self.kind << KIND_SHIFT).then(|| Key::from_raw(handle >> KEY_SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_aligned_and_known_to_their_own_table_only() {
        let (seven, eight) = (Table::new(7), Table::new(8));
        for number in 0..3 {
            let handle = seven.insert(number);
            assert!(handle.is_multiple_of(16), "{handle:#x}");
            let pointer = Table::<i32>::pointer::<u8>(handle);
            assert_eq!(seven.get(pointer).as_deref(), Some(&number));
            assert_eq!(eight.get(pointer).as_deref(), None::<&i32>);
            for mark in 1..16 {
                assert!(seven.get(pointer.wrapping_add(mark)).is_none());
            }
        }
    }
}
