//! How the programs on a device share it, and why, in words.

use crate::mps;
use fcsp_core::backend::{SharingMode, Vendor};
use fcsp_core::region::Region;
use fcsp_core::region::layout::RegionLayout;
use fcsp_core::region::scan;
use fcsp_core::region::sharing::{self, Because};
use fcsp_core::sched::trace::How;
use fcsp_core::sync::Ordering::Relaxed;

/// The mode in force, and what decides it. On NVIDIA's devices asks the MPS daemon where programs run
/// together, which takes some milliseconds.
pub fn explain(region: &Region) -> (&'static str, String) {
    let layout = region.layout();
    // Elsewhere the device itself decides, and nothing has to be started.
    let by_mps = region.device().vendor == Vendor::Nvidia;
    let (mode, because) = sharing::in_force(layout);
    let word = match mode {
        SharingMode::Exclusive => "exclusive",
        SharingMode::Concurrent => "concurrent",
    };
    let why = match because {
        Because::AllCan if !by_mps => "the device runs programs side by side".to_owned(),
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
        Because::NoneCan if are_sliced(layout) => {
            "programs are left to the driver's time slices: turns left more of the device unused"
                .to_owned()
        }
        Because::NoneCan if !by_mps => "programs take turns".to_owned(),
        Because::NoneCan => "programs take turns (no MPS)".to_owned(),
        Because::OneCannot(slot) => {
            let slot = region.slot(slot);
            let why = match by_mps {
                true => "is no client of MPS; start it anew with fcsp run",
                false => "cannot run beside others",
            };
            format!(
                "programs take turns while {} ({}) runs, which {why}",
                slot.command.read(),
                slot.pid.load(Relaxed)
            )
        }
    };
    (word, why)
}

/// Whether programs that could take turns run at once now, so that the driver slices time among them.
fn are_sliced(layout: &RegionLayout) -> bool {
    let how = layout.header.arbiter.how.load(Relaxed);
    let is_arbitrated = layout.header.arbiter.owner.load(Relaxed) != 0;
    is_arbitrated && How::from_number(how.into()) == Some(How::Together)
}
