//! What lies where in the region: the one description every process agrees on.
//!
//! A region is one file per device, mapped by every program that uses the device and by the
//! operator's tools. It begins with one [`Header`], then [`TENANTS_MAX`] tenant pages, then
//! [`SLOTS_MAX`] process slots of two pages each, then a ring of [`PLACES`] events for whoever traces.
//! The file is sparse: a page nobody used costs nothing. Nothing in it is a pointer, nothing moves while it is live, and every field that more
//! than one process touches is an atomic.
//!
//! A zeroed region is a valid empty one: every field is chosen so that zero means "unused".
//!
//! This module owns shapes and constants. Mapping is in [`super::Region`], who is alive in
//! [`super::liveness`], the memory protocol in [`crate::ledger`], the compute protocol in
//! [`crate::sched`].

use crate::ledger::UsedWord;
use crate::sched::class::CLASSES;
use crate::sched::trace::ring::{PLACES, Place, TraceWords};
use crate::sync::{AtomicU32, AtomicU64};

/// Bytes of a page; every section is aligned to it, so that a later mode can map only a tenant's
/// own pages writable.
pub const PAGE_BYTES: usize = 4096;
/// `"FCSPRGN\0"` read as a little-endian word.
pub const MAGIC: u64 = u64::from_le_bytes(*b"FCSPRGN\0");
/// Raised whenever the meaning of a field changes; a region of another version is refused.
pub const VERSION: u32 = 8;
/// Tenants one device can have at a time.
pub const TENANTS_MAX: usize = 128;
/// Processes one device can have at a time. The ledger's tag holds a slot in 10 bits.
pub const SLOTS_MAX: usize = 1024;
/// Ledger cells of one process: threads that can settle an allocation at the same instant. The
/// ledger's tag holds a cell in 4 bits.
pub const CELLS_PER_SLOT: usize = 16;
/// Queues of one process that can have work in open segments at the same time.
pub const LANES: usize = 64;
/// Segments of one process that the region remembers; more than a process may run ahead.
pub const SEGMENTS: usize = 32;
/// Longest tenant name in bytes.
pub const TENANT_NAME_MAX: usize = 64;
/// Longest device identity in bytes: room for a UUID or a PCI address, and what a vendor puts around it.
pub const DEVICE_ID_MAX: usize = 64;
/// Longest device name in bytes.
pub const DEVICE_NAME_MAX: usize = 96;

/// An atomic alone on its cache line (64 bytes on every processor FCSP runs on), so that writers of
/// one word do not slow readers of the next.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Line<T>(pub T);

impl<T> std::ops::Deref for Line<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A word that the device writes. Some devices write 32 bits, others 64, of which the upper ones are zero.
#[repr(C, align(8))]
#[derive(Debug, Default)]
pub struct DeviceWord {
    word: AtomicU32,
    _upper: AtomicU32,
}

impl std::ops::Deref for DeviceWord {
    type Target = AtomicU32;
    #[inline]
    fn deref(&self) -> &AtomicU32 {
        &self.word
    }
}

/// A short UTF-8 text in the region, written once before the record that holds it is published.
#[repr(C)]
#[derive(Debug)]
pub struct Text<const WORDS: usize>(pub [AtomicU64; WORDS]);

/// The first page: whose region this is, the doorbell, and the arbiter's state.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Header {
    /// [`MAGIC`], written last when a region is made.
    pub magic: AtomicU64,
    /// [`VERSION`] of the library that made the region.
    pub version: AtomicU32,
    /// 1 while the device behind the region is a simulated one.
    pub simulated: AtomicU32,
    /// [`layout_hash`] of the library that made the region.
    pub layout_hash: AtomicU64,
    /// Device memory of the whole device, bytes.
    pub total_bytes: AtomicU64,
    /// Device memory that a context takes before the program allocates anything, bytes: the most
    /// that was measured. 0 before the first measurement.
    pub context_bytes: AtomicU64,
    /// [`crate::policy::Fail`] as a number, as the last good policy file said for everybody.
    pub fail: AtomicU32,
    /// [`crate::policy::Sharing`] as a number: what the operator wants of the device.
    pub sharing_wanted: AtomicU32,
    /// [`crate::backend::Vendor`] as a number.
    pub vendor: AtomicU32,
    /// [`crate::backend::SharingMode`] as a number: concurrent once a process has attached that can
    /// run beside others. What is in force: [`super::sharing`].
    pub sharing: AtomicU32,
    /// Vendor's identity of the device.
    pub device_id: Text<{ DEVICE_ID_MAX / 8 }>,
    /// Vendor's name of the device.
    pub device_name: Text<{ DEVICE_NAME_MAX / 8 }>,
    /// What a nanosecond of each class of work counts, thousandths; 0 counts as 1000. As the last good policy file said.
    /// See [`crate::sched::class`].
    pub class_weights_milli: [AtomicU32; CLASSES],
    /// Slots in use, a bit each: lets a scan skip the empty ones. Set before a slot goes live,
    /// cleared after it is free again.
    pub slots_used: Line<[AtomicU64; SLOTS_MAX / 64]>,
    /// Tenants in use, a bit each.
    pub tenants_used: Line<[AtomicU64; TENANTS_MAX / 64]>,
    /// Counts events that the arbiter should look at; its futex.
    pub doorbell: Line<AtomicU32>,
    /// 1 while the arbiter sleeps on the doorbell and wants to be woken.
    pub arbiter_asleep: Line<AtomicU32>,
    /// Who arbitrates, and what has been granted.
    pub arbiter: Line<ArbiterWords>,
    /// Whether somebody traces, and how many events there were.
    pub trace: Line<TraceWords>,
}

/// The arbiter's state that must outlive its owner.
#[repr(C)]
#[derive(Debug)]
pub struct ArbiterWords {
    /// Slot of the arbiter plus one (low 32 bits) and a term that rises with each change of owner
    /// (high 32 bits); 0 while there is none.
    pub owner: AtomicU64,
    /// When the arbiter last made a step, nanoseconds of `CLOCK_MONOTONIC`.
    pub heartbeat_ns: AtomicU64,
    /// Slot that holds the lease plus one; 0 while nobody does.
    pub holder: AtomicU32,
    /// [`crate::sched::trace::How`] as a number: how programs run now.
    pub how: AtomicU32,
    /// When the arbiter last knew that its device leads others in the order of turns, nanoseconds of
    /// `CLOCK_MONOTONIC`; see [`crate::sched::gang`].
    pub led_ns: AtomicU64,
    /// Steps made; a test and `fcsp status` read it.
    pub steps: AtomicU64,
    /// Turns that passed from one tenant to another.
    pub handoffs: AtomicU64,
}

/// What a tenant may use and has used. One page each.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Tenant {
    /// [`TenantState`] as a number.
    pub state: AtomicU32,
    /// [`crate::policy::Mode`] as a number.
    pub mode: AtomicU32,
    /// Entitlement to compute, millionths of the device (25 % is 250 000). 0 means none was given:
    /// the tenant shares what others leave.
    pub entitlement_ppm: AtomicU32,
    /// [`crate::policy::MemoryMode`] as a number.
    pub memory_mode: AtomicU32,
    /// Pools in millionths of the device: floor, shared, burst.
    pub pools_ppm: [AtomicU32; 3],
    /// Most a tenant may take from the burst pool, millionths of the device.
    pub burst_max_ppm: AtomicU32,
    /// [`crate::policy::Fail`] as a number.
    pub fail: AtomicU32,
    /// 1 if a policy file names this tenant, so that its environment may lower but not raise.
    pub named_in_policy: AtomicU32,
    /// [`crate::policy::Priority`] as a number.
    pub priority: AtomicU32,
    /// [`crate::policy::LowPriority`] as a number: what a low priority means here.
    pub low_priority: AtomicU32,
    /// Its part of what tenants with compute leave, relative to the other tenants without; 0 counts
    /// as 1.
    pub weight: AtomicU32,
    /// Reserved, zero.
    pub reserved: AtomicU32,
    /// Memory quota, bytes; `u64::MAX` means none. (0 is a real quota of nothing.)
    pub quota_bytes: AtomicU64,
    /// Raised with every change of a limit.
    pub limits_epoch: AtomicU64,
    /// [`crate::policy::Edition`] of the policy file that the limits come from, as a number.
    pub policy_edition: AtomicU64,
    /// Name, UTF-8, padded with zeros.
    pub name: Text<{ TENANT_NAME_MAX / 8 }>,
    /// The ledger's word: bytes in use and who changed it last. See [`crate::ledger`].
    pub used: Line<UsedWord>,
    /// What the ledger counts for the operator.
    pub memory: Line<TenantMemory>,
    /// What the arbiter charges.
    pub compute: Line<TenantCompute>,
}

/// Counters of a tenant's memory.
#[repr(C)]
#[derive(Debug)]
pub struct TenantMemory {
    /// Most bytes ever in use at once.
    pub peak_bytes: AtomicU64,
    /// Requests refused because they would have passed the quota.
    pub refused: AtomicU64,
    /// Requests let through over the quota in soft mode.
    pub over_quota: AtomicU64,
    /// Bytes given back by recovery from processes that died.
    pub reclaimed_bytes: AtomicU64,
}

/// Device time of a tenant. Written by the arbiter only.
#[repr(C)]
#[derive(Debug)]
pub struct TenantCompute {
    /// Virtual time: device time divided by share. The tenant that is furthest behind is next.
    pub vtime_ns: AtomicU64,
    /// Device time charged so far.
    pub device_ns: AtomicU64,
    /// Share of the device the tenant may have now, millionths: what the pools give it among the
    /// tenants that are active.
    pub share_ppm: AtomicU32,
    /// Share it may not pass, millionths.
    pub ceiling_ppm: AtomicU32,
}

/// One process on one device: its control page.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Slot {
    /// [`SlotState`] as a number.
    pub state: AtomicU32,
    /// Index of its tenant.
    pub tenant: AtomicU32,
    /// Process id as its own PID namespace sees it; for people, and for one proof of death.
    pub pid: AtomicU32,
    /// Raised each time the slot is taken, so that a stale reference is recognised.
    pub generation: AtomicU32,
    /// Inode of the process's PID namespace: `pid` means something only within it.
    pub pid_namespace: AtomicU64,
    /// Start time of the process in clock ticks since boot (`/proc/PID/stat` field 22): tells a
    /// process from a later one with the same id. 0 before its observer has said it.
    pub start_ticks: AtomicU64,
    /// First 16 bytes of the command's name.
    pub command: Text<2>,
    /// 1 if the process cannot run at the same time as others, though the device can.
    pub takes_turns: AtomicU32,
    /// Percent of the device that the process can use at all, while it runs beside others; 0 is all of it.
    pub partition_percent: AtomicU32,
    /// A robust futex held by a thread of the process: the kernel marks it however the process ends.
    pub robust: Line<RobustWord>,
    /// What the process's threads read before each submission.
    pub gate: Line<SlotGate>,
    /// What the process tells the arbiter.
    pub queue: Line<SlotQueue>,
    /// What the arbiter tells about the process.
    pub compute: Line<SlotCompute>,
    /// Expected device time of what the process submitted while gated, by class, nanoseconds. Written by the process.
    pub classes_ns: Line<[AtomicU64; CLASSES]>,
    /// Ledger cells. See [`crate::ledger`].
    pub cells: [Line<Cell>; CELLS_PER_SLOT],
}

/// A robust futex, in the form the kernel asks for (`linux/futex.h`, `struct robust_list`).
#[repr(C)]
#[derive(Debug)]
pub struct RobustWord {
    /// Id of the thread that holds it, and `FUTEX_OWNER_DIED` once the kernel saw that thread end; 0
    /// while no thread holds it.
    pub futex: AtomicU32,
    /// Reserved, zero.
    pub reserved: AtomicU32,
    /// The holder's list, an address in its process; means nothing to others.
    pub next: AtomicU64,
}

/// What decides whether a submission passes at once.
#[repr(C)]
#[derive(Debug)]
pub struct SlotGate {
    /// 0: submissions pass untouched. [`GATED`]: they form segments. [`GATED_BESIDE_OTHERS`]: the same,
    /// and what they take is not measured. [`GATED_WITHIN_REACH`]: the same as [`GATED`], and what is granted
    /// already waits for its grant all the same. [`GATED_ON_TRIAL`]: both. Written by the arbiter (and by the process itself when it
    /// closes its own gate on waking).
    pub gated: AtomicU32,
    /// Predicted device time a segment may hold, microseconds; written by the arbiter.
    pub segment_us: AtomicU32,
    /// Predicted device time of a turn of the process, microseconds, while its turns have places in a period: near where
    /// they end segments are shorter. 0 while they have none. Written by the arbiter.
    pub turn_us: AtomicU32,
    /// First segment of its newest turn; written by the arbiter.
    pub turn_from: AtomicU32,
    /// Device time that the process may submit without forming segments, in all since it attached, nanoseconds; written by
    /// the arbiter, which has charged exactly that. What `passed_ns` leaves of it is the process's allowance now.
    pub allowed_ns: AtomicU64,
    /// Expected device time of what it submitted within its allowance, in all since it attached, nanoseconds. Never falls.
    /// Written by the process. Beyond `allowed_ns` once what was passing when an allowance was taken back.
    pub passed_ns: AtomicU64,
    /// When the newest of that is expected to be over, nanoseconds of `CLOCK_MONOTONIC`; 0 before any. Written by the process.
    pub passed_until_ns: AtomicU64,
}

/// Submissions form segments.
pub const GATED: u32 = 1;
/// Submissions form segments and run at the same time as other processes'.
pub const GATED_BESIDE_OTHERS: u32 = 2;
/// Submissions form segments whose grants may be taken back as long as they have not begun.
pub const GATED_WITHIN_REACH: u32 = 3;
/// Submissions form such segments and run at the same time as other processes', for a trial.
pub const GATED_ON_TRIAL: u32 = 4;

/// A process's account of what it submitted. Written by the process only.
#[repr(C)]
#[derive(Debug)]
pub struct SlotQueue {
    /// Number of the newest segment opened; 0 before the first. Numbers rise by one and wrap;
    /// [`GatePage::segments`] holds segment `n` at `n % SEGMENTS`.
    pub opened: AtomicU32,
    /// Number of the newest segment closed: `opened` or one less.
    pub closed: AtomicU32,
    /// When work was last submitted, nanoseconds of `CLOCK_MONOTONIC`.
    pub submitted_ns: AtomicU64,
    /// Launches while gated.
    pub launches: AtomicU64,
    /// Measured device time less than or beyond what the clock saw between grant and done,
    /// nanoseconds: what a hand-over costs this process. Subtracted from the charge.
    pub handover_ns: AtomicU64,
    /// Futex for threads that wait for room in the ring; raised by the arbiter.
    pub room: AtomicU32,
    /// Threads asleep on `room`.
    pub sleepers: AtomicU32,
    /// Segments closed because a thread was about to wait for the device.
    pub synced: AtomicU32,
    /// Times a thread was held up because it was far ahead of the device: it waited for room, or for something older than its
    /// newest work.
    pub blocked: AtomicU32,
    /// Newest segment whose expected length is a guess in part: something in it was never measured.
    pub guessed: AtomicU32,
    /// By how much one submission is usually off what was expected of it, in millionths of that.
    pub spread_ppm: AtomicU32,
    /// Newest segment when a thread last began to wait for the device.
    pub waits_at: AtomicU32,
    /// 1 if a thread had to wait in its queue's place when last something had to wait for its grant.
    pub threads_wait: AtomicU32,
    /// When it last submitted work that other devices take part in, nanoseconds of `CLOCK_MONOTONIC`; 0 if it
    /// never did while gated.
    pub collective_ns: AtomicU64,
    /// When a thread last looked and the device was not done, where only threads can tell, nanoseconds of
    /// `CLOCK_MONOTONIC`; 0 if none ever did.
    pub looked_ns: AtomicU64,
}

/// What the arbiter keeps about a process.
#[repr(C)]
#[derive(Debug)]
pub struct SlotCompute {
    /// Newest segment the arbiter counts as finished.
    pub retired: AtomicU32,
    /// Segments taken from the process because they did not finish in the bound.
    pub overdue: AtomicU32,
    /// Virtual time among the processes of its tenant.
    pub vtime_ns: AtomicU64,
    /// Device time charged so far.
    pub device_ns: AtomicU64,
}

/// A ledger cell: the bytes one thread at a time adds to or takes from its process's account. The
/// two sums alternate, so that a process killed at any instruction leaves either the old one or the
/// new one, and recovery can tell which. See [`crate::ledger`].
#[repr(C)]
#[derive(Debug, Default)]
pub struct Cell {
    /// Number of the newest operation known to be in the tenant's word. Never falls, not even when
    /// the slot passes to another process.
    pub applied: AtomicU64,
    /// Bytes after the operation with that parity, as a two's complement number.
    pub sums: [AtomicU64; 2],
}

/// One process on one device: the page that the device itself reads and writes. It is pinned and
/// registered with the vendor's driver, and holds nothing else.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct GatePage {
    /// Segments up to this number may run. Queues wait for it on the device, or threads in their place.
    pub grant: Line<AtomicU32>,
    /// Newest segment finished on each lane; written by the device.
    pub done: [DeviceWord; LANES],
    /// Which segments the device must come to before they are anybody's business.
    pub arrival: Line<Arrival>,
    /// The newest segments, by number modulo [`SEGMENTS`].
    pub segments: [Line<Segment>; SEGMENTS],
}

/// Which segments of a process stand behind something that only others can end, and how far the
/// device has come.
#[repr(C)]
#[derive(Debug)]
pub struct Arrival {
    /// Newest of those segments whose gate the device has come to; written by the device.
    pub arrived: DeviceWord,
    /// The segments, a bit each, by number modulo [`SEGMENTS`]; written by the process.
    pub awaited: AtomicU32,
    /// Newest collective that the device has come to, by the process's count while gated; written by the
    /// device.
    pub collective_begun: DeviceWord,
    /// Newest collective that is over; written by the device.
    pub collective_done: DeviceWord,
}

/// A batch of submissions that is granted and charged as one.
#[repr(C)]
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub number: AtomicU32,
    /// [`crate::sched::SegmentState`] as a number.
    pub state: AtomicU32,
    /// Lanes it used, a bit each.
    pub lanes: AtomicU64,
    /// Device time the cost model expects of what was submitted so far.
    pub predicted_ns: AtomicU64,
    /// When its first submission was made.
    pub opened_ns: AtomicU64,
    /// When its newest submission was made.
    pub submitted_ns: AtomicU64,
    /// When the arbiter granted it; 0 before.
    pub granted_ns: AtomicU64,
    /// When the arbiter saw it finished; 0 before.
    pub finished_ns: AtomicU64,
    /// Submissions in it.
    pub launches: AtomicU32,
    /// 1 if a turn began with it, so that its time includes a hand-over; 0 once its end is seen too late
    /// to tell.
    pub first_of_turn: AtomicU32,
}

/// A slot is two pages: one for the processor, one for the device.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct SlotPages {
    /// Control page.
    pub slot: Slot,
    /// Device page.
    pub page: GatePage,
}

/// The whole region.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct RegionLayout {
    /// First page.
    pub header: Header,
    /// Tenant pages.
    pub tenants: [Tenant; TENANTS_MAX],
    /// Slots.
    pub slots: [SlotPages; SLOTS_MAX],
    /// What the arbiter met and decided while somebody traces. See [`crate::sched::trace`].
    pub trace: [Place; PLACES],
}

/// Life of a tenant page.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantState {
    /// Unused.
    Free = 0,
    /// Being filled in by the process that took it; nobody refers to it yet.
    Making = 1,
    /// In use.
    Live = 2,
    /// Being removed, unless somebody turns out to have joined it.
    Retiring = 3,
}

/// Life of a slot.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotState {
    /// Unused.
    Free = 0,
    /// Being filled in; its liveness lock is already held.
    Attaching = 1,
    /// In use.
    Live = 2,
    /// Its owner is gone and somebody is giving back what it held.
    Reclaiming = 3,
}

impl TenantState {
    /// The state with that number; an unknown number is one that nobody may touch.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Free,
            2 => Self::Live,
            3 => Self::Retiring,
            _ => Self::Making,
        }
    }
}

impl SlotState {
    /// The state with that number; an unknown number is one that only recovery may touch.
    pub const fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Free,
            1 => Self::Attaching,
            2 => Self::Live,
            _ => Self::Reclaiming,
        }
    }
}

/// A number that changes with the layout: FNV-1a over the sizes and offsets that matter.
pub const fn layout_hash() -> u64 {
    use std::mem::{offset_of, size_of};
    let facts = [
        size_of::<RegionLayout>(),
        offset_of!(RegionLayout, tenants),
        offset_of!(RegionLayout, slots),
        offset_of!(RegionLayout, trace),
        size_of::<Header>(),
        offset_of!(Header, sharing),
        offset_of!(Header, slots_used),
        offset_of!(Header, doorbell),
        offset_of!(Header, arbiter),
        offset_of!(Header, trace),
        offset_of!(ArbiterWords, led_ns),
        size_of::<Tenant>(),
        offset_of!(Tenant, priority),
        offset_of!(Tenant, quota_bytes),
        offset_of!(Tenant, name),
        offset_of!(Tenant, used),
        offset_of!(Tenant, compute),
        offset_of!(TenantCompute, share_ppm),
        size_of::<Slot>(),
        offset_of!(Slot, takes_turns),
        offset_of!(Slot, partition_percent),
        offset_of!(Slot, robust),
        offset_of!(Slot, gate),
        offset_of!(SlotGate, allowed_ns),
        offset_of!(SlotGate, passed_ns),
        offset_of!(SlotGate, passed_until_ns),
        offset_of!(Slot, queue),
        offset_of!(SlotQueue, guessed),
        offset_of!(SlotQueue, spread_ppm),
        offset_of!(SlotQueue, threads_wait),
        offset_of!(SlotQueue, collective_ns),
        offset_of!(Slot, compute),
        offset_of!(Slot, cells),
        size_of::<UsedWord>(),
        offset_of!(RobustWord, next),
        offset_of!(Cell, applied),
        offset_of!(Cell, sums),
        size_of::<GatePage>(),
        offset_of!(GatePage, done),
        offset_of!(GatePage, arrival),
        offset_of!(GatePage, segments),
        size_of::<Segment>(),
        size_of::<Place>(),
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < facts.len() {
        hash = (hash ^ facts[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    (hash ^ VERSION as u64).wrapping_mul(0x0100_0000_01b3)
}

#[cfg(not(loom))]
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Header>() == PAGE_BYTES);
    assert!(size_of::<Tenant>() == PAGE_BYTES);
    assert!(size_of::<Slot>() == PAGE_BYTES);
    assert!(size_of::<GatePage>() == PAGE_BYTES);
    assert!(size_of::<SlotPages>() == 2 * PAGE_BYTES);
    assert!(offset_of!(RegionLayout, tenants) == PAGE_BYTES);
    assert!(offset_of!(RegionLayout, slots) == PAGE_BYTES * (1 + TENANTS_MAX));
    assert!(offset_of!(RegionLayout, trace).is_multiple_of(PAGE_BYTES));
    assert!(size_of::<Place>() == 32);
    assert!(offset_of!(SlotPages, page) == PAGE_BYTES);
    assert!(SLOTS_MAX <= 1 << 10 && CELLS_PER_SLOT <= 1 << 4);
    assert!(size_of::<UsedWord>() == 16);
    assert!(LANES == 64);
    assert!(SEGMENTS <= 32, "a bit each in Arrival::awaited");
};
