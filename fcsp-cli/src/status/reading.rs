//! What the regions hold at an instant, and what follows from two instants.

use super::drivers::Drivers;
use super::sharing;
use crate::regions::Regions;
use fcsp_core::ledger;
use fcsp_core::policy::{Limits, Sharing, tenant_name};
use fcsp_core::region::layout::{Slot, Tenant};
use fcsp_core::region::scan::SlotRef;
use fcsp_core::region::{Region, TenantIndex, reclaim, scan};
use fcsp_core::sched::class::{CLASSES, Class};
use fcsp_core::sched::clock::now_ns;
use fcsp_core::sched::gang;
use fcsp_core::sync::Ordering::Relaxed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Device time charged so far, and when that was read.
pub struct Reading {
    at: Instant,
    device_ns: BTreeMap<(PathBuf, Who), u64>,
    /// Of processes: expected device time of what they submitted, by class.
    classes_ns: BTreeMap<(PathBuf, Who), [u64; CLASSES]>,
}

/// Whose device time: a tenant by name, or a process by slot and generation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Tenant(String),
    Process(u32, u32),
}

/// Everything that is shown.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Where the regions are.
    pub run_dir: PathBuf,
    /// Seconds over which `received` was measured.
    pub interval_s: f64,
    /// Devices with a region.
    pub regions: Vec<RegionStatus>,
    /// Regions that cannot be used.
    pub unusable: Vec<Unusable>,
}

/// A region that cannot be used.
#[derive(Debug, Serialize)]
pub struct Unusable {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub error: String,
}

/// One device.
#[derive(Debug, Serialize)]
pub struct RegionStatus {
    /// File of the region.
    pub path: PathBuf,
    /// The device.
    pub device: Device,
    /// Bytes in use by all tenants.
    pub used_bytes: u64,
    /// Where jobs span several devices: who leads the order of turns, and whose jobs.
    pub group: Option<Group>,
    /// Turns that passed from one tenant to another since the region was made.
    pub handoffs: u64,
    /// What this look gave back from processes that are gone.
    pub reclaimed: Option<Reclaimed>,
    /// Its tenants.
    pub tenants: Vec<TenantStatus>,
}

/// Devices that take turns together, because jobs span them.
#[derive(Debug, Serialize)]
pub struct Group {
    /// Identity of the device that leads.
    pub leader: String,
    /// Identities of its other devices.
    pub others: Vec<String>,
    /// Tenants here whose jobs span devices.
    pub jobs: Vec<String>,
}

/// A device as its region describes it.
#[derive(Debug, Serialize)]
pub struct Device {
    /// Identity.
    pub id: String,
    /// Name.
    pub name: String,
    /// Vendor.
    pub vendor: &'static str,
    /// Whether it is a simulated one.
    pub simulated: bool,
    /// Memory of the whole device.
    pub total_bytes: u64,
    /// `exclusive` or `concurrent`: what is in force.
    pub sharing: &'static str,
    /// What decides that.
    pub sharing_because: String,
    /// What the policy wants: `auto`, `exclusive` or `concurrent`.
    pub sharing_wanted: &'static str,
    /// Bytes in use on the whole device as its driver says; `null` if no driver answers.
    pub driver_used_bytes: Option<u64>,
    /// Share of the last sample period in which a kernel ran, as the driver says; drivers renew it
    /// a few times a second.
    pub driver_busy: Option<f64>,
}

/// What was given back.
#[derive(Debug, Serialize)]
pub struct Reclaimed {
    /// From how many processes.
    pub processes: u64,
    /// How much memory.
    pub bytes: u64,
}

/// One tenant on one device. Shares are fractions of the device.
#[derive(Debug, Serialize)]
pub struct TenantStatus {
    /// Name.
    pub name: String,
    /// Isolation mode.
    pub mode: &'static str,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
    /// What a low priority means: `floor` or `pause`.
    pub low_priority: &'static str,
    /// Its part of what tenants with an entitlement leave, relative to others without; `null` if it
    /// has an entitlement.
    pub weight: Option<u32>,
    /// Entitlement; 0 if none was given.
    pub entitled: f64,
    /// Share it may have with those active now.
    pub share_now: f64,
    /// Share received during the interval; `null` while it runs unmetered.
    pub received: Option<f64>,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Quota; `null` if there is none.
    pub quota_bytes: Option<u64>,
    /// `hard` or `soft`.
    pub memory_mode: &'static str,
    /// Most bytes ever in use at once.
    pub peak_bytes: u64,
    /// Requests refused.
    pub refused: u64,
    /// Requests let through over the quota in soft mode.
    pub over_quota: u64,
    /// Bytes given back from processes that are gone.
    pub reclaimed_bytes: u64,
    /// Whether a policy file names it.
    pub named_in_policy: bool,
    /// What its work was during the interval, as far as it was metered: parts of expected device time, the largest first.
    pub work: Vec<WorkPart>,
    /// Its processes.
    pub processes: Vec<ProcessStatus>,
}

/// How much of a tenant's work is of one class.
#[derive(Debug, Serialize)]
pub struct WorkPart {
    /// `attention`, `feed-forward`, `copy`, `graph` or `other`.
    pub class: &'static str,
    /// Its part of the tenant's work, 0 to 1.
    pub part: f64,
}

/// One process on one device.
#[derive(Debug, Serialize)]
pub struct ProcessStatus {
    /// Process id in the process's own PID namespace.
    pub pid: u32,
    /// Whether that is also ours, so that the id means something here.
    pub same_pid_namespace: bool,
    /// First bytes of the command's name.
    pub command: String,
    /// Bytes it holds.
    pub used_bytes: u64,
    /// Share of the device received during the interval.
    pub received: f64,
}

impl Reading {
    /// Reads the device time of everybody.
    pub fn of(regions: &Regions) -> Self {
        let mut device_ns = BTreeMap::new();
        let mut classes_ns = BTreeMap::new();
        for region in &regions.usable {
            let mut note = |who, ns| device_ns.insert((region.path().to_owned(), who), ns);
            for (_, tenant) in scan::live_tenants(region.layout()) {
                note(
                    Who::Tenant(tenant.name.read()),
                    tenant.compute.device_ns.load(Relaxed),
                );
            }
            for found in scan::live_slots(region.layout()) {
                note(
                    process(found.index.0, found.slot),
                    found.slot.compute.device_ns.load(Relaxed),
                );
                let key = (region.path().to_owned(), process(found.index.0, found.slot));
                let totals = std::array::from_fn(|at| found.slot.classes_ns[at].load(Relaxed));
                classes_ns.insert(key, totals);
            }
        }
        Self {
            at: Instant::now(),
            device_ns,
            classes_ns,
        }
    }

    /// What the regions hold now, with what was received since `before`. Gives back what dead
    /// processes held.
    pub fn since(&self, before: &Self, regions: &Regions, drivers: &Drivers) -> Status {
        let interval_s = (self.at - before.at).as_secs_f64();
        Status {
            run_dir: regions.run_dir.clone(),
            interval_s,
            regions: regions
                .usable
                .iter()
                .map(|region| {
                    Look {
                        now: self,
                        before,
                        region,
                        interval_s,
                    }
                    .region_status(drivers)
                })
                .collect(),
            unusable: regions
                .unusable
                .iter()
                .map(|(path, error)| Unusable {
                    path: path.clone(),
                    error: error.to_string(),
                })
                .collect(),
        }
    }
}

fn process(slot: u32, page: &Slot) -> Who {
    Who::Process(slot, page.generation.load(Relaxed))
}

/// One region, seen at two instants.
struct Look<'a> {
    now: &'a Reading,
    before: &'a Reading,
    region: &'a Region,
    interval_s: f64,
}

impl Look<'_> {
    fn region_status(&self, drivers: &Drivers) -> RegionStatus {
        // A look must not fail because the dead cannot be buried.
        let reclaimed = reclaim::reclaim_dead(self.region).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            reclaim::Reclaimed::default()
        });
        let layout = self.region.layout();
        let device = self.region.device();
        let telemetry = drivers.telemetry(&device);
        let (sharing, sharing_because) = sharing::explain(self.region);
        let sharing_wanted = layout.header.sharing_wanted.load(Relaxed);
        let mut tenants: Vec<TenantStatus> = scan::live_tenants(layout)
            .map(|(index, tenant)| self.tenant_status(index, tenant))
            .collect();
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        RegionStatus {
            path: self.region.path().to_owned(),
            used_bytes: tenants.iter().map(|tenant| tenant.used_bytes).sum(),
            group: gang::seen(self.region, now_ns()).map(|seen| Group {
                leader: seen.leader,
                others: seen.others,
                jobs: seen.jobs,
            }),
            handoffs: layout.header.arbiter.handoffs.load(Relaxed),
            reclaimed: (reclaimed.slots > 0).then_some(Reclaimed {
                processes: reclaimed.slots as u64,
                bytes: reclaimed.bytes,
            }),
            device: Device {
                id: device.id,
                name: device.name,
                vendor: device.vendor.name(),
                simulated: device.simulated,
                total_bytes: device.total_bytes,
                sharing,
                sharing_because,
                sharing_wanted: Sharing::from_number(sharing_wanted).word(),
                driver_used_bytes: telemetry.used_bytes,
                driver_busy: telemetry.busy,
            },
            tenants,
        }
    }

    fn tenant_status(&self, index: TenantIndex, tenant: &Tenant) -> TenantStatus {
        let limits = Limits::load(tenant);
        let name = tenant.name.read();
        let mut gated = false;
        let mut processes = Vec::new();
        let mut classes_ns = [0; CLASSES];
        for found in scan::live_slots(self.region.layout()).filter(|it| it.tenant() == index) {
            gated |= found.slot.gate.gated.load(Relaxed) != 0;
            for (sum, ns) in classes_ns.iter_mut().zip(self.classes_ns(&found)) {
                *sum += ns;
            }
            let namespace = found.slot.pid_namespace.load(Relaxed);
            processes.push(ProcessStatus {
                pid: found.slot.pid.load(Relaxed),
                same_pid_namespace: tenant_name::pid_namespace() == Some(namespace),
                command: found.slot.command.read(),
                used_bytes: ledger::slot_bytes(self.region.layout(), found.index),
                received: self.received(process(found.index.0, found.slot)),
            });
        }
        let received = self.received(Who::Tenant(name.clone()));
        // Without a gate nothing is charged: zero would be no measurement.
        let metered = gated || received > 0.0 || processes.is_empty();
        TenantStatus {
            mode: limits.mode.word(),
            priority: limits.priority.word(),
            low_priority: limits.low_priority.word(),
            weight: limits
                .entitlement
                .is_zero()
                .then_some(limits.weight.number()),
            entitled: limits.entitlement.fraction(),
            share_now: f64::from(tenant.compute.share_ppm.load(Relaxed)) / 1e6,
            received: metered.then_some(received),
            used_bytes: tenant.used.bytes(),
            quota_bytes: limits.quota_bytes,
            memory_mode: limits.memory_mode.word(),
            peak_bytes: tenant.memory.peak_bytes.load(Relaxed),
            refused: tenant.memory.refused.load(Relaxed),
            over_quota: tenant.memory.over_quota.load(Relaxed),
            reclaimed_bytes: tenant.memory.reclaimed_bytes.load(Relaxed),
            named_in_policy: limits.named_in_policy,
            work: parts(classes_ns),
            name,
            processes,
        }
    }

    /// What a process submitted during the interval, by class.
    fn classes_ns(&self, found: &SlotRef<'_>) -> [u64; CLASSES] {
        let key = (
            self.region.path().to_owned(),
            process(found.index.0, found.slot),
        );
        let at = |reading: &Reading| reading.classes_ns.get(&key).copied();
        match (at(self.before), at(self.now)) {
            (Some(before), Some(now)) => {
                std::array::from_fn(|at| now[at].saturating_sub(before[at]))
            }
            _ => [0; CLASSES],
        }
    }

    fn received(&self, who: Who) -> f64 {
        let key = (self.region.path().to_owned(), who);
        let at = |reading: &Reading| reading.device_ns.get(&key).copied();
        match (at(self.before), at(self.now)) {
            // What is new since then is not measured over the whole interval.
            (Some(before), Some(now)) => {
                now.saturating_sub(before) as f64 / 1e9 / self.interval_s.max(1e-3)
            }
            _ => 0.0,
        }
    }
}

/// Each class's part of all, the largest first.
fn parts(classes_ns: [u64; CLASSES]) -> Vec<WorkPart> {
    let sum: u64 = classes_ns.iter().sum();
    let part = |class: Class| WorkPart {
        class: class.word(),
        part: classes_ns[class.place()] as f64 / sum.max(1) as f64,
    };
    let mut parts: Vec<_> = Class::ALL.into_iter().map(part).collect();
    parts.retain(|it| it.part > 0.0);
    parts.sort_by(|a, b| b.part.total_cmp(&a.part));
    parts
}
