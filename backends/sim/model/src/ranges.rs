//! Which address ranges are known, and what each is.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Known<T> = BTreeMap<u64, (u64, Arc<T>)>;

/// Ranges of addresses that do not overlap.
pub struct Ranges<T> {
    known: RwLock<Known<T>>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Ranges<T> {
    /// No ranges.
    pub const fn new() -> Self {
        Self {
            known: RwLock::new(BTreeMap::new()),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known<T>> {
        self.known.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known<T>> {
        self.known.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Enters a range. False if it overlaps another.
    pub fn insert(&self, base: u64, bytes: u64, what: T) -> bool {
        let mut known = self.write();
        let before = known.range(..base + bytes).next_back();
        if before.is_some_and(|(other, (length, _))| other + length > base) {
            return false;
        }
        known.insert(base, (bytes, Arc::new(what)));
        true
    }

    /// The range an address lies in.
    pub fn find(&self, address: u64) -> Option<Arc<T>> {
        let known = self.read();
        let (base, (bytes, what)) = known.range(..=address).next_back()?;
        (address - base < *bytes).then(|| Arc::clone(what))
    }

    /// Whether `bytes` from `address` on lie in one range, or in ranges without a gap.
    pub fn contains(&self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else {
            return false;
        };
        let known = self.read();
        let mut at = address;
        while at < end {
            match known.range(..=at).next_back() {
                Some((base, (length, _))) if at - base < *length => at = base + length,
                _ => return false,
            }
        }
        true
    }

    /// Takes out the range that begins at `base`, if `condition` holds for it.
    pub fn remove(&self, base: u64, condition: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let mut known = self.write();
        if !condition(&known.get(&base)?.1) {
            return None;
        }
        known.remove(&base).map(|(_, what)| what)
    }

    /// Takes out every range for which `condition` holds.
    pub fn drain(&self, condition: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut known = self.write();
        let bases: Vec<u64> = known
            .iter()
            .filter(|(_, (_, what))| condition(what))
            .map(|(base, _)| *base)
            .collect();
        bases
            .iter()
            .filter_map(|base| known.remove(base))
            .map(|(_, what)| what)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_any_of_their_addresses_and_do_not_overlap() {
        let ranges = Ranges::new();
        assert!(ranges.insert(100, 10, 'a') && ranges.insert(110, 10, 'b'));
        assert!(!ranges.insert(95, 6, 'c') && !ranges.insert(119, 1, 'd'));
        assert_eq!(ranges.find(109).as_deref(), Some(&'a'));
        assert_eq!(ranges.find(120), None);
        assert!(ranges.contains(105, 15) && !ranges.contains(105, 16));
        assert_eq!(ranges.remove(110, |what| *what == 'a'), None);
        assert_eq!(ranges.drain(|what| *what == 'b').len(), 1);
        assert!(!ranges.contains(110, 1));
    }
}
