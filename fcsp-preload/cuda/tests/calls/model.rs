//! The reference model: what is charged to the tenant on either device, and what the quota refuses.
//!
//! It knows nothing of addresses and return codes (those are the bare driver's to say), only sizes:
//! which object takes how much, and with which context it ends.

use crate::support::CONTEXT_BYTES;
use crate::{graphs, pool_book};

/// Devices of the machine: the first has a quota, the second has none.
pub const DEVICES: usize = 2;
const BLOCK_BYTES: u64 = 2 << 20;

/// What the driver takes for an allocation: whole blocks, unless it is small.
pub fn blocks(bytes: u64) -> u64 {
    if bytes <= BLOCK_BYTES / 2 {
        bytes
    } else {
        bytes.div_ceil(BLOCK_BYTES).saturating_mul(BLOCK_BYTES)
    }
}

/// One object under the two names that the two drivers gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Twin(pub [u64; 2]);

impl Twin {
    /// The same number for both.
    pub fn same(number: u64) -> Self {
        Self([number; 2])
    }
}

/// What kind of memory an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `cuMemAlloc` and its like.
    Linear,
    /// From a pool.
    Pool,
    /// An array.
    Array,
    /// A mipmapped array.
    Mipmapped,
    /// An executable graph, with what its nodes allocate.
    Executable,
}

/// Something that is live and may be charged.
#[derive(Clone, Debug)]
pub struct Object {
    pub twin: Twin,
    pub kind: Kind,
    /// Charges by device.
    pub charges: Vec<(usize, u64)>,
    /// The context it ends with.
    pub owner: Option<usize>,
}

/// A context.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub twin: Twin,
    pub device: usize,
    pub primary: bool,
    pub alive: bool,
}

/// What a call takes if it succeeds.
pub enum Bill {
    /// Nothing.
    Free,
    /// So much of each device.
    Of(Vec<(usize, u64)>),
    /// So much from a pool of a device.
    Pool(usize, u64),
    /// The same of a pool with a limit of its own, at which its driver refuses.
    LimitedPool(usize, u64),
    /// So much, of a device that only the library knows: there is no current context.
    Unsure(u64),
}

/// Everything that is charged.
#[derive(Default)]
pub struct Model {
    pub quota_bytes: [Option<u64>; DEVICES],
    pub objects: Vec<Object>,
    pub contexts: Vec<Context>,
    /// Physical memory of `cuMemCreate`: device, bytes, handles and mappings.
    pub physical: Vec<(usize, u64, u64)>,
    pub pools: pool_book::Kept,
    pub graphs: graphs::Book,
}

impl Model {
    /// What is charged for certain, and at most.
    pub fn bounds(&self, device: usize) -> (u64, u64) {
        let (beside, pools) = (self.beside_pools(device), self.pools.bounds(device));
        (beside.0 + pools.0, beside.1 + pools.1)
    }

    /// The same without pools and what is on its way back to the device.
    fn beside_pools(&self, device: usize) -> (u64, u64) {
        let held = self.held_bytes(device);
        let (low, high) = self.graphs.bounds(self, device);
        (held + low, held + high)
    }

    /// What is charged beside pools and graphs.
    fn held_bytes(&self, device: usize) -> u64 {
        let contexts = self
            .contexts
            .iter()
            .filter(|it| it.alive && it.device == device);
        let physical = self
            .physical
            .iter()
            .filter(|(at, _, references)| *at == device && *references > 0);
        contexts.count() as u64 * CONTEXT_BYTES
            + physical.map(|(_, bytes, _)| bytes).sum::<u64>()
            + self.charged(device, |kind| {
                !matches!(kind, Kind::Pool | Kind::Executable)
            })
    }

    /// What is in use: whatever the driver is made to give back, that much is charged.
    pub fn least_bytes(&self, device: usize) -> u64 {
        self.held_bytes(device)
            + self.charged(device, |kind| kind == Kind::Executable)
            + self.pools.live_bytes(device)
    }

    /// What live objects of some kinds are charged.
    pub fn charged(&self, device: usize, counts: impl Fn(Kind) -> bool) -> u64 {
        let objects = self.objects.iter().filter(|it| counts(it.kind));
        let charges = objects.flat_map(|it| &it.charges);
        charges
            .filter(|(at, _)| *at == device)
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// Whether the quota refuses a call: for certain, and perhaps.
    pub fn refuses(&self, bill: &Bill) -> (bool, bool) {
        let over = |(device, bytes): &(usize, u64)| {
            let (least, most) = (self.least_bytes(*device), self.bounds(*device).1);
            // Nobody has more than can be counted, quota or not.
            let quota = self.quota_bytes[*device].unwrap_or(u64::MAX);
            let passes = |used: u64| used.checked_add(*bytes).is_none_or(|sum| sum > quota);
            (passes(least), passes(most))
        };
        match bill {
            Bill::Free => (false, false),
            Bill::Of(charges) => charges
                .iter()
                .map(over)
                .fold((false, false), |sum, it| (sum.0 | it.0, sum.1 | it.1)),
            Bill::Pool(device, bytes) | Bill::LimitedPool(device, bytes) => {
                pool_book::refuses(self, *device, *bytes)
            }
            Bill::Unsure(bytes) => (false, (0..DEVICES).any(|device| over(&(device, *bytes)).1)),
        }
    }

    /// A context is gone, and everything in it; gives what else is gone with it.
    pub fn context_gone(&mut self, index: usize) -> Vec<Object> {
        self.contexts[index].alive = false;
        let (gone, left) = std::mem::take(&mut self.objects)
            .into_iter()
            .partition(|it| it.owner == Some(index));
        self.objects = left;
        gone
    }

    /// A context of that device is gone, with all that was in it.
    pub fn after_context(&mut self, device: usize) {
        for other in 0..DEVICES {
            let ends = !self.has_context(other) && (other == device || self.is_empty());
            if ends {
                self.nothing_in_contexts(other);
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.contexts.iter().any(|it| it.alive)
    }

    /// A device has no context any more: what belongs to none, executable graphs, is given back as well.
    fn nothing_in_contexts(&mut self, device: usize) {
        for object in self
            .objects
            .iter_mut()
            .filter(|it| it.kind == Kind::Executable)
        {
            object.charges.retain(|(at, _)| *at != device);
        }
        self.graphs.forget(device);
        self.pools.forget(device);
    }

    /// Whether a context of that device lives.
    pub fn has_context(&self, device: usize) -> bool {
        self.contexts
            .iter()
            .any(|it| it.alive && it.device == device)
    }
}
