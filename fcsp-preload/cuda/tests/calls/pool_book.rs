//! The model of pools: what each of them is charged, and what the quota refuses to take for them.
//!
//! A pool is charged what its driver says it has, so after every call the driver behind the library is asked, pool by
//! pool; the library passes that question on. What is certain beside:
//!
//! - a pool is charged its figure, and until the next call at which the library looks at all pools, at most what it
//!   was charged before;
//! - an allocation needs room for whole chunks, and is refused only if that is not there when all is looked at;
//! - a destroyed pool is charged what it had until the last of it is freed, and then, if that was in the order of a
//!   stream, until all of the only context's work was waited for, as is plain memory that is freed so;
//! - a device that has no context any more is charged nothing; pools are learnt again when they are used.

use crate::model::{DEVICES, Model, Twin};

/// What pools take from the device at a time.
const CHUNK_BYTES: u64 = 32 << 20;
/// The driver is asked for more without a look at the quota: no device has it.
const WORST_BYTES_MAX: u64 = 1 << 40;

/// A pool, or what is left of one that was destroyed.
pub struct Pool {
    pub twin: Twin,
    pub device: usize,
    /// The device's own.
    pub default: bool,
    /// It cannot have more than that; 0 for no such limit.
    pub limit_bytes: u64,
    /// Whether the library charges for it.
    charged: bool,
    destroyed: bool,
    /// What the driver says it has; of a destroyed one, what it had.
    figure_bytes: u64,
    /// The most it may be charged.
    charge_bytes_max: u64,
    /// What is allocated from it.
    live: Vec<(Twin, u64)>,
    /// Whether something of it ended with a context, or was live when its device was forgotten: the library
    /// may or may not count that as live.
    unclear: bool,
}

impl Pool {
    /// From now on it is charged.
    fn learn(&mut self) {
        if !self.charged {
            self.charged = true;
            self.charge_bytes_max = self.figure_bytes;
        }
    }
}

/// All pools, and what is on its way back to the device.
#[derive(Default)]
pub struct Kept {
    pools: Vec<Pool>,
    /// At least and at most.
    leaving_bytes: [(u64, u64); DEVICES],
    /// The next look is behind a call at which the library looked at all pools.
    settled: bool,
}

impl Kept {
    /// Pools that are not destroyed.
    pub fn alive(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(|pool| !pool.destroyed)
    }

    /// A pool that is not destroyed.
    pub fn find(&self, twin: Twin) -> Option<&Pool> {
        self.alive().find(|pool| pool.twin == twin)
    }

    fn find_mut(&mut self, twin: Twin) -> Option<&mut Pool> {
        let mut pools = self.pools.iter_mut();
        pools.find(|pool| !pool.destroyed && pool.twin == twin)
    }

    /// A device's own pool.
    pub fn default_of(&self, device: usize) -> Option<Twin> {
        let mut pools = self.alive();
        let found = pools.find(|pool| pool.default && pool.device == device);
        found.map(|pool| pool.twin)
    }

    /// A pool was made, or is a device's own.
    pub fn enter(&mut self, twin: Twin, device: usize, default: bool, limit_bytes: u64) {
        self.pools.push(Pool {
            twin,
            device,
            default,
            limit_bytes,
            charged: !default,
            destroyed: false,
            figure_bytes: 0,
            charge_bytes_max: 0,
            live: Vec::new(),
            unclear: false,
        });
    }

    /// The program asked for memory from a pool: the library knows it from now on.
    pub fn used(&mut self, twin: Twin) {
        if let Some(pool) = self.find_mut(twin) {
            pool.learn();
        }
    }

    /// Something was allocated from a pool.
    pub fn allocated(&mut self, twin: Twin, address: Twin, bytes: u64) {
        if let Some(pool) = self.find_mut(twin) {
            pool.live.push((address, bytes));
        }
    }

    /// Something was freed; `in_order` if the memory goes back some time from now.
    pub fn freed(&mut self, address: Twin, in_order: bool) {
        let of = |pool: &Pool| pool.live.iter().position(|(it, _)| *it == address);
        let found = self.pools.iter().enumerate();
        let Some((at, index)) = found.filter_map(|(at, pool)| Some((at, of(pool)?))).next() else {
            return;
        };
        let pool = &mut self.pools[at];
        pool.live.swap_remove(index);
        if !pool.destroyed || !pool.live.is_empty() || pool.unclear {
            return;
        }
        let pool = self.pools.swap_remove(at);
        if in_order {
            self.leave(pool.device, pool.figure_bytes, pool.figure_bytes);
        }
    }

    /// Memory of a device goes back some time from now.
    pub fn leave(&mut self, device: usize, low_bytes: u64, high_bytes: u64) {
        self.leaving_bytes[device].0 += low_bytes;
        self.leaving_bytes[device].1 += high_bytes;
    }

    /// All work on a device was waited for, in the only context there is.
    pub fn waited_for_all(&mut self, device: usize) {
        self.leaving_bytes[device] = (0, 0);
    }

    /// The call that is over made the library look at all pools.
    pub fn settled(&mut self) {
        self.settled = true;
    }

    /// A pool was destroyed.
    pub fn destroyed(&mut self, twin: Twin) {
        let is_it = |pool: &Pool| !pool.destroyed && pool.twin == twin;
        let Some(at) = self.pools.iter().position(is_it) else {
            return;
        };
        let pool = &mut self.pools[at];
        if !pool.charged {
            self.pools.swap_remove(at);
        } else if pool.live.is_empty() && !pool.unclear {
            let pool = self.pools.swap_remove(at);
            self.leave(pool.device, pool.figure_bytes, pool.figure_bytes);
        } else {
            pool.destroyed = true;
        }
    }

    /// What was allocated from a pool ended with its context.
    pub fn orphaned(&mut self, address: Twin) {
        for pool in &mut self.pools {
            let before = pool.live.len();
            pool.live.retain(|(it, _)| *it != address);
            pool.unclear |= pool.live.len() < before;
        }
    }

    /// A context was made on a device.
    pub fn context_made(&mut self, device: usize) {
        let mut pools = self.pools.iter_mut();
        if let Some(pool) = pools.find(|pool| pool.default && pool.device == device) {
            pool.learn();
        }
    }

    /// A device has no context any more.
    pub fn forget(&mut self, device: usize) {
        self.pools
            .retain(|pool| pool.device != device || !pool.destroyed);
        for pool in self.pools.iter_mut().filter(|it| it.device == device) {
            pool.charged = false;
            // Something that was allocated in a context of another device may live on.
            pool.unclear = !pool.live.is_empty();
        }
        self.leaving_bytes[device] = (0, 0);
    }

    /// Whether a pool of a device was destroyed of which something may be live.
    pub fn any_destroyed(&self, device: usize) -> bool {
        let mut pools = self.pools.iter();
        pools.any(|it| it.destroyed && it.device == device)
    }

    /// What pools of a device are charged, and what is on its way back to it.
    pub fn bounds(&self, device: usize) -> (u64, u64) {
        let pools = self.pools.iter().filter(|pool| pool.device == device);
        let charges = pools.map(|pool| match (pool.destroyed, pool.charged) {
            (true, _) if pool.unclear => (0, pool.figure_bytes),
            (true, _) => (pool.figure_bytes, pool.figure_bytes),
            (false, true) => (pool.figure_bytes, pool.charge_bytes_max),
            (false, false) => (0, 0),
        });
        charges.fold(self.leaving_bytes[device], |sum, it| {
            (sum.0 + it.0, sum.1 + it.1)
        })
    }

    /// What is allocated from the pools of a device, which no trim or wait gives back.
    pub fn live_bytes(&self, device: usize) -> u64 {
        let pools = self.pools.iter().filter(|it| it.device == device);
        let charged = pools.filter(|it| it.charged && !it.unclear);
        charged
            .flat_map(|it| &it.live)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// The pools of a device that have memory though nothing of them is live.
    pub fn idle_bytes(&self, device: usize) -> u64 {
        let idle = |it: &&Pool| it.live.is_empty() && !it.unclear && it.charged;
        let pools = self.alive().filter(|it| it.device == device);
        pools.filter(idle).map(|it| it.figure_bytes).sum()
    }

    /// Takes over what the driver says that its pools have.
    pub fn look(&mut self, ask: impl Fn(Twin) -> Option<u64>) {
        for pool in self.pools.iter_mut().filter(|pool| !pool.destroyed) {
            pool.figure_bytes = ask(pool.twin).unwrap_or(pool.figure_bytes);
            pool.charge_bytes_max = match self.settled {
                true => pool.figure_bytes,
                false => pool.charge_bytes_max.max(pool.figure_bytes),
            };
        }
        self.settled = false;
    }
}

/// What an allocation can take of a device at most; `None` if no device has that.
pub fn worst_bytes(bytes: u64) -> Option<u64> {
    let worst = bytes.checked_next_multiple_of(CHUNK_BYTES)?;
    (worst <= WORST_BYTES_MAX).then_some(worst)
}

/// Whether the quota refuses an allocation from a pool of that device: for certain, and perhaps.
pub fn refuses(model: &Model, device: usize, bytes: u64) -> (bool, bool) {
    let (Some(quota), Some(worst)) = (model.quota_bytes[device], worst_bytes(bytes)) else {
        return (false, false);
    };
    let (least, most) = (model.least_bytes(device), model.bounds(device).1);
    (least + bytes > quota, most + worst > quota)
}
