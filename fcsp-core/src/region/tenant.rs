//! Finding, making and removing tenants.
//!
//! A tenant exists once per name. Finding one takes no lock; making and removing are rare and are
//! done under a lock that the kernel gives back if its holder dies. What a killed holder leaves is
//! put right by the next: a tenant in [`TenantState::Making`] was never seen by anybody and is
//! freed, one in [`TenantState::Retiring`] was complete and lives on if a slot refers to it.

use super::layout::{TENANT_NAME_MAX, TENANTS_MAX, Tenant, TenantState, Text};
use super::locks::{Byte, Description};
use super::{Region, RegionError, TenantIndex, scan};
use crate::failpoint::failpoint;
use crate::sync::{Ordering, fence};
use std::time::Duration;

/// How long to wait for another process that makes or removes a tenant: far longer than that takes.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The tenant of that name, if there is one.
pub fn find(region: &Region, name: &str) -> Option<TenantIndex> {
    scan::live_tenants(region.layout())
        .find(|(_, tenant)| tenant.name.is(name))
        .map(|(index, _)| index)
}

/// The tenant of that name; if there is none, one is made and `write_limits` fills in its limits
/// before anybody can see it. A tenant that nobody has joined can be removed at any time: programs
/// join with [`super::Attachment::join`].
///
/// # Errors
/// If the name cannot be one, the table is full, or another process makes or removes a tenant for
/// seconds (it is stopped: a killed one is no obstacle).
pub fn find_or_make(
    region: &Region,
    name: &str,
    write_limits: impl FnOnce(&Tenant),
) -> Result<TenantIndex, RegionError> {
    if let Some(index) = find(region, name) {
        return Ok(index);
    }
    if !Text::<{ TENANT_NAME_MAX / 8 }>::fits(name) {
        return Err(RegionError::Name {
            what: "tenant",
            name: name.to_owned(),
            bytes_max: TENANT_NAME_MAX,
        });
    }
    let _table = lock_table(region)?;
    repair(region);
    if let Some(index) = find(region, name) {
        return Ok(index);
    }
    let words = &region.layout().header.tenants_used.0;
    let index = scan::first_clear(words, 0)
        .or_else(|| {
            retire_idle(region);
            scan::first_clear(words, 0)
        })
        .ok_or_else(|| RegionError::TenantsFull {
            path: region.path().to_owned(),
            max: TENANTS_MAX,
        })?;
    failpoint!("tenant.make.chosen");
    scan::mark(words, index, true);
    failpoint!("tenant.make.marked");
    let index = TenantIndex(index);
    let tenant = region.tenant(index);
    tenant
        .state
        .store(TenantState::Making as u32, Ordering::Relaxed);
    failpoint!("tenant.make.making");
    clear(tenant);
    tenant.name.write(name);
    write_limits(tenant);
    failpoint!("tenant.make.filled");
    // Release: publishes name, limits and zeroed counters to whoever sees the tenant live.
    tenant
        .state
        .store(TenantState::Live as u32, Ordering::Release);
    failpoint!("tenant.make.live");
    Ok(index)
}

/// Removes the tenants that no process is in and that use no memory; gives how many.
///
/// # Errors
/// As [`find_or_make`].
pub fn sweep(region: &Region) -> Result<usize, RegionError> {
    let _table = lock_table(region)?;
    repair(region);
    Ok(retire_idle(region))
}

/// Takes the lock of the table, which ends with the description or its process.
fn lock_table(region: &Region) -> Result<Description, RegionError> {
    let description = region
        .locks
        .description()
        .map_err(RegionError::io("open the lock file of", region.path()))?;
    match description.lock_within(Byte::TENANTS, WAIT_MAX) {
        Ok(true) => Ok(description),
        Ok(false) => Err(RegionError::Busy {
            path: region.path().to_owned(),
            what: "making or removing a tenant",
            waited_ms: WAIT_MAX.as_millis() as u64,
        }),
        Err(source) => Err(RegionError::Io {
            action: "lock the tenants of",
            path: region.path().to_owned(),
            source,
        }),
    }
}

/// Puts right what a killed holder of the lock left. The caller holds the lock.
fn repair(region: &Region) {
    for (index, tenant) in scan::marked_tenants(region.layout()) {
        match TenantState::from_number(tenant.state.load(Ordering::Acquire)) {
            TenantState::Live => {}
            TenantState::Free | TenantState::Making => free(region, index),
            TenantState::Retiring => retire_or_keep(region, index),
        }
    }
}

/// Removes what nobody uses. The caller holds the lock.
fn retire_idle(region: &Region) -> usize {
    let layout = region.layout();
    scan::live_tenants(layout)
        .filter(|(index, tenant)| tenant.used.bytes() == 0 && !is_joined(region, *index))
        .filter(|(index, tenant)| {
            tenant
                .state
                .store(TenantState::Retiring as u32, Ordering::Relaxed);
            failpoint!("tenant.retire.retiring");
            retire_or_keep(region, *index);
            tenant.state.load(Ordering::Relaxed) == TenantState::Free as u32
        })
        .count()
}

fn retire_or_keep(region: &Region, index: TenantIndex) {
    // SeqCst: with the same fence in an attaching process, which names its tenant in its slot before
    // it looks whether the tenant is live: either it sees the tenant retiring and looks for another,
    // or the slot is seen here.
    fence(Ordering::SeqCst);
    let tenant = region.tenant(index);
    if tenant.used.bytes() == 0 && !is_joined(region, index) {
        free(region, index);
    } else {
        // Release: as when it was made; the page has not changed since.
        tenant
            .state
            .store(TenantState::Live as u32, Ordering::Release);
    }
}

fn free(region: &Region, index: TenantIndex) {
    region
        .tenant(index)
        .state
        .store(TenantState::Free as u32, Ordering::Release);
    failpoint!("tenant.retire.freed");
    scan::mark(&region.layout().header.tenants_used.0, index.0, false);
}

/// True if a slot that is not free refers to the tenant.
fn is_joined(region: &Region, index: TenantIndex) -> bool {
    scan::slots(region.layout()).any(|found| found.tenant() == index)
}

/// Sets everything to zero but the ledger's word, whose bytes are zero already and whose tag must
/// not come back to an earlier one.
fn clear(tenant: &Tenant) {
    let limits = [
        &tenant.mode,
        &tenant.entitlement_ppm,
        &tenant.memory_mode,
        &tenant.burst_max_ppm,
        &tenant.fail,
        &tenant.named_in_policy,
        &tenant.priority,
        &tenant.low_priority,
        &tenant.weight,
        &tenant.compute.share_ppm,
        &tenant.compute.ceiling_ppm,
    ];
    for word in limits.into_iter().chain(&tenant.pools_ppm) {
        word.store(0, Ordering::Relaxed);
    }
    for word in [
        &tenant.quota_bytes,
        &tenant.policy_edition,
        &tenant.memory.peak_bytes,
        &tenant.memory.refused,
        &tenant.memory.over_quota,
        &tenant.memory.reclaimed_bytes,
        &tenant.compute.vtime_ns,
        &tenant.compute.device_ns,
    ] {
        word.store(0, Ordering::Relaxed);
    }
    // Never back to an earlier number: a reader of the page's previous tenant must notice.
    tenant.limits_epoch.fetch_add(1, Ordering::Relaxed);
}
