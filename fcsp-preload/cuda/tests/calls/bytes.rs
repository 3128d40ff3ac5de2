//! Where decisions come from: a seed, or the bytes a fuzzer made up.

/// A stream of numbers that decides which calls are made with what.
pub enum Bytes {
    /// As many as wanted, by a seed.
    Seeded(u64),
    /// These, and then zeros.
    Given { bytes: Vec<u8>, at: usize },
}

impl Bytes {
    /// True once all that was given is used up.
    pub fn are_over(&self) -> bool {
        matches!(self, Self::Given { bytes, at } if *at >= bytes.len())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        match self {
            // SplitMix64 (Steele, Lea, Flood 2014).
            Self::Seeded(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ z >> 31
            }
            Self::Given { bytes, at } => {
                let mut number = [0; 8];
                let rest = bytes.get(*at..).unwrap_or_default();
                let count = rest.len().min(8);
                number[..count].copy_from_slice(&rest[..count]);
                *at += 8;
                u64::from_le_bytes(number)
            }
        }
    }

    /// A number below `count`, which is at most 256.
    pub fn below(&mut self, count: usize) -> usize {
        let number = match self {
            Self::Seeded(_) => self.number() as usize,
            Self::Given { bytes, at } => {
                let byte = bytes.get(*at).copied().unwrap_or_default();
                *at += 1;
                usize::from(byte)
            }
        };
        number % count
    }

    /// True once in `count` times.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A size as programs ask for, and now and then one that nobody has.
    pub fn size(&mut self) -> u64 {
        const MIB: u64 = 1 << 20;
        match self.below(32) {
            0..=9 => 1 + self.number() % (64 * MIB),
            10..=15 => 1 + self.number() % 4096,
            16..=21 => (1 + self.number() % 64) * 2 * MIB,
            22..=25 => 1 + self.number() % (3072 * MIB),
            26 => MIB + self.number() % 3,
            27 => 2 * MIB - 1 + self.number() % 3,
            28 => 0,
            29 => u64::MAX - self.number() % 4096,
            30 => 1 << (45 + self.number() % 19),
            // Never what only just fits: the two drivers may differ in how much is free for the moment.
            _ => self.number() | 1 << 45,
        }
    }

    /// A small edge of something, and now and then an absurd one.
    pub fn edge(&mut self) -> u64 {
        match self.below(16) {
            0..=11 => self.number() % 2048,
            12 => 0,
            13 if self.one_in(2) => 1 << (45 + self.number() % 19),
            13 => 1 << (20 + self.number() % 3),
            14 => u64::MAX,
            _ => self.number() % 70_000,
        }
    }
}
