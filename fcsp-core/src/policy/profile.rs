//! Named profiles: a word in the policy file that stands for a mode, a division of the device and a
//! maximum of bursts which go together. Keys that are written beside it override it.

use super::mode::words;
use super::nearest::hint;
use super::{Mode, Pools, Share, ValueError};
use std::fmt;
use std::str::FromStr;

/// A profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Low floors; everybody may burst.
    Development,
    /// High floors, limited bursts.
    Serving,
    /// Everything is guaranteed and nothing is lent.
    HighIsolation,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Development, Self::Serving, Self::HighIsolation];

    /// The word for it in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Serving => "serving",
            Self::HighIsolation => "high-isolation",
        }
    }

    /// Its mode.
    pub const fn mode(self) -> Mode {
        match self {
            Self::Development => Mode::Adaptive,
            Self::Serving => Mode::Balanced,
            Self::HighIsolation => Mode::Strict,
        }
    }

    /// Its division of the device.
    pub const fn pools(self) -> Pools {
        let [floor, shared, burst] = match self {
            Self::Development => [10, 30, 60],
            Self::Serving => [40, 30, 30],
            Self::HighIsolation => [100, 0, 0],
        };
        Pools {
            floor: Share::from_percent(floor),
            shared: Share::from_percent(shared),
            burst: Share::from_percent(burst),
        }
    }

    /// Most that a tenant takes from the burst pool: all of it.
    pub const fn burst_max(self) -> Share {
        self.pools().burst
    }

    /// What it stands for, in a line.
    pub fn describe(self) -> String {
        let pools = self.pools();
        format!(
            "{self} is mode {}, pools {}/{}/{}, burst max {}",
            self.mode(),
            pools.floor,
            pools.shared,
            pools.burst,
            self.burst_max()
        )
    }
}

words!(Profile, "a profile");
