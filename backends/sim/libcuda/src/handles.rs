//! Handles: numbers that look like pointers and are never followed.
//!
//! Owns: the tables from handle to object. A handle carries its kind and a generation, so that any
//! value a program passes is either known or refused.

use fcsp_sim::{Key, Slab};
use std::sync::{Arc, RwLock};

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
        key.to_raw() << 4 | self.kind
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
        found.map_or(0, |(key, _)| key.to_raw() << 4 | self.kind)
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

    fn key(&self, raw: u64) -> Option<Key> {
        (raw & 15 == self.kind).then(|| Key::from_raw(raw >> 4))
    }
}
