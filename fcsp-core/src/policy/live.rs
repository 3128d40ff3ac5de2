//! Changes to the limits of tenants that live: planned, checked together, then made.
//!
//! The operator's tools come here (`fcsp set`, `fcsp policy apply`). Whoever makes a change holds
//! [`LimitsLock`] from before it reads the limits until it has written them, so that of two changes
//! at the same instant neither undoes the other. Programs read limits without any lock.

use super::memory::show_bytes;
use super::{Limits, Mode, Policy, Share};
use crate::region::{LimitsLock, Region, RegionError, TenantIndex, scan, sharing};
use crate::sync::Ordering::Relaxed;

/// A change of one tenant on one device, not yet made.
#[derive(Debug)]
pub struct Change<'a> {
    region: &'a Region,
    index: TenantIndex,
    /// Name of the tenant.
    pub tenant: String,
    /// Limits before.
    pub before: Limits,
    /// Limits after.
    pub after: Limits,
}

/// What would be promised and could not be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// A strict tenant without compute.
    #[error(
        "{tenant} would be strict and have no compute: it could never run; give it compute or \
         another mode"
    )]
    NeverRuns {
        /// Which tenant.
        tenant: String,
    },
    /// More strict compute than the device has.
    #[error(
        "strict compute on {device} would add up to {percent}%; strict shares are promises and \
         cannot pass 100%. Nothing was changed"
    )]
    StrictBeyondDevice {
        /// Which device.
        device: String,
        /// The sum.
        percent: String,
    },
}

impl<'a> Change<'a> {
    /// What `change` makes of the tenant's limits as they are now. `lock` is the region's.
    pub fn plan(
        region: &'a Region,
        _lock: &LimitsLock,
        index: TenantIndex,
        change: impl FnOnce(&str, Limits) -> Limits,
    ) -> Self {
        let page = region.tenant(index);
        let (tenant, before) = (page.name.read(), Limits::load(page));
        let after = change(&tenant, before);
        Self {
            region,
            index,
            tenant,
            before,
            after,
        }
    }

    /// Writes the limits and wakes the arbiter. The lock under which it was planned is still held.
    pub fn make(&self) {
        self.after.store(self.region.tenant(self.index));
        self.region.ring();
    }

    /// True if the tenant gets other limits, and not only the same ones from another edition.
    pub fn is_felt(&self) -> bool {
        let edition = self.before.edition;
        self.before
            != Limits {
                edition,
                ..self.after
            }
    }

    /// The region.
    pub fn region(&self) -> &'a Region {
        self.region
    }

    /// The differences, as `compute 25% -> 60%, memory 8 GiB -> 4 GiB`; `unchanged` if there are none.
    pub fn describe(&self) -> String {
        let (before, after) = (&self.before, &self.after);
        let quota = |quota: Option<u64>| quota.map_or("unlimited".to_owned(), show_bytes);
        let pools = |limits: &Limits| {
            let pools = limits.pools;
            format!("{}/{}/{}", pools.floor, pools.shared, pools.burst)
        };
        let row = |what, show: &dyn Fn(&Limits) -> String| (what, show(before), show(after));
        let rows = [
            row("compute", &|it| it.entitlement.to_string()),
            row("memory", &|it| quota(it.quota_bytes)),
            row("memory-mode", &|it| it.memory_mode.to_string()),
            row("mode", &|it| it.mode.to_string()),
            row("pools", &pools),
            row("burst-max", &|it| it.burst_max.to_string()),
            row("priority", &|it| it.priority.to_string()),
            row("low-priority", &|it| it.low_priority.to_string()),
            row("weight", &|it| it.weight.to_string()),
            row("fail", &|it| it.fail.to_string()),
        ];
        let changed: Vec<String> = rows
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(what, before, after)| format!("{what} {before} -> {after}"))
            .collect();
        if changed.is_empty() {
            "unchanged".to_owned()
        } else {
            changed.join(", ")
        }
    }

    /// What to tell the operator if the tenant uses more than its new quota.
    pub fn over_quota(&self) -> Option<String> {
        let used_bytes = self.region.tenant(self.index).used.bytes();
        let quota_bytes = self.after.quota_bytes.filter(|quota| *quota < used_bytes)?;
        Some(format!(
            "{} uses {} and keeps it, which is more than its quota of {}; it gets no more until it \
             has freed the difference",
            self.tenant,
            show_bytes(used_bytes),
            show_bytes(quota_bytes)
        ))
    }
}

/// Checks what a policy file is checked for: that strict tenants can run, and that what is promised
/// strictly on the device of `region` is there to be given once `changes`, which are all of that
/// region, are made.
///
/// # Errors
/// If not.
pub fn check(region: &Region, changes: &[Change<'_>]) -> Result<(), Impossible> {
    let mut strict_ppm = 0;
    for (index, tenant) in scan::live_tenants(region.layout()) {
        let change = changes.iter().find(|change| change.index == index);
        let limits = change.map_or_else(|| Limits::load(tenant), |change| change.after);
        if limits.mode != Mode::Strict {
            continue;
        }
        if limits.entitlement.is_zero() {
            return Err(Impossible::NeverRuns {
                tenant: tenant.name.read(),
            });
        }
        strict_ppm += u64::from(limits.entitlement.ppm());
    }
    if strict_ppm > u64::from(Share::WHOLE.ppm()) {
        return Err(Impossible::StrictBeyondDevice {
            device: region.device().id,
            percent: (strict_ppm as f64 / 10_000.0).to_string(),
        });
    }
    Ok(())
}

/// Puts a policy file in force for the live tenants of `regions` that it `concerns`: for all of
/// them, or, if what it says cannot be, for none. `ordinal` gives the number of a device by its
/// identity, for what the file says by number. Blocks as [`Region::lock_limits`].
///
/// # Errors
/// If what it says cannot be given beside what the others have, or the regions cannot be locked.
pub fn put_in_force<'a>(
    policy: &Policy,
    regions: &'a [Region],
    ordinal: &dyn Fn(&str) -> Option<u32>,
    concerns: &dyn Fn(&Limits) -> bool,
) -> Result<Vec<Change<'a>>, NotInForce> {
    let locks = lock(regions)?;
    let mut planned = Vec::new();
    for (region, lock) in regions.iter().zip(&locks) {
        let device = region.device();
        let ordinal = ordinal(&device.id);
        let changes: Vec<Change<'_>> = scan::live_tenants(region.layout())
            .filter(|(_, page)| concerns(&Limits::load(page)))
            .map(|(index, _)| {
                Change::plan(region, lock, index, |name, limits| {
                    policy.amend(name, ordinal, &device, limits)
                })
            })
            .collect();
        check(region, &changes)?;
        planned.extend(changes);
    }
    for region in regions {
        let fail = policy.fail.unwrap_or_default();
        // Relaxed: a number alone.
        region.layout().header.fail.store(fail.number(), Relaxed);
        let id = region.device().id;
        let number = ordinal(&id).map(|ordinal| ordinal.to_string());
        let keys: Vec<&str> = [Some(id.as_str()), number.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        sharing::want(region.layout(), policy.sharing_on(&keys));
        policy.classes.store(region.layout());
        region.ring();
    }
    for change in planned.iter().filter(|it| it.before != it.after) {
        change.make();
    }
    Ok(planned)
}

/// Why a policy file was not put in force.
#[derive(Debug, thiserror::Error)]
pub enum NotInForce {
    /// It promises what cannot be given.
    #[error("the file cannot be put in force: {0}")]
    Impossible(#[from] Impossible),
    /// A region cannot be used.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// The locks of several regions, taken in their order: whoever takes them in the order of
/// [`crate::region::list`] waits for nobody who waits for it.
///
/// # Errors
/// As [`Region::lock_limits`].
pub fn lock<'a>(
    regions: impl IntoIterator<Item = &'a Region>,
) -> Result<Vec<LimitsLock>, RegionError> {
    regions.into_iter().map(Region::lock_limits).collect()
}
