//! Attaching a device: whose limits hold, the region, a slot in it, and what the log says of it. Called once
//! per device ([`crate::device`]), by the thread that makes a context: the program waits for it.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fcsp_core::ledger::live::LiveMap;
use fcsp_core::policy::{
    EnvSettings, Fail, Limited, Limits, Policy, PolicyError, resolve, tenant_name,
};
use fcsp_core::region::{Attachment, Region, existing_run_dir, liveness, run_dir, scan, sharing};
use fcsp_core::sched::observer::Bench;
use fcsp_core::sched::producer::Producer;
use fcsp_gate::Pages;
use fcsp_preload::log;

use crate::activity::Activity;
use crate::device::Device;
use crate::driver::Driver;
use crate::observe;
use crate::steps::Steps;

/// Whether somebody said that programs must not run without limits: the environment, the policy, or
/// the last good policy if this one cannot be read.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// True if programs must not run without limits, as far as is known.
pub fn fails_closed() -> bool {
    CLOSED.load(Ordering::Acquire)
}

fn close_if(closed: bool) {
    if closed {
        CLOSED.store(true, Ordering::Release);
    }
}

/// Everything about attaching, with what can go wrong as text for the operator.
///
/// # Errors
/// If the device cannot be limited.
pub fn make<D: Driver>(
    ordinal: i32,
    id: String,
    steps: &mut Steps,
) -> Result<&'static Device, String> {
    let (env, mistakes) = EnvSettings::from_process();
    close_if(env.fail == Some(Fail::Closed));
    let policy = Policy::find();
    if let Ok(Some(policy)) = &policy {
        close_if(policy.fail == Some(Fail::Closed));
    }
    steps.done("policy");
    let text = |error: fcsp_core::region::RegionError| error.to_string();
    let region = Arc::new(match known_region::<D>(ordinal, &id) {
        Some(region) => region,
        None => new_region::<D>(ordinal, &id)?,
    });
    steps.done("region");
    let policy = current_policy(&region, policy)?;
    let tenant = env.tenant.clone().unwrap_or_else(tenant_name::from_process);
    let device = region.device();
    let resolved = resolve(
        &tenant,
        Limited {
            id: &device.id,
            ordinal: ordinal as u32,
            total_bytes: device.total_bytes,
        },
        policy.as_ref(),
        &env,
    );
    close_if(resolved.limits.fail == Fail::Closed);
    for mistake in mistakes {
        if fails_closed() {
            return Err(mistake.to_string());
        }
        log::warn!("{mistake}; it is ignored");
    }
    for note in &resolved.notes {
        log::warn!("tenant {tenant}: {note}");
    }
    steps.done("limits");
    let attachment =
        Attachment::join(&region, &tenant, |page| resolved.limits.store(page)).map_err(text)?;
    let known = Limits::load(attachment.tenant());
    if known != resolved.limits && is_first_of_tenant(&attachment) {
        // Whoever was there before is gone, and with it what it asked for.
        resolved.limits.store(attachment.tenant());
    }
    note_policy(&attachment, ordinal, &id, policy.as_ref());
    steps.done("slot");
    // For the life of the process: others reclaim the slot when it is gone.
    let attachment: &'static Arc<Attachment> = Box::leak(Box::new(Arc::new(attachment)));
    let layout = attachment.region().layout();
    let me = attachment.slot_index();
    let bench: &'static Bench = Box::leak(Box::default());
    // Gated until the arbiter says otherwise: so it learns of us with our first submission.
    attachment.slot().gate.gated.store(1, Ordering::Release);
    attachment
        .slot()
        .gate
        .segment_us
        .store(1_000, Ordering::Release);
    let device: &'static Device = Box::leak(Box::new(Device {
        ordinal,
        producer: Producer::new(layout, me.0 as usize, bench),
        pages: Pages::new(attachment.page()),
        overhead_bytes: AtomicU64::new(0),
        leaving_bytes: AtomicU64::new(0),
        graphs: Mutex::default(),
        activity: Activity::new(),
        had_context: AtomicBool::new(false),
        allocations: LiveMap::new(),
        id,
        attachment,
    }));
    note_partition(attachment, D::partition_percent());
    steps.done("gate");
    observe::start::<D>(device, attachment, bench)
        .map_err(|error| format!("no thread could be started: {error}"))?;
    steps.done("thread");
    D::tell_sharing(attachment, &device.id);
    Ok(device)
}

/// The region of the device, if somebody made it already; it says what would have to be asked of the driver
/// otherwise. What is wrong with it is told by [`new_region`].
fn known_region<D: Driver>(ordinal: i32, id: &str) -> Option<Region> {
    let region = Region::find(&existing_run_dir()?, D::VENDOR, id).ok()??;
    Some(region.used_as(D::sharing_mode(ordinal)))
}

/// The region of a device that was never used in this run directory.
fn new_region<D: Driver>(ordinal: i32, id: &str) -> Result<Region, String> {
    let info = D::describe(ordinal, id.to_owned()).map_err(|error| error.to_string())?;
    run_dir()
        .and_then(|run_dir| Region::create_or_open(&run_dir, &info))
        .map_err(|error| error.to_string())
}

/// The policy to go by. One that cannot be read is none, and what the last good one said about
/// failing still holds.
fn current_policy(
    region: &Region,
    policy: Result<Option<Policy>, PolicyError>,
) -> Result<Option<Policy>, String> {
    let fail = &region.layout().header.fail;
    match policy {
        Ok(policy) => {
            let says = policy
                .as_ref()
                .and_then(|policy| policy.fail)
                .unwrap_or_default();
            fail.store(says as u32, Ordering::Relaxed);
            Ok(policy)
        }
        Err(error) => {
            close_if(Fail::from_number(fail.load(Ordering::Relaxed)) == Fail::Closed);
            if fails_closed() {
                return Err(error.to_string());
            }
            log::error!(
                "{error}; limits come from the environment, and tenants at work keep theirs"
            );
            Ok(None)
        }
    }
}

/// Notes in the region what the policy says about the device and about all tenants. Without a policy what another
/// program's said holds, as long as there is another.
fn note_policy(attachment: &Attachment, ordinal: i32, id: &str, policy: Option<&Policy>) {
    let layout = attachment.region().layout();
    let (sharing, classes) = match policy {
        Some(policy) => (
            policy.sharing_on(&[id, &ordinal.to_string()]),
            policy.classes,
        ),
        None if scan::live_slots(layout).any(|it| it.index != attachment.slot_index()) => return,
        None => Default::default(),
    };
    sharing::want(layout, sharing);
    classes.store(layout);
}

/// Tells the arbiter how large the partition of this process is: what confines it need not be kept in time.
fn note_partition(attachment: &Attachment, percent: Option<u32>) {
    let place = &attachment.slot().partition_percent;
    place.store(percent.unwrap_or(0), Ordering::Relaxed);
}

/// True if no other process of the tenant lives.
fn is_first_of_tenant(attachment: &Attachment) -> bool {
    let region = attachment.region();
    scan::live_slots(region.layout())
        .filter(|found| found.index != attachment.slot_index())
        .filter(|found| found.tenant() == attachment.tenant_index())
        .all(|found| liveness::verdict(region, found.index) == liveness::Liveness::Dead)
}
