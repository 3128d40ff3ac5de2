//! How the programs on a device share it, and why, in words.

use crate::mps;
use fcsp_core::backend::SharingMode;
use fcsp_core::region::Region;
use fcsp_core::region::scan;
use fcsp_core::region::sharing::{self, Because};
use fcsp_core::sync::Ordering::Relaxed;

/// The mode in force, and what decides it. Asks the MPS daemon where programs run together, which
/// takes some milliseconds.
pub fn explain(region: &Region) -> (&'static str, String) {
    let layout = region.layout();
    let (mode, because) = sharing::in_force(layout);
    let word = match mode {
        SharingMode::Exclusive => "exclusive",
        SharingMode::Concurrent => "concurrent",
    };
    let why = match because {
        Because::AllCan => {
            let run_dir = region.path().parent();
            match run_dir.and_then(mps::servers) {
                Some(server) => format!("{server} serves this device"),
                None => "its programs are clients of an MPS daemon of their own".to_owned(),
            }
        }
        Because::Policy => "programs take turns, because the policy says so".to_owned(),
        Because::NoneCan if scan::live_slots(layout).next().is_none() => {
            "no program is on it".to_owned()
        }
        Because::NoneCan => "programs take turns (no MPS)".to_owned(),
        Because::OneCannot(slot) => {
            let slot = region.slot(slot);
            format!(
                "programs take turns while {} ({}) runs, which is no client of MPS; start it anew \
                 with fcsp run",
                slot.command.read(),
                slot.pid.load(Relaxed)
            )
        }
    };
    (word, why)
}
