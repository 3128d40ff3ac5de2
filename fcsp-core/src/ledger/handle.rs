//! What the hooks call: [`Ledger`].

use super::account::{self, Account};
use super::locks::CellLocks;
use super::word::CellId;
use crate::policy::MemoryMode;
use crate::region::layout::{RegionLayout, Tenant};
use crate::region::{SlotIndex, TenantIndex};
use crate::sync::Ordering;

/// A reservation that would have passed the quota. Nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{requested_bytes} bytes are refused: {used_bytes} of the quota of {quota_bytes} are in use; \
     free memory or raise the quota"
)]
pub struct Refused {
    /// Bytes asked for.
    pub requested_bytes: u64,
    /// Bytes the tenant was using.
    pub used_bytes: u64,
    /// The tenant's quota.
    pub quota_bytes: u64,
}

/// A process's account with its tenant. Made by [`crate::region::Attachment::ledger`]; costs nothing
/// to make, so nobody need keep it. Any thread may call any of it at any time; nothing blocks on
/// another process, allocates, or makes a system call (a thread that finds more threads of its own
/// process at work than there are cells may yield).
///
/// After a fork the child must not use its parent's: it attaches anew.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a> {
    layout: &'a RegionLayout,
    tenant: &'a Tenant,
    slot: SlotIndex,
    locks: &'a CellLocks,
}

impl<'a> Ledger<'a> {
    #[inline]
    pub(crate) fn new(
        layout: &'a RegionLayout,
        tenant: TenantIndex,
        slot: SlotIndex,
        locks: &'a CellLocks,
    ) -> Self {
        Self {
            layout,
            tenant: &layout.tenants[tenant.0 as usize],
            slot,
            locks,
        }
    }

    /// Reserves `bytes` within the tenant's quota, before the driver is asked for them. Hooks call
    /// [`crate::region::Attachment::reserve`], which looks for dead processes before it refuses.
    ///
    /// # Errors
    /// [`Refused`] if they would pass the quota. In soft mode they are reserved and counted as over
    /// quota instead.
    #[inline]
    pub fn reserve(&self, bytes: u64) -> Result<(), Refused> {
        let result = self.try_reserve(bytes);
        if result.is_err() {
            self.tenant.memory.refused.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// As [`Ledger::reserve`], without counting a refusal.
    #[inline]
    pub(crate) fn try_reserve(&self, bytes: u64) -> Result<(), Refused> {
        // Relaxed: a limit that changes holds for whoever reads it next.
        let quota_bytes = self.tenant.quota_bytes.load(Ordering::Relaxed);
        let admitted = self.apply(bytes, |used_bytes| match used_bytes.checked_add(bytes) {
            Some(after) if after <= quota_bytes => Ok(after),
            _ => Err(Refused {
                requested_bytes: bytes,
                used_bytes,
                quota_bytes,
            }),
        });
        match admitted {
            Ok(used) => {
                self.note_peak(used);
                Ok(())
            }
            Err(refused) => self.reserve_softly(refused),
        }
    }

    /// Reserves as much of `bytes` as the quota has room for; gives how much that is. Not counted as a refusal. In soft
    /// mode there is room for all of it.
    pub fn reserve_up_to(&self, bytes: u64) -> u64 {
        let mut wanted_bytes = bytes;
        while wanted_bytes > 0 {
            match self.try_reserve(wanted_bytes) {
                Ok(()) => break,
                // Less than was wanted, or it would not have been refused.
                Err(refused) => {
                    wanted_bytes = refused.quota_bytes.saturating_sub(refused.used_bytes)
                }
            }
        }
        wanted_bytes
    }

    /// Over the quota: lets it through in soft mode.
    #[cold]
    fn reserve_softly(&self, refused: Refused) -> Result<(), Refused> {
        let mode = MemoryMode::from_number(self.tenant.memory_mode.load(Ordering::Relaxed));
        if mode != MemoryMode::Soft {
            return Err(refused);
        }
        let bytes = refused.requested_bytes;
        let used = self.apply(bytes, |used| used.checked_add(bytes).ok_or(refused))?;
        if used > refused.quota_bytes {
            let over_quota = &self.tenant.memory.over_quota;
            over_quota.fetch_add(1, Ordering::Relaxed);
        }
        self.note_peak(used);
        Ok(())
    }

    /// Gives back `bytes` that this process reserved: the driver refused them, or they were freed.
    /// Giving back what was never reserved is a mistake of the caller's; the tenant's use then stops
    /// at zero.
    #[inline]
    pub fn release(&self, bytes: u64) {
        self.settle_difference(bytes.wrapping_neg(), |used| used.saturating_sub(bytes));
    }

    /// Corrects the account by what the driver says it should be. Never refused: the memory is in
    /// use whether the quota allows it or not.
    pub fn adjust(&self, difference_bytes: i64) {
        let used = self.settle_difference(difference_bytes as u64, |used| {
            used.saturating_add_signed(difference_bytes)
        });
        self.note_peak(used);
    }

    /// Bytes the tenant uses.
    #[inline]
    pub fn used_bytes(&self) -> u64 {
        self.tenant.used.bytes()
    }

    /// Bytes the tenant may still reserve; `u64::MAX - used` if it has no quota.
    #[inline]
    pub fn free_bytes(&self) -> u64 {
        let quota_bytes = self.tenant.quota_bytes.load(Ordering::Relaxed);
        quota_bytes.saturating_sub(self.used_bytes())
    }

    /// True if the tenant uses more than its quota and may not.
    pub fn is_over_quota(&self) -> bool {
        let mode = MemoryMode::from_number(self.tenant.memory_mode.load(Ordering::Relaxed));
        mode != MemoryMode::Soft && self.used_bytes() > self.quota_bytes()
    }

    /// The tenant's quota in bytes; `u64::MAX` is none.
    #[inline]
    pub fn quota_bytes(&self) -> u64 {
        self.tenant.quota_bytes.load(Ordering::Relaxed)
    }

    /// Bytes this process is answerable for; while other threads work, as of some instant for each.
    pub fn slot_bytes(&self) -> u64 {
        slot_bytes(self.layout, self.slot)
    }

    #[inline]
    fn settle_difference(&self, delta: u64, after: impl Fn(u64) -> u64) -> u64 {
        let result = self.apply(delta, |used| Ok::<_, std::convert::Infallible>(after(used)));
        let Ok(used) = result;
        used
    }

    #[inline]
    fn apply<E>(&self, delta: u64, admit: impl Fn(u64) -> Result<u64, E>) -> Result<u64, E> {
        let held = self.locks.take();
        let account = Account {
            word: &self.tenant.used,
            cells: self.layout,
        };
        let id = CellId {
            slot: self.slot.0,
            cell: held.cell,
        };
        account.apply(id, delta, admit)
    }

    #[inline]
    fn note_peak(&self, used_bytes: u64) {
        let peak = &self.tenant.memory.peak_bytes;
        // Relaxed: a number for people.
        if used_bytes > peak.load(Ordering::Relaxed) {
            peak.fetch_max(used_bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes the process in `slot` is answerable for, as of about now; for the operator's tools.
pub fn slot_bytes(layout: &RegionLayout, slot: SlotIndex) -> u64 {
    // Less than nothing is a process's mistake in the middle of being made.
    (account::slot_sum(layout, slot.0) as i64).max(0) as u64
}

/// Gives back what the dead process in `slot` held of `tenant`; gives how much. The caller has the
/// slot's work lock.
pub(crate) fn recover(layout: &RegionLayout, tenant: TenantIndex, slot: SlotIndex) -> u64 {
    let tenant = &layout.tenants[tenant.0 as usize];
    let account = Account {
        word: &tenant.used,
        cells: layout,
    };
    let bytes = account.recover(slot.0);
    if bytes != 0 {
        // Relaxed: a number for people; a recovery killed just here is not in it.
        tenant
            .memory
            .reclaimed_bytes
            .fetch_add(bytes, Ordering::Relaxed);
    }
    bytes
}
