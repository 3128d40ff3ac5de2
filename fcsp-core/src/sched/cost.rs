//! The cost model: how long a submission is expected to keep the device busy.
//!
//! Costs are learnt per key, which the vendor's side builds from the function, grid, block and
//! shared memory of a kernel, or from the handle of an instantiated graph. The table is a cache of
//! fixed size in the process's own memory: lock-free, allocates once, and may forget.

use std::sync::OnceLock;

use crate::sync::{AtomicU64, Ordering};

const ENTRIES: usize = 4096;
const PROBES: usize = 8;
/// Bits of an entry's second word that hold the cost: up to 137 s.
const COST_BITS: u32 = 37;
const COST_MASK: u64 = (1 << COST_BITS) - 1;
/// Bits up to the samples, which the rest counts. Between the cost and them stands for how many measurements none is forgiven.
const SAMPLES_FROM: u32 = 44;
/// What takes more than so many times as long as expected was held up, by the driver or by what else the device does,
pub const HELD_UP: u64 = 4;
/// if that happens to no more than one measurement in so many: that one is forgiven.
pub const FORGIVEN_EVERY: u64 = 64;
/// Measurements after the first of which a plain mean is made.
const FIRST: u64 = 3;
/// Least cost of any submission: what the device's front end needs to start a kernel
/// (1.5–2 µs between short kernels measured on an H200, driver 580.159, Nov 2026).
pub const COST_NS_MIN: u64 = 1_500;
/// Tokens per thread block and grid of the prior, before anything is learnt: the product's
/// `grids × blocks × 32`.
pub const TOKEN_FACTOR: u64 = 32;

/// What a submission is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostKey(u64);

impl CostKey {
    /// Work whose guess holds for ever, because measuring the submission would say nothing of it: it
    /// stands for others that went before it untouched.
    pub const UNMEASURED: Self = Self(2);

    /// A key from what identifies the work: function address and launch shape, or a graph handle.
    #[inline]
    pub fn new(parts: &[u64]) -> Self {
        let mut pairs = parts.chunks_exact(2);
        let mixed = pairs.by_ref().zip(1..).map(|(pair, place)| {
            fold(pair[0] ^ secret(2 * place), pair[1] ^ secret(2 * place + 1))
        });
        // No pair waits for another.
        let sum = mixed.fold(parts.len() as u64, u64::wrapping_add);
        let last = pairs.remainder().first().copied().unwrap_or(0);
        Self(fold(sum ^ secret(0), last ^ secret(1)) | 1)
    }

    /// Its own place in the table.
    #[inline]
    const fn place(self) -> usize {
        (self.0 >> 17) as usize % ENTRIES
    }
}

/// The two halves of a product, one over the other: the mixing step of wyhash (Wang Yi, public domain).
#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    product as u64 ^ (product >> 64) as u64
}

/// A number without a pattern for each place: odd multiples of the golden ratio.
#[inline]
const fn secret(place: u64) -> u64 {
    0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * place + 1)
}

/// An expected cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Device time, nanoseconds.
    pub ns: u64,
    /// Measurements behind it; 0 if it is only the prior.
    pub samples: u32,
}

#[derive(Debug)]
struct Entry {
    key: AtomicU64,
    value: AtomicU64,
}

/// Learnt costs of one process on one device. All methods are wait-free once there is memory for them
/// ([`CostTable::prepare`]).
#[derive(Debug, Default)]
pub struct CostTable {
    entries: OnceLock<Box<[Entry; ENTRIES]>>,
}

impl CostTable {
    /// Allocates the memory, 64 KiB, so that what is learnt first need not.
    pub fn prepare(&self) {
        self.entries();
    }

    fn entries(&self) -> &[Entry; ENTRIES] {
        self.entries.get_or_init(|| {
            let empty = || Entry {
                key: AtomicU64::new(0),
                value: AtomicU64::new(0),
            };
            let entries: Box<[Entry]> = std::iter::repeat_with(empty).take(ENTRIES).collect();
            entries.try_into().expect("that many were made")
        })
    }

    /// Expected cost of `key`, or `prior_ns` if nothing was learnt.
    #[inline]
    pub fn expect(&self, key: CostKey, prior_ns: u64) -> Cost {
        match self.find(key) {
            Some(entry) => {
                // Relaxed: cost and count travel in one word; nothing else hangs on it.
                let value = entry.value.load(Ordering::Relaxed);
                let samples = (value >> SAMPLES_FROM) as u32;
                let ns = match value & COST_MASK {
                    0 => prior_ns,
                    learnt => learnt,
                };
                Cost { ns, samples }
            }
            None => Cost {
                ns: prior_ns,
                samples: 0,
            },
        }
    }

    /// Expected cost of `key` if it stands at its own place and has `samples` measurements or more. The
    /// usual answer, and the quickest.
    #[inline]
    pub fn known_ns(&self, key: CostKey, samples: u32) -> Option<u64> {
        let entry = &self.entries.get()?[key.place()];
        // Relaxed: as in `expect`.
        let value = entry.value.load(Ordering::Relaxed);
        let known = entry.key.load(Ordering::Relaxed) == key.0
            && value >= u64::from(samples.max(1)) << SAMPLES_FROM;
        known.then_some(value & COST_MASK)
    }

    /// Takes a measurement of `key` into account: the mean of the first four, without those that took
    /// twice as long as a later one, then a moving average with weight 1/8. A measurement under [`COST_NS_MIN`] counts as that.
    /// False if it was held up, and does not count.
    pub fn learn(&self, key: CostKey, measured_ns: u64) -> bool {
        let measured = measured_ns.clamp(COST_NS_MIN, COST_MASK);
        let entry = self.find_or_take(key);
        let value = entry.value.load(Ordering::Relaxed);
        let samples = value >> SAMPLES_FROM;
        let unforgiving = (value & !(u64::MAX << SAMPLES_FROM)) >> COST_BITS;
        let old = value & COST_MASK;
        let held_up = samples > FIRST && unforgiving == 0 && measured > HELD_UP * old;
        let new = match samples {
            _ if held_up => old,
            0 => measured,
            // What comes first may have been held up by the vendor, which loads code and uploads graphs
            // as they are first launched.
            1..=FIRST if measured < old / 2 => measured,
            1..=FIRST => (old * samples + measured) / (samples + 1),
            _ => (old * 7 + measured) / 8,
        };
        let unforgiving = match held_up {
            true => FORGIVEN_EVERY,
            false => unforgiving.saturating_sub(1),
        };
        let samples = (samples + 1).min((1 << (64 - SAMPLES_FROM)) - 1);
        // Relaxed: two threads that learn at once lose one measurement, which is harmless.
        entry.value.store(
            samples << SAMPLES_FROM | unforgiving << COST_BITS | new,
            Ordering::Relaxed,
        );
        !held_up
    }

    /// What was learnt of `key` is only a guess from now on: the next measurement takes its place.
    pub fn relearn(&self, key: CostKey) {
        if let Some(entry) = self.find(key) {
            // Relaxed: a measurement that comes between is lost, which is harmless.
            entry.value.fetch_and(COST_MASK, Ordering::Relaxed);
        }
    }

    #[inline]
    fn find(&self, key: CostKey) -> Option<&Entry> {
        slots(self.entries.get()?, key).find(|entry| entry.key.load(Ordering::Relaxed) == key.0)
    }

    fn find_or_take(&self, key: CostKey) -> &Entry {
        if let Some(entry) = self.find(key) {
            return entry;
        }
        let entries = self.entries();
        let free = slots(entries, key).find(|entry| {
            entry
                .key
                .compare_exchange(0, key.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        });
        free.unwrap_or_else(|| {
            // Full neighbourhood: forget whoever stands at the key's own place.
            let entry = &entries[key.place()];
            entry.value.store(0, Ordering::Relaxed);
            entry.key.store(key.0, Ordering::Relaxed);
            entry
        })
    }
}

/// The places where `key` may be.
#[inline]
fn slots(entries: &[Entry; ENTRIES], key: CostKey) -> impl Iterator<Item = &Entry> {
    let start = key.place();
    (0..PROBES).map(move |i| &entries[(start + i) % ENTRIES])
}

/// Prior cost of a kernel: `grids × blocks × 32`, held between [`COST_NS_MIN`] and `ns_max`, so that
/// a guess neither costs nothing nor fills more than its part of a segment.
#[inline]
pub fn prior_ns(grid: u64, block: u64, ns_max: u64) -> u64 {
    grid.saturating_mul(block)
        .saturating_mul(TOKEN_FACTOR)
        .clamp(COST_NS_MIN, ns_max.max(COST_NS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_key_costs_the_prior() {
        let table = CostTable::default();
        assert_eq!(
            table.expect(CostKey::new(&[1, 2]), 7_000),
            Cost {
                ns: 7_000,
                samples: 0
            }
        );
    }

    #[test]
    fn a_constant_cost_is_learnt_exactly() {
        let table = CostTable::default();
        let key = CostKey::new(&[0xdead, 132, 1, 1, 256, 1, 1, 0]);
        for n in 1..20 {
            table.learn(key, 250_000);
            assert_eq!(
                table.expect(key, 0),
                Cost {
                    ns: 250_000,
                    samples: n
                }
            );
        }
    }

    #[test]
    fn a_first_launch_that_was_held_up_does_not_count() {
        let table = CostTable::default();
        let key = CostKey::new(&[8]);
        for ns in [57_000_000, 200_000, 220_000] {
            table.learn(key, ns);
        }
        assert!(table.expect(key, 0).ns < 250_000);
    }

    #[test]
    fn a_changed_cost_is_followed() {
        let table = CostTable::default();
        let key = CostKey::new(&[9]);
        (0..10).for_each(|_| assert!(table.learn(key, 100_000)));
        (0..40).for_each(|_| assert!(table.learn(key, 300_000)));
        let ns = table.expect(key, 0).ns;
        assert!((295_000..=300_000).contains(&ns), "{ns}");
    }

    #[test]
    fn what_was_held_up_once_in_a_while_does_not_count() {
        let table = CostTable::default();
        let key = CostKey::new(&[10]);
        (0..10).for_each(|_| assert!(table.learn(key, 100_000)));
        for _ in 0..3 {
            assert!(!table.learn(key, 12_100_000));
            assert_eq!(table.expect(key, 0).ns, 100_000);
            (0..FORGIVEN_EVERY).for_each(|_| assert!(table.learn(key, 100_000)));
        }
        let samples = 10 + 3 * (1 + FORGIVEN_EVERY as u32);
        assert_eq!(table.known_ns(key, samples), Some(100_000));
        assert_eq!(table.known_ns(key, samples + 1), None);
    }

    #[test]
    fn what_takes_longer_from_now_on_was_not_held_up() {
        let table = CostTable::default();
        let key = CostKey::new(&[10]);
        (0..10).for_each(|_| assert!(table.learn(key, 100_000)));
        assert!(!table.learn(key, 5_000_000));
        (0..40).for_each(|_| assert!(table.learn(key, 5_000_000)));
        let ns = table.expect(key, 0).ns;
        assert!((4_900_000..=5_000_000).contains(&ns), "{ns}");
    }

    #[test]
    fn what_is_to_be_learnt_anew_keeps_its_cost_until_it_is() {
        let table = CostTable::default();
        let key = CostKey::new(&[11]);
        (0..10).for_each(|_| assert!(table.learn(key, 100_000)));
        table.relearn(key);
        let cost = |ns, samples| Cost { ns, samples };
        assert_eq!(table.expect(key, 7), cost(100_000, 0));
        table.learn(key, 900_000);
        assert_eq!(table.expect(key, 7), cost(900_000, 1));
        table.relearn(CostKey::new(&[12]));
        assert_eq!(table.expect(CostKey::new(&[12]), 7), cost(7, 0));
    }

    #[test]
    fn what_was_measured_often_enough_is_known() {
        let table = CostTable::default();
        let key = CostKey::new(&[13, 1]);
        assert_eq!(table.known_ns(key, 1), None);
        table.learn(key, 40_000);
        table.learn(key, 40_000);
        assert_eq!(table.known_ns(key, 2), Some(40_000));
        assert_eq!(table.known_ns(key, 3), None);
        table.relearn(key);
        assert_eq!(table.known_ns(key, 0), None, "a guess is not known");
    }

    #[test]
    fn shapes_that_differ_in_little_have_keys_of_their_own() {
        let mut keys = std::collections::HashSet::new();
        for (function, x, y) in
            (0..64).flat_map(|f| (0..64).flat_map(move |x| (0..64).map(move |y| (f, x, y))))
        {
            let parts = [
                0x7f00_0000_0000 + function * 64,
                1 << 32 | x,
                y << 32 | 1,
                1 << 32 | 1,
                0,
            ];
            keys.insert(CostKey::new(&parts).0);
        }
        keys.insert(CostKey::new(&[0]).0);
        keys.insert(CostKey::new(&[0, 0]).0);
        keys.insert(CostKey::new(&[0, 0, 0]).0);
        assert_eq!(keys.len(), 64 * 64 * 64 + 3);
    }

    proptest! {
        #[test]
        fn the_estimate_stays_within_what_was_measured(
            parts in prop::collection::vec(any::<u64>(), 1..9),
            measured in prop::collection::vec(COST_NS_MIN..50_000_000, 1..50),
        ) {
            let table = CostTable::default();
            let key = CostKey::new(&parts);
            for &ns in &measured { table.learn(key, ns); }
            let got = table.expect(key, 0).ns;
            // Integer averaging loses up to 1 ns a step downwards.
            let least = *measured.iter().min().unwrap();
            prop_assert!(got + 8 >= least && got <= *measured.iter().max().unwrap());
        }

        #[test]
        fn a_full_table_still_learns(keys in prop::collection::vec(any::<u64>(), 6_000..7_000)) {
            let table = CostTable::default();
            for &k in &keys {
                let key = CostKey::new(&[k]);
                table.learn(key, 10_000);
                prop_assert_eq!(table.expect(key, 0).ns, 10_000);
            }
        }

        #[test]
        fn the_prior_is_bounded(grid in any::<u64>(), block in any::<u64>(), max in 0_u64..10_000_000) {
            let ns = prior_ns(grid, block, max);
            prop_assert!(ns >= COST_NS_MIN && ns <= max.max(COST_NS_MIN));
        }
    }
}
