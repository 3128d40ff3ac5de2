//! Whose view a question about a device is answered from, whether or not this process uses the device.
//!
//! A process that made a context on the device has an account there. A program that only asks the
//! management library (a monitor) never does, and gets none: it reads its tenant's account
//! in the device's region, if there is one, and else what the policy and the environment say the tenant
//! would get. A process that nobody gave to a tenant, an operator's on the host, sees the device as it is.
//!
//! The region is looked for at most once in [`LOOK_EVERY`] while there is none, and kept once found.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fcsp_core::policy::{EnvSettings, Limited, Policy, resolve, tenant_name};
use fcsp_core::region::layout::Tenant;
use fcsp_core::region::{Region, TenantIndex, list, run_dir, scan, tenant};
use fcsp_core::sync;

use crate::device::{self, DEVICES_MAX, Device};
use crate::driver::Driver;
use crate::memory::pool::settle::settle_all;

/// How often a region that does not exist is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How a tenant is named by default outside of containers; see [`tenant_name::default_for`].
const LONE_JOB: &str = "job-";

/// A device as a tenant sees it.
pub enum View {
    /// This process has an account on it.
    Attached(&'static Device),
    /// This process has none, but belongs to a tenant.
    Watched(&'static Watched),
}

/// A device that this process asks about without using it.
pub struct Watched {
    id: String,
    /// Quota by policy and environment; holds while no process of the tenant is on the device.
    quota_bytes: Option<u64>,
    /// The device's region, once there is one.
    region: AtomicPtr<Region>,
    /// When it was last looked for, nanoseconds after [`OwnTenant::since`].
    looked_ns: AtomicU64,
}

/// Use of a device so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Device time charged to the tenant, nanoseconds.
    pub own_ns: u64,
    /// Device time charged to all tenants, nanoseconds.
    pub all_ns: u64,
    /// What the tenant may have now, millionths of the device.
    pub share_ppm: u32,
}

/// What this process is.
struct OwnTenant {
    name: String,
    /// True if it has its name by default and was given no limits: then it is somebody's tenant only if
    /// a region knows the name, from the process that started it, say.
    unclaimed: bool,
    env: EnvSettings,
    policy: Option<Policy>,
    since: Instant,
}

static WATCHED: [AtomicPtr<Watched>; DEVICES_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; DEVICES_MAX];

/// What this process is; found out once.
fn own_tenant() -> &'static OwnTenant {
    static TENANT: OnceLock<OwnTenant> = OnceLock::new();
    TENANT.get_or_init(|| {
        let (env, _) = EnvSettings::from_process();
        let name = env.tenant.clone().unwrap_or_else(tenant_name::from_process);
        let limited = (0..DEVICES_MAX as u32).any(|at| env.memory(at).is_some());
        OwnTenant {
            policy: Policy::find().ok().flatten(),
            since: Instant::now(),
            unclaimed: name.starts_with(LONE_JOB) && !limited,
            name,
            env,
        }
    })
}

/// What the management library says of a device that this process does not use.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// The number that the driver would give the device in this process, by which settings may name it.
    pub ordinal: u32,
    /// What programs can allocate on it, bytes.
    pub total_bytes: u64,
}

/// The view of the device with that identity; `describe` asks the management library about it.
pub fn view_of(id: &str, describe: impl FnOnce() -> Option<Described>) -> Option<View> {
    if let Some(device) = device::by_id(id) {
        return Some(View::Attached(device));
    }
    watched(id, describe).map(View::Watched)
}

/// The entry of a device, made if it is new.
fn watched(id: &str, describe: impl FnOnce() -> Option<Described>) -> Option<&'static Watched> {
    let tenant = own_tenant();
    let mut made: *mut Watched = ptr::null_mut();
    let mut describe = Some(describe);
    for place in &WATCHED {
        let mut here = place.load(Ordering::Acquire);
        if here.is_null() {
            if made.is_null() {
                made = Box::into_raw(Box::new(Watched::new(tenant, id, describe.take()?()?)));
            }
            // Release publishes the entry; a thread that was faster may have made the same one.
            here = place
                .compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire)
                .map_or_else(|theirs| theirs, |_| made);
        }
        // SAFETY: entries are made above and live for ever.
        let here: &Watched = unsafe { &*here };
        if here.id == id {
            // One that another thread was faster with is left behind, once at most for each device.
            return Some(here);
        }
    }
    None
}

impl Watched {
    fn new(tenant: &OwnTenant, id: &str, described: Described) -> Self {
        let device = Limited {
            id,
            ordinal: described.ordinal,
            total_bytes: described.total_bytes,
        };
        let resolved = resolve(&tenant.name, device, tenant.policy.as_ref(), &tenant.env);
        Self {
            id: id.to_owned(),
            quota_bytes: resolved.limits.quota_bytes.filter(|_| !tenant.unclaimed),
            region: AtomicPtr::new(ptr::null_mut()),
            looked_ns: AtomicU64::new(0),
        }
    }

    /// The device's region, if there is one.
    fn region(&self) -> Option<&'static Region> {
        let known = self.region.load(Ordering::Acquire);
        if !known.is_null() {
            // SAFETY: put there below, and lives for ever.
            return Some(unsafe { &*known });
        }
        let now_ns = own_tenant().since.elapsed().as_nanos() as u64;
        let looked_ns = self.looked_ns.load(Ordering::Relaxed);
        if looked_ns != 0 && now_ns.saturating_sub(looked_ns) < LOOK_EVERY.as_nanos() as u64 {
            return None;
        }
        self.looked_ns.store(now_ns.max(1), Ordering::Relaxed);
        let found = list(&run_dir().ok()?)
            .ok()?
            .into_iter()
            .filter_map(|(_, region)| region.ok())
            .find(|region| region.device().id == self.id)?;
        let found = Box::into_raw(Box::new(found));
        // Release publishes the region. Of two threads that look at once, one leaves its mapping behind.
        self.region.store(found, Ordering::Release);
        // SAFETY: just made, and never freed.
        Some(unsafe { &*found })
    }

    /// The tenant's page, if one of its processes is or was on the device.
    fn tenant(&self) -> Option<(&'static Region, TenantIndex)> {
        let region = self.region()?;
        // Found anew each time: a tenant that nobody uses may be removed, and its page pass to another.
        Some((region, tenant::find(region, &own_tenant().name)?))
    }
}

impl View {
    /// What the tenant may have and has left, if it has a quota.
    pub fn quota_and_free<D: Driver>(&self) -> Option<(u64, u64)> {
        let (quota_bytes, used_bytes) = match self {
            Self::Attached(device) => {
                settle_all::<D>();
                (device.quota_bytes()?, device.ledger().used_bytes())
            }
            Self::Watched(watched) => match watched.tenant() {
                Some((region, index)) => {
                    let page = region.tenant(index);
                    // Relaxed: a limit that changes holds for whoever reads it next.
                    let quota_bytes = page.quota_bytes.load(sync::Ordering::Relaxed);
                    let limited = Some(quota_bytes).filter(|quota| *quota != u64::MAX);
                    (limited?, page.used.bytes())
                }
                None => (watched.quota_bytes?, 0),
            },
        };
        Some((quota_bytes, quota_bytes.saturating_sub(used_bytes)))
    }

    /// Device time charged to the tenant and to all, and what it may have; nothing while nobody shares
    /// the device with the tenant, or by a region at all.
    pub fn usage(&self) -> Option<Usage> {
        let (region, tenant): (&Region, _) = match self {
            Self::Attached(device) => {
                (device.attachment.region(), device.attachment.tenant_index())
            }
            Self::Watched(watched) => watched.tenant()?,
        };
        // Relaxed throughout: figures for people, each on its own.
        let own = scan::live_slots(region.layout()).filter(|it| it.tenant() == tenant);
        let passes: Vec<bool> = own
            .map(|it| it.slot.gate.gated.load(sync::Ordering::Relaxed) == 0)
            .collect();
        if !passes.is_empty() && passes.iter().all(|passes| *passes) {
            return None;
        }
        let tenants = &region.layout().tenants;
        let charged = |page: &Tenant| page.compute.device_ns.load(sync::Ordering::Relaxed);
        let page = region.tenant(tenant);
        Some(Usage {
            own_ns: charged(page),
            all_ns: tenants.iter().map(charged).sum(),
            share_ppm: page.compute.share_ppm.load(sync::Ordering::Relaxed),
        })
    }

    /// Process ids, in this process's own namespace, of the tenant's processes on the device; this one
    /// is always among them. `None` where nobody shares the device by a region, and for an operator's.
    pub fn own_pids(&self) -> Option<Vec<u32>> {
        let (region, tenant): (&Region, _) = match self {
            Self::Attached(device) => {
                let attachment = device.attachment;
                (attachment.region(), Some(attachment.tenant_index()))
            }
            Self::Watched(watched) => {
                let region = watched.region()?;
                let tenant = watched.tenant().map(|(_, index)| index);
                if tenant.is_none() && own_tenant().unclaimed {
                    return None;
                }
                (region, tenant)
            }
        };
        let namespace = tenant_name::pid_namespace();
        let mut pids = vec![std::process::id()];
        // Relaxed: a process that comes or goes meanwhile may be among them or not.
        let ours = scan::live_slots(region.layout())
            .filter(|it| Some(it.tenant()) == tenant)
            .filter(|it| Some(it.slot.pid_namespace.load(sync::Ordering::Relaxed)) == namespace)
            .map(|it| it.slot.pid.load(sync::Ordering::Relaxed));
        pids.extend(ours);
        Some(pids)
    }
}

/// Place of a device among those that a variable of the vendor's names by index or beginning of identity, separated by
/// commas; its index if it is not among them.
pub fn visible_place(visible: &str, id: &str, index: u32) -> u32 {
    let names_it = |name: &str| {
        let name = name.trim();
        match name.parse::<u32>() {
            Ok(number) => number == index,
            Err(_) => !name.is_empty() && id.starts_with(name),
        }
    };
    let place = visible.split(',').position(names_it);
    place.map_or(index, |place| place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_numbered_as_the_driver_numbers_it() {
        let id = "id-12345678-0000";
        assert_eq!(visible_place("3,2", id, 2), 1);
        assert_eq!(visible_place("id-9, id-1234", id, 5), 1);
        assert_eq!(visible_place("7", id, 5), 5, "not visible");
        assert_eq!(visible_place("", id, 5), 5);
    }
}
