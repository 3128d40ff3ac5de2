//! What the regions of a run directory say that is charged.

use std::path::Path;

use fcsp_core::ledger::slot_bytes;
use fcsp_core::region::{Region, list, scan, tenant};

/// A region, read by somebody who takes no part in it.
pub struct Books(Region);

impl Books {
    /// The region of the device whose UUID has these bytes, if a program has attached it.
    pub fn of(run_dir: &Path, uuid: [u8; 16]) -> Option<Self> {
        let wanted: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let plain = |id: &str| id.trim_start_matches("GPU-").replace('-', "");
        let regions = list(run_dir).expect("a run directory");
        let mut usable = regions.into_iter().filter_map(|(_, region)| region.ok());
        usable
            .find(|region| plain(&region.device().id) == wanted)
            .map(Self)
    }

    /// Every region of the directory.
    pub fn all(run_dir: &Path) -> Vec<Self> {
        let regions = list(run_dir).expect("a run directory");
        regions
            .into_iter()
            .filter_map(|(_, region)| region.ok())
            .map(Self)
            .collect()
    }

    /// Bytes charged to a tenant; 0 while there is no such tenant.
    pub fn used_bytes(&self, name: &str) -> u64 {
        let index = tenant::find(&self.0, name);
        index.map_or(0, |index| self.0.tenant(index).used.bytes())
    }

    /// What the processes of the tenant answer for: the same, unless something was lost.
    pub fn answered_bytes(&self, name: &str) -> u64 {
        let index = tenant::find(&self.0, name);
        scan::slots(self.0.layout())
            .filter(|slot| Some(slot.tenant()) == index)
            .map(|slot| slot_bytes(self.0.layout(), slot.index))
            .sum()
    }

    /// Slots that are not free.
    pub fn slots(&self) -> usize {
        scan::slots(self.0.layout()).count()
    }

    /// Gives back what dead processes hold.
    pub fn reclaim(&self) {
        fcsp_core::region::reclaim::reclaim_dead(&self.0).expect("the region can be written");
    }
}
