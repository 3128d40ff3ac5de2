//! Which devices take turns together, because jobs span them, and which of those leads.
//!
//! A tenant whose processes took part in collectives on several devices of a node spans them. Devices that are
//! linked by such tenants, directly or by others between them, form a group, and the first of a group by
//! the name of its region leads. What its arbiter decides is read from its region; what follows from that is
//! [`super::arbiter`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::ms;
use super::plan::{Lead, ProcessView, View};
use super::view::in_collective;
use crate::region::scan::{live_slots, live_tenants, tenant_of};
use crate::region::{Region, list};
use crate::sync::Ordering;

/// How often to look which devices form a group: some 30 µs for each region of the node.
const LOOK_EVERY_NS: u64 = ms(500);
/// The same while there is none, although programs take part in collectives, or while tenants have come that are
/// not known yet.
const LOOK_AGAIN_NS: u64 = ms(20);
/// Who leads says so at each of its steps, and makes one at least this often while it has work. A device does not
/// follow one that does not know yet that it leads.
const LEADS_NS: u64 = ms(50);
/// A process's last collective so long ago no longer links its device with others.
const LINKS_NS: u64 = ms(10_000);

/// Whether a process whose last collective began at `collective_ns` belongs to a job that spans devices.
pub fn links(collective_ns: u64, now_ns: u64) -> bool {
    collective_ns != 0 && now_ns.saturating_sub(collective_ns) < LINKS_NS
}

/// What a group is, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Identity of the device that leads.
    pub leader: String,
    /// Identities of the group's other devices, without the one that was asked about.
    pub others: Vec<String>,
    /// Tenants of the device whose jobs span several.
    pub jobs: Vec<String>,
}

/// The group of the device behind `region`, if it is in one. Looks at the other regions' files.
pub fn seen(region: &Region, now_ns: u64) -> Option<Seen> {
    let mut group = Group::default();
    group.form(region, now_ns);
    let leader = group.leader.map_or(region, |at| &group.others[at].region);
    (!group.others.is_empty()).then(|| Seen {
        leader: leader.device().id,
        others: group
            .others
            .iter()
            .map(|it| it.region.device().id)
            .collect(),
        jobs: linking(region, now_ns).into_iter().collect(),
    })
}

/// The group of one device. Its methods take a lock that nobody else takes, and look at files twice a second
/// while programs on the device take part in collectives.
#[derive(Debug)]
pub struct Gang<'a> {
    region: &'a Region,
    group: Mutex<Group>,
}

#[derive(Debug, Default)]
struct Group {
    looked_ns: u64,
    others: Vec<Other>,
    /// Which of `others` leads; none if this one does.
    leader: Option<usize>,
    /// Index here of the tenant that had the last turn there.
    led: Option<usize>,
    /// Tenants here at the last look.
    tenants: usize,
}

/// Another device of the group.
#[derive(Debug)]
struct Other {
    region: Region,
    /// Its tenants at the last look: their index there, and here, if they are here too.
    tenants: BTreeMap<usize, Option<usize>>,
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
        let look_every_ns = if group.is_behind(view, now_ns) {
            LOOK_AGAIN_NS
        } else {
            LOOK_EVERY_NS
        };
        if now_ns.saturating_sub(group.looked_ns) >= look_every_ns {
            group.looked_ns = now_ns;
            group.form(self.region, now_ns);
        }
        view.lead = group.lead(now_ns);
        if view.lead == Lead::Here {
            let led_ns = &self.region.layout().header.arbiter.led_ns;
            led_ns.store(now_ns, Ordering::Relaxed);
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
    /// Whether there may be a group that is not formed yet, or tenants in it that are not known.
    fn is_behind(&self, view: &View, now_ns: u64) -> bool {
        let is_linked = |it: &ProcessView| links(it.collective_ns, now_ns);
        if self.others.is_empty() {
            return view.processes.iter().any(is_linked);
        }
        let mut strangers = self.others.iter().filter(|it| it.has_strangers());
        view.tenants.len() != self.tenants || strangers.next().is_some()
    }

    fn lead(&mut self, now_ns: u64) -> Lead {
        if self.others.is_empty() {
            return Lead::Nobody;
        }
        let Some(leader) = self.leader.map(|at| &self.others[at]) else {
            return Lead::Here;
        };
        self.led = leader.holder().or(self.led);
        Lead::There(self.led.filter(|_| leader.leads(now_ns)))
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
        let here = tenants(own);
        self.tenants = here.len();
        let mut names = linking(own, now_ns);
        let found = match own.path().parent() {
            Some(dir) if !names.is_empty() => list(dir).unwrap_or_default(),
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
        self.others.clear();
        while let Some(at) = apart.iter().position(|(_, it)| !it.is_disjoint(&names)) {
            let (region, linking) = apart.swap_remove(at);
            names.extend(linking);
            let there = tenants(&region).into_iter();
            let tenants = there.map(|(name, there)| (there, here.get(&name).copied()));
            let tenants = tenants.collect();
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
    /// Whether its arbiter knows that it leads.
    fn leads(&self, now_ns: u64) -> bool {
        let led_ns = &self.region.layout().header.arbiter.led_ns;
        now_ns.saturating_sub(led_ns.load(Ordering::Relaxed)) < LEADS_NS
    }

    /// Index here of the tenant whose turn it is there.
    fn holder(&self) -> Option<usize> {
        let layout = self.region.layout();
        // Relaxed: whoever changes it rings.
        let holder = layout.header.arbiter.holder.load(Ordering::Relaxed);
        let pages = layout.slots.get(holder.checked_sub(1)? as usize)?;
        let tenant = tenant_of(&pages.slot).0 as usize;
        self.tenants.get(&tenant).copied().flatten()
    }

    /// Whether processes are there of tenants that were not at the last look.
    fn has_strangers(&self) -> bool {
        let mut found = live_slots(self.region.layout());
        found.any(|it| !self.tenants.contains_key(&(it.tenant().0 as usize)))
    }

    /// Processes there of tenants that are here too: index of the tenant here, whether it has work there that is
    /// not over, and whether it is in a collective.
    fn peers(&self) -> impl Iterator<Item = (usize, bool, bool)> + '_ {
        live_slots(self.region.layout()).filter_map(|found| {
            let tenant = (*self.tenants.get(&(found.tenant().0 as usize))?)?;
            // Relaxed: looked at again at the next step.
            let opened = found.slot.queue.opened.load(Ordering::Relaxed);
            let retired = found.slot.compute.retired.load(Ordering::Relaxed);
            Some((tenant, opened != retired, in_collective(found.page)))
        })
    }
}

/// Names of the tenants of a device that took part in collectives lately.
fn linking(region: &Region, now_ns: u64) -> BTreeSet<String> {
    live_slots(region.layout())
        .filter(|found| {
            let collective_ns = found.slot.queue.collective_ns.load(Ordering::Relaxed);
            links(collective_ns, now_ns)
        })
        .map(|found| region.tenant(found.tenant()).name.read())
        .collect()
}

/// All tenants of a device by name, with their index there.
fn tenants(region: &Region) -> BTreeMap<String, usize> {
    live_tenants(region.layout())
        .map(|(index, tenant)| (tenant.name.read(), index.0 as usize))
        .collect()
}
