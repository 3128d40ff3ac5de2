//! Which devices take turns together, because jobs span them, and which of those leads.
//!
//! A tenant whose processes took part in collectives on several devices of a node spans them. Devices that are
//! linked by such tenants, directly or by others between them, form a group, and the first of a group by
//! the name of its region leads. What its arbiter decides is read from its region; what follows from that is
//! [`super::arbiter`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::ms;
use super::plan::{Lead, View};
use super::view::in_collective;
use crate::region::scan::{live_slots, tenant_of};
use crate::region::{Region, list};
use crate::sync::Ordering;

/// How often to look which devices form a group: some 30 µs for each region of the node.
const LOOK_EVERY_NS: u64 = ms(500);
/// A process's last collective so long ago no longer links its device with others.
const LINKS_NS: u64 = ms(10_000);

/// Whether a process whose last collective began at `collective_ns` belongs to a job that spans devices.
pub fn links(collective_ns: u64, now_ns: u64) -> bool {
    collective_ns != 0 && now_ns.saturating_sub(collective_ns) < LINKS_NS
}

/// The group of one device. Its methods take a lock that nobody else takes, and look at files twice a second
/// while programs on the device take part in collectives.
#[derive(Debug)]
pub struct Gang<'a> {
    region: &'a Region,
    group: Mutex<Group>,
}

/// Tenants of a device by name, with their index there.
type Tenants = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct Group {
    looked_ns: u64,
    others: Vec<Other>,
    /// Which of `others` leads; none if this one does.
    leader: Option<usize>,
    /// Index here of the tenant that had the last turn there.
    led: Option<usize>,
}

/// Another device of the group.
#[derive(Debug)]
struct Other {
    region: Region,
    /// Its tenants that are here too: their index there, and here.
    tenants: BTreeMap<usize, usize>,
}

impl<'a> Gang<'a> {
    /// The group of the device behind `region`.
    pub fn new(region: &'a Region) -> Self {
        Self {
            region,
            group: Mutex::default(),
        }
    }

    /// Adds to a view of the device what the others of the group do.
    pub fn look_around(&self, view: &mut View, now_ns: u64) {
        let mut group = self.group();
        if now_ns.saturating_sub(group.looked_ns) >= LOOK_EVERY_NS {
            group.looked_ns = now_ns;
            group.form(self.region, now_ns);
        }
        view.lead = group.lead();
        if view.lead == Lead::Here {
            group.add_peers(view);
        }
    }

    /// Wakes the arbiters of the group's other devices.
    pub fn ring(&self) {
        self.group().others.iter().for_each(|it| it.region.ring());
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn lead(&mut self) -> Lead {
        if self.others.is_empty() {
            return Lead::Nobody;
        }
        let Some(leader) = self.leader.map(|at| &self.others[at]) else {
            return Lead::Here;
        };
        self.led = leader.holder().or(self.led);
        Lead::There(self.led)
    }

    /// Adds to the processes here what those of their tenants do on the other devices.
    fn add_peers(&self, view: &mut View) {
        let peers = self.others.iter().flat_map(Other::peers);
        for (tenant, is_at_work, in_collective) in peers {
            let mut its = view.processes.iter_mut();
            for process in its.by_ref().filter(|it| it.tenant == tenant) {
                process.has_peers_at_work |= is_at_work;
                process.in_collective |= in_collective;
            }
        }
    }

    /// Finds out which devices belong to it now.
    fn form(&mut self, own: &Region, now_ns: u64) {
        let here = linking(own, now_ns);
        let found = match own.path().parent() {
            Some(dir) if !here.is_empty() => list(dir).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut apart: Vec<_> = found
            .into_iter()
            .filter(|(path, _)| path != own.path())
            .filter_map(|(_, region)| region.ok())
            .map(|region| {
                let there = linking(&region, now_ns);
                (region, there)
            })
            .collect();
        let mut names: BTreeSet<String> = here.keys().cloned().collect();
        self.others.clear();
        let is_linked = |names: &BTreeSet<String>, there: &Tenants| {
            there.keys().any(|name| names.contains(name))
        };
        while let Some(at) = apart.iter().position(|(_, it)| is_linked(&names, it)) {
            let (region, there) = apart.swap_remove(at);
            let both = there
                .iter()
                .filter_map(|(name, there)| Some((*there, *here.get(name)?)));
            let tenants = both.collect();
            names.extend(there.into_keys());
            self.others.push(Other { region, tenants });
        }
        let paths = self.others.iter().map(|it| it.region.path()).enumerate();
        let first = paths.min_by_key(|(_, path)| path.to_owned());
        self.leader = first
            .filter(|(_, path)| *path < own.path())
            .map(|(at, _)| at);
        self.led = self.led.filter(|led| here.values().any(|it| it == led));
    }
}

impl Other {
    /// Index here of the tenant whose turn it is there.
    fn holder(&self) -> Option<usize> {
        let layout = self.region.layout();
        // Relaxed: whoever changes it rings.
        let holder = layout.header.arbiter.holder.load(Ordering::Relaxed);
        let pages = layout.slots.get(holder.checked_sub(1)? as usize)?;
        let tenant = tenant_of(&pages.slot).0 as usize;
        self.tenants.get(&tenant).copied()
    }

    /// Processes there of tenants that are here too: index of the tenant here, whether it has work there that is
    /// not over, and whether it is in a collective.
    fn peers(&self) -> impl Iterator<Item = (usize, bool, bool)> + '_ {
        live_slots(self.region.layout()).filter_map(|found| {
            let tenant = *self.tenants.get(&(found.tenant().0 as usize))?;
            // Relaxed: looked at again at the next step.
            let opened = found.slot.queue.opened.load(Ordering::Relaxed);
            let retired = found.slot.compute.retired.load(Ordering::Relaxed);
            Some((tenant, opened != retired, in_collective(found.page)))
        })
    }
}

/// Tenants of a device that took part in collectives lately.
fn linking(region: &Region, now_ns: u64) -> Tenants {
    let layout = region.layout();
    live_slots(layout)
        .filter(|found| {
            let collective_ns = found.slot.queue.collective_ns.load(Ordering::Relaxed);
            links(collective_ns, now_ns)
        })
        .map(|found| {
            let tenant = found.tenant();
            (region.tenant(tenant).name.read(), tenant.0 as usize)
        })
        .collect()
}
