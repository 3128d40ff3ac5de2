//! The seeded random numbers behind the jitter on durations.

/// Scatters the bits of a number (the finalizer of SplitMix64).
pub fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `ns` moved by up to `permille` thousandths in either direction.
    pub fn jitter(&mut self, ns: u64, permille: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let width = ns * permille / 1000;
        if width == 0 {
            return ns;
        }
        ns - width + mix(self.0) % (2 * width + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_bounds_and_averages_out() {
        let mut rng = Rng::new(7);
        let values: Vec<u64> = (0..10_000).map(|_| rng.jitter(100_000, 10)).collect();
        assert!(values.iter().all(|v| (99_000..=101_000).contains(v)));
        let mean = values.iter().sum::<u64>() / values.len() as u64;
        assert!((99_950..=100_050).contains(&mean), "mean {mean}");
    }

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let run = |seed| {
            let mut rng = Rng::new(seed);
            (0..100)
                .map(|_| rng.jitter(1_000_000, 10))
                .collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
