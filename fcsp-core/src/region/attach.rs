//! A process's place in a region: [`Attachment`].
//!
//! The life lock comes before the slot and goes after it, so that a slot is never in use without
//! one. Attaching takes the first slot that nobody marked, looking from a place of the process's own
//! on: hundreds of processes that begin at once do not queue for the same one, and no slot in use is
//! asked after.

use super::layout::{GatePage, SLOTS_MAX, Slot, SlotPages, SlotState, Tenant, TenantState};
use super::locks::{Byte, Description};
use super::process::{Birth, Process};
use super::{Region, RegionError, SlotIndex, TenantIndex, reclaim, scan, tenant};
use crate::backend::SharingMode;
use crate::failpoint::failpoint;
use crate::ledger::locks::CellLocks;
use crate::ledger::{Ledger, Refused};
use crate::sched::clock::now_ns;
use crate::sync::{AtomicU64, Ordering, fence};
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Range;
use std::sync::Arc;

/// How often a tenant may vanish under a joining process before it gives up.
const JOINS_MAX: usize = 16;

/// Least time between two searches for dead processes by one that is refused memory.
pub const SEARCH_EVERY_NS: u64 = 10_000_000;

/// A slot that this process has in a region. Dropping it gives everything back; a process that ends
/// without dropping it (killed, or holding it in a static) is reclaimed by others. In a fork child
/// it is its parent's: the child calls [`Attachment::abandon_after_fork`], and dropping its copy
/// touches nothing of the parent's.
#[derive(Debug)]
pub struct Attachment {
    region: Arc<Region>,
    life: ManuallyDrop<Description>,
    slot: SlotIndex,
    tenant: TenantIndex,
    cells: CellLocks,
    pid: u32,
    left: bool,
    /// When this process last looked for dead ones because it was refused.
    searched_ns: AtomicU64,
}

impl Attachment {
    /// Joins the tenant `name`, made with `write_limits` if there is none, and takes a slot.
    /// Blocks only while another process makes or removes a tenant.
    ///
    /// # Errors
    /// As [`tenant::find_or_make`], or if all slots are in use by living processes, or the lock file
    /// cannot be opened.
    pub fn join(
        region: &Arc<Region>,
        name: &str,
        write_limits: impl Fn(&Tenant),
    ) -> Result<Self, RegionError> {
        for _ in 1..JOINS_MAX {
            let tenant = tenant::find_or_make(region, name, &write_limits)?;
            match Self::attach_as(region, tenant, name) {
                Err(RegionError::TenantGone { .. }) => {}
                result => return result,
            }
        }
        let tenant = tenant::find_or_make(region, name, &write_limits)?;
        Self::attach_as(region, tenant, name)
    }

    /// Takes a slot for a process of `tenant`.
    ///
    /// # Errors
    /// As [`Attachment::join`], and [`RegionError::TenantGone`] if the tenant is not live.
    pub fn attach(region: &Arc<Region>, tenant: TenantIndex) -> Result<Self, RegionError> {
        let name = region.tenant(tenant).name.read();
        Self::attach_as(region, tenant, &name)
    }

    fn attach_as(
        region: &Arc<Region>,
        tenant: TenantIndex,
        name: &str,
    ) -> Result<Self, RegionError> {
        let life = region
            .locks
            .description()
            .map_err(RegionError::io("open the lock file of", region.path()))?;
        let process = Process::own();
        reclaim::reclaim_own_past(region, &process)?;
        let slot = match take_any(region, &life, tenant, name, &process)? {
            Some(slot) => slot,
            None => {
                reclaim::reclaim_dead(region)?;
                take_any(region, &life, tenant, name, &process)?.ok_or_else(|| {
                    RegionError::SlotsFull {
                        path: region.path().to_owned(),
                        max: SLOTS_MAX,
                    }
                })?
            }
        };
        Ok(Self {
            region: Arc::clone(region),
            life: ManuallyDrop::new(life),
            slot,
            tenant,
            cells: CellLocks::default(),
            pid: process.pid,
            left: false,
            searched_ns: AtomicU64::new(0),
        })
    }

    /// Gives the slot and everything in it back; gives the bytes it still held.
    ///
    /// # Errors
    /// If the lock file cannot be used. The slot is then reclaimed by others once this process is
    /// gone.
    pub fn detach(mut self) -> Result<u64, RegionError> {
        self.leave()
    }

    fn leave(&mut self) -> Result<u64, RegionError> {
        self.left = true;
        // SAFETY: `left` keeps this from running twice, and nothing else takes the description.
        let life = unsafe { ManuallyDrop::take(&mut self.life) };
        if self.is_inherited() {
            life.abandon();
            return Ok(0);
        }
        let fresh;
        let work = if life.is_ours() {
            &life
        } else {
            fresh = self
                .region
                .locks
                .description()
                .map_err(RegionError::io("open the lock file of", self.region.path()))?;
            &fresh
        };
        reclaim::leave(&self.region, self.slot, work)
            .map_err(RegionError::io("leave", self.region.path()))
    }

    /// In a fork child: closes the descriptor the child inherited. The parent keeps its lock and its
    /// slot. The child has nothing in the region until it attaches anew.
    pub fn abandon_after_fork(&self) {
        if self.is_inherited() {
            self.life.close_inherited();
        }
    }

    /// Does what the process could go on without, on a thread of its own that it does not wait for: moves
    /// the descriptors that stay open to high numbers, where programs that count on the low ones do not meet
    /// them. Once; may take tens of milliseconds (see `locks`).
    pub fn settle(&self) {
        self.life.raise();
        // If it cannot be kept open it is opened whenever something is to be asked.
        self.region.locks.keep_open().ok();
    }

    /// Says when this process began and what it is called. Until then its id alone stands for it.
    pub(super) fn introduce(&self) {
        let birth = Birth::own();
        let slot = self.slot();
        slot.command.write(&birth.command);
        // Relaxed: whoever finds the robust word held, released after this, sees it.
        slot.start_ticks.store(birth.start_ticks, Ordering::Relaxed);
    }

    /// Control page of the slot.
    #[inline]
    pub fn slot(&self) -> &Slot {
        self.region.slot(self.slot)
    }

    /// Device page of the slot.
    #[inline]
    pub fn page(&self) -> &GatePage {
        &self.region.layout().slots[self.slot.0 as usize].page
    }

    /// Page of the tenant.
    #[inline]
    pub fn tenant(&self) -> &Tenant {
        self.region.tenant(self.tenant)
    }

    /// Which slot.
    pub fn slot_index(&self) -> SlotIndex {
        self.slot
    }

    /// Which tenant.
    pub fn tenant_index(&self) -> TenantIndex {
        self.tenant
    }

    /// The region.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// True in a fork child, however it was made: the slot is the parent's, and nothing but
    /// [`Attachment::abandon_after_fork`] may be called. One system call.
    pub fn is_inherited(&self) -> bool {
        self.pid != std::process::id()
    }

    /// Reserves `bytes` as [`Ledger::reserve`], but before it refuses, looks for dead processes whose
    /// memory is still counted: once in [`SEARCH_EVERY_NS`], so that a program that goes on asking
    /// does not pay for it each time.
    ///
    /// # Errors
    /// [`Refused`] if the bytes would pass the quota.
    #[inline]
    pub fn reserve(&self, bytes: u64) -> Result<(), Refused> {
        if self.ledger().try_reserve(bytes).is_ok() {
            return Ok(());
        }
        self.reserve_at_last(bytes)
    }

    /// Reserves `bytes` if they fit now. For a caller that can do something about it if they do not, and
    /// asks [`Attachment::reserve_at_last`] in the end: no refusal is counted, nobody dead is looked for.
    ///
    /// # Errors
    /// [`Refused`] if the bytes would pass the quota.
    #[inline]
    pub fn try_reserve(&self, bytes: u64) -> Result<(), Refused> {
        self.ledger().try_reserve(bytes)
    }

    /// As [`Attachment::reserve`], for a caller that has just seen that they do not fit.
    ///
    /// # Errors
    /// [`Refused`] if the bytes would pass the quota.
    #[cold]
    pub fn reserve_at_last(&self, bytes: u64) -> Result<(), Refused> {
        let now_ns = now_ns();
        // Relaxed: two threads that both search do no harm.
        let searched_ns = self.searched_ns.load(Ordering::Relaxed);
        if now_ns.saturating_sub(searched_ns) >= SEARCH_EVERY_NS {
            self.searched_ns.store(now_ns, Ordering::Relaxed);
            // If it fails, the refusal stands.
            reclaim::reclaim_dead(&self.region).ok();
        }
        self.ledger().reserve(bytes)
    }

    /// The process's memory account.
    #[inline]
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::new(self.region.layout(), self.tenant, self.slot, &self.cells)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.left {
            // What could not be given back now is reclaimed when the process is gone.
            self.leave().ok();
        }
    }
}

/// Takes the first slot that will have this process.
fn take_any(
    region: &Region,
    life: &Description,
    tenant: TenantIndex,
    name: &str,
    process: &Process,
) -> Result<Option<SlotIndex>, RegionError> {
    let words = &region.layout().header.slots_used.0;
    // Neighbouring ids begin far apart (the multiplier is 2³² divided by the golden ratio).
    let mut from = process.pid.wrapping_mul(0x9e37_79b9) >> (u32::BITS - SLOTS_MAX.ilog2());
    for _ in 0..SLOTS_MAX {
        let Some(index) = scan::first_clear(words, from) else {
            break;
        };
        let slot = SlotIndex(index);
        match take(region, life, slot, tenant, name, process)
            .map_err(RegionError::io("lock a slot of", region.path()))?
        {
            Taken::Yes => return Ok(Some(slot)),
            Taken::No => from = index + 1,
            Taken::TenantGone => {
                return Err(RegionError::TenantGone {
                    path: region.path().to_owned(),
                    name: name.to_owned(),
                });
            }
        }
    }
    Ok(None)
}

enum Taken {
    Yes,
    No,
    TenantGone,
}

fn take(
    region: &Region,
    life: &Description,
    slot: SlotIndex,
    tenant: TenantIndex,
    name: &str,
    process: &Process,
) -> std::io::Result<Taken> {
    // The work lock keeps out whoever would reclaim or take the slot at the same time; the life lock
    // may still be held by a dead process's child.
    if !life.try_lock(Byte::work(slot))? {
        return Ok(Taken::No);
    }
    let taken = if life.try_lock(Byte::life(slot))? {
        failpoint!("attach.locked");
        let taken = fill(region, slot, tenant, name, process);
        if !matches!(taken, Taken::Yes) {
            life.unlock(Byte::life(slot))?;
        }
        taken
    } else {
        Taken::No
    };
    life.unlock(Byte::work(slot))?;
    failpoint!("attach.unlocked");
    Ok(taken)
}

/// Fills the slot in and lets it go live. The caller has both its locks.
fn fill(
    region: &Region,
    slot: SlotIndex,
    tenant: TenantIndex,
    name: &str,
    process: &Process,
) -> Taken {
    let layout = region.layout();
    let pages = &layout.slots[slot.0 as usize];
    let page = &pages.slot;
    let marks = &layout.header.slots_used.0;
    let change = |from: SlotState, to: SlotState| {
        // Release: publishes what was written before. Acquire: the cells as the last one left them.
        page.state
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    };
    scan::mark(marks, slot.0, true);
    failpoint!("attach.marked");
    if !change(SlotState::Free, SlotState::Attaching) {
        return Taken::No;
    }
    failpoint!("attach.attaching");
    page.tenant.store(tenant.0, Ordering::Relaxed);
    // SeqCst: with the same fence in whoever retires the tenant: see there.
    fence(Ordering::SeqCst);
    let its_page = region.tenant(tenant);
    let joined = its_page.state.load(Ordering::Acquire) == TenantState::Live as u32
        && its_page.name.is(name);
    if !joined {
        if change(SlotState::Attaching, SlotState::Free) {
            scan::mark(marks, slot.0, false);
        }
        return Taken::TenantGone;
    }
    page.generation.fetch_add(1, Ordering::Relaxed);
    page.pid.store(process.pid, Ordering::Relaxed);
    page.pid_namespace
        .store(process.pid_namespace, Ordering::Relaxed);
    page.start_ticks.store(0, Ordering::Relaxed);
    page.command.write("");
    let takes_turns = region.sharing == SharingMode::Exclusive;
    page.takes_turns
        .store(takes_turns.into(), Ordering::Relaxed);
    page.partition_percent.store(0, Ordering::Relaxed);
    page.robust.futex.store(0, Ordering::Relaxed);
    forget_queue(pages);
    failpoint!("attach.filled");
    // Fails only if this process lost its locks meanwhile (another thread closed every descriptor)
    // and was taken for dead.
    if !change(SlotState::Attaching, SlotState::Live) {
        return Taken::No;
    }
    failpoint!("attach.live");
    Taken::Yes
}

/// What the last process of a slot submitted is nobody's.
pub(crate) fn forget_queue(pages: &SlotPages) {
    clear(&pages.slot, offset_of!(Slot, gate)..offset_of!(Slot, cells));
    clear(&pages.page, 0..size_of::<GatePage>());
}

/// Sets `range` of a page to zero, which is where every field begins.
fn clear<T>(page: &T, range: Range<usize>) {
    debug_assert!(
        range.start.is_multiple_of(8) && range.end.is_multiple_of(8) && range.end <= size_of::<T>()
    );
    let words = std::ptr::from_ref(page).cast::<AtomicU64>();
    for index in range.start / 8..range.end / 8 {
        // SAFETY: the page consists of atomics and padding, is aligned to 8 bytes, and the range
        // lies within it. Nobody reads it: the slot is not live.
        let word = unsafe { &*words.add(index) };
        // Relaxed: the state, released after this, publishes it.
        word.store(0, Ordering::Relaxed);
    }
}
