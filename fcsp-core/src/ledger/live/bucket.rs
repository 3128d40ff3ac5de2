//! Seven entries that share two cache lines.
//!
//! An entry is a key and a value. Whoever changes one first swaps its key for [`BUSY`], so that it
//! has the entry to itself, and publishes the new key (or none) last. Nothing waits: an entry that
//! another thread is changing is one that this thread's key is not in.

use crate::sync::{AtomicU64, Ordering};

/// Entries of a bucket: what fits on one cache line beside a word.
pub(super) const ENTRIES: usize = 7;
/// Key of an entry that is free.
pub(super) const FREE: u64 = 0;
/// Key of an entry that a thread is changing.
pub(super) const BUSY: u64 = u64::MAX;

/// Keys on the first line, values on the second. Zero is an empty bucket.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(super) struct Bucket {
    keys: [AtomicU64; ENTRIES],
    /// 1 once a key that belongs here was put into the next table. Never falls.
    overflowed: AtomicU64,
    values: [AtomicU64; ENTRIES],
    reserved: u64,
}

/// What a look at a bucket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The key is here.
    At(usize),
    /// The key is not here, and this entry was free.
    Room(usize),
    /// The key is not here, and no entry is free.
    Full,
}

impl Bucket {
    /// Looks for `key`.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Found {
        let mut found = Found::Full;
        for (index, entry) in self.keys.iter().enumerate() {
            // Acquire: pairs with the release of the key, so that its value is there.
            let here = entry.load(Ordering::Acquire);
            if here == key {
                return Found::At(index);
            }
            if here == FREE && found == Found::Full {
                found = Found::Room(index);
            }
        }
        found
    }

    /// The value of `key`, which was found here, if the entry is still its.
    #[inline]
    pub(super) fn read(&self, index: usize, key: u64) -> Option<u64> {
        // Acquire: if this is already another key's value, the next load sees that the entry was
        // taken for it. Pairs with the release of the value.
        let value = self.values[index].load(Ordering::Acquire);
        (self.keys[index].load(Ordering::Relaxed) == key).then_some(value)
    }

    /// Takes the entry from `expected`; false if somebody else has changed it.
    #[inline]
    fn take(&self, index: usize, expected: u64) -> bool {
        // Acquire: pairs with the release of the key that is there now.
        self.keys[index]
            .compare_exchange(expected, BUSY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// Puts `key` into a free entry; false if it is not free any more.
    #[inline]
    pub(super) fn put(&self, index: usize, key: u64, value: u64) -> bool {
        let taken = self.take(index, FREE);
        if taken {
            self.publish(index, key, value);
        }
        taken
    }

    /// Gives `key`, which is in the entry, another value, and the one it had; nothing if the entry
    /// is not its any more.
    pub(super) fn replace(&self, index: usize, key: u64, value: u64) -> Option<u64> {
        self.take(index, key).then(|| {
            let before = self.values[index].load(Ordering::Relaxed);
            self.publish(index, key, value);
            before
        })
    }

    /// Takes `key` out of the entry and gives its value; nothing if the entry is not its any more.
    #[inline]
    pub(super) fn remove(&self, index: usize, key: u64) -> Option<u64> {
        self.take(index, key).then(|| {
            let value = self.values[index].load(Ordering::Relaxed);
            // Release: the value was read before the next owner writes it.
            self.keys[index].store(FREE, Ordering::Release);
            value
        })
    }

    #[inline]
    fn publish(&self, index: usize, key: u64, value: u64) {
        // Release: whoever reads this value sees that the entry was taken. Pairs with `read`.
        self.values[index].store(value, Ordering::Release);
        // Release: publishes the value to whoever finds the key.
        self.keys[index].store(key, Ordering::Release);
    }

    /// True if a key that belongs here may be in the next table.
    #[inline]
    pub(super) fn has_overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed) != 0
    }

    /// From now on keys that belong here are looked for in the next table too.
    pub(super) fn set_overflowed(&self) {
        // Relaxed: this thread puts its key into the next table after this, and whoever was handed
        // that key has seen both.
        self.overflowed.store(1, Ordering::Relaxed);
    }

    /// Everything that is in it.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..ENTRIES).filter_map(|index| {
            let key = self.keys[index].load(Ordering::Acquire);
            let is_key = key != FREE && key != BUSY;
            Some((key, self.read(index, key).filter(|_| is_key)?))
        })
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread::{self, JoinHandle};

    fn spawn<T: 'static>(
        bucket: &Arc<Bucket>,
        work: impl FnOnce(&Bucket) -> T + 'static,
    ) -> JoinHandle<T> {
        let bucket = Arc::clone(bucket);
        thread::spawn(move || work(&bucket))
    }

    fn insert(bucket: &Bucket, key: u64, value: u64) {
        loop {
            match bucket.find(key) {
                Found::Room(index) if bucket.put(index, key, value) => return,
                Found::Room(_) => {}
                other => panic!("{key} and {other:?}"),
            }
        }
    }

    fn explore(model: impl Fn(Arc<Bucket>) + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || model(Arc::default()));
    }

    #[test]
    fn loom_two_inserts_take_two_entries() {
        explore(|bucket| {
            let other = spawn(&bucket, |bucket| insert(bucket, 8, 80));
            insert(&bucket, 9, 90);
            other.join().expect("a thread");
            let mut entries: Vec<_> = bucket.entries().collect();
            entries.sort_unstable();
            assert_eq!(entries, [(8, 80), (9, 90)]);
        });
    }

    #[test]
    fn loom_one_of_two_removes_has_the_value() {
        explore(|bucket| {
            insert(&bucket, 8, 80);
            let other = spawn(&bucket, |bucket| bucket.remove(0, 8));
            let mine = bucket.remove(0, 8);
            let others = other.join().expect("a thread");
            assert!(matches!(
                (mine, others),
                (Some(80), None) | (None, Some(80))
            ));
            assert_eq!(bucket.find(8), Found::Room(0));
        });
    }

    #[test]
    fn loom_a_read_never_gives_another_keys_value() {
        explore(|bucket| {
            insert(&bucket, 8, 80);
            let other = spawn(&bucket, |bucket| {
                assert_eq!(bucket.remove(0, 8), Some(80));
                insert(bucket, 9, 90);
            });
            for key in [8, 9] {
                if let Found::At(index) = bucket.find(key) {
                    assert!([None, Some(key * 10)].contains(&bucket.read(index, key)));
                }
            }
            other.join().expect("a thread");
        });
    }
}
