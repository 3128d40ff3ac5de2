//! Who the slots and tenant pages of a region belong to.

use fcsp_core::region::{Region, scan};
use fcsp_core::sched::trace::Event;
use fcsp_core::sync::Ordering::Relaxed;
use std::collections::BTreeMap;

/// Names of tenants and ids of processes. Those that are gone stay known until another takes their place.
#[derive(Debug, Default)]
pub struct Names {
    tenants: BTreeMap<usize, String>,
    /// Tenant and process id.
    processes: BTreeMap<usize, (usize, u32)>,
}

/// Whom an event concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// Name of the tenant.
    pub tenant: Option<String>,
    /// Process id in the process's own PID namespace.
    pub pid: Option<u32>,
}

impl Names {
    /// Learns who is there now.
    pub fn refresh(&mut self, region: &Region) {
        for (index, tenant) in scan::live_tenants(region.layout()) {
            self.tenants.insert(index.0 as usize, tenant.name.read());
        }
        for found in scan::live_slots(region.layout()) {
            let process = (found.tenant().0 as usize, found.slot.pid.load(Relaxed));
            self.processes.insert(found.index.0 as usize, process);
        }
    }

    /// Whom an event concerns.
    pub fn who(&self, event: &Event) -> Who {
        let process = event.slot.and_then(|slot| self.processes.get(&slot));
        let tenant = event.tenant.or(process.map(|(tenant, _)| *tenant));
        Who {
            tenant: tenant.and_then(|index| self.tenants.get(&index)).cloned(),
            pid: process.map(|(_, pid)| *pid),
        }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = match (&self.tenant, self.pid) {
            (Some(tenant), Some(pid)) => format!("{tenant} ({pid})"),
            (Some(tenant), None) => tenant.clone(),
            (None, Some(pid)) => format!("({pid})"),
            (None, None) => String::new(),
        };
        f.pad(&text)
    }
}
