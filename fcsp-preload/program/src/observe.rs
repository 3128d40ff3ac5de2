//! The threads of ours for one device: the observer, which starts the others. The program waits for one start
//! only, and for nothing that they do.

use std::sync::Arc;

use fcsp_core::region::{Attachment, Region, RobustHold, SlotIndex, liveness, reclaim};
use fcsp_core::sched::gang::Gang;
use fcsp_core::sched::observer::{self, Bench, Peers};
use fcsp_core::sched::plan::View;
use fcsp_core::sched::tuning::Tuning;
use fcsp_core::sync::prepare_fences;
use fcsp_preload::log;

use crate::device::Device;
use crate::driver::Driver;
use crate::policy_watch;
use crate::usage;

/// Stack of an observer thread.
const STACK_BYTES: usize = 256 * 1024;

/// Starts the observer of this process on one device.
///
/// # Errors
/// If the system starts no thread.
pub fn start<D: Driver>(
    device: &'static Device,
    attachment: &'static Arc<Attachment>,
    bench: &'static Bench,
) -> std::io::Result<()> {
    let run = move || {
        observer::prepare_thread();
        let _held_until_the_process_ends = RobustHold::new(attachment).inspect_err(|error| {
            log::warn!("the kernel will not report the end of this process twice over: {error}");
        });
        start_others::<D>(device, attachment);
        device.producer.prepare();
        let peers = RegionPeers {
            region: attachment.region(),
            gang: Gang::new(attachment.region()),
        };
        let me = attachment.slot_index().0 as usize;
        observer::run(peers.region.layout(), me, &peers, bench, &tuning());
    };
    let builder = std::thread::Builder::new().name("fcsp-observer".into());
    builder.stack_size(STACK_BYTES).spawn(run).map(drop)
}

/// Starts what may take its time, and must not keep the observer from its work meanwhile.
fn start_others<D: Driver>(device: &'static Device, attachment: &'static Attachment) {
    let run = move || {
        observer::prepare_thread();
        attachment.settle();
        // Where nobody competes for the device nobody looks: what the dead held would be missing until somebody needs it.
        reclaim_dead(attachment.region());
        if let Some(run_dir) = attachment.region().path().parent() {
            policy_watch::start(run_dir);
        }
        // Takes some milliseconds, and only makes later submissions cheaper.
        prepare_fences();
        usage::follow::<D>(device);
    };
    if let Err(error) = std::thread::Builder::new()
        .name("fcsp-usage".into())
        .spawn(run)
    {
        log::warn!(
            "contexts and code are not counted, and the policy file is not watched: no thread could be started: \
             {error}"
        );
    }
}

/// The arbiter's constants, as `FCSP_TUNE` changes them.
fn tuning() -> Tuning {
    let text = std::env::var("FCSP_TUNE").unwrap_or_default();
    Tuning::parse(&text).unwrap_or_else(|error| {
        log::warn!("FCSP_TUNE: {error}; it is ignored");
        Tuning::default()
    })
}

/// Gives back what dead processes held.
fn reclaim_dead(region: &Region) {
    match reclaim::reclaim_dead(region) {
        Ok(r) if r.slots > 0 => {
            log::info!("reclaimed {} bytes of {} dead processes", r.bytes, r.slots)
        }
        Ok(_) => {}
        Err(error) => log::warn!("what dead processes held is not reclaimed: {error}"),
    }
}

struct RegionPeers {
    region: &'static Region,
    gang: Gang<'static>,
}

impl Peers for RegionPeers {
    fn is_suspect(&self, slot: usize) -> bool {
        liveness::is_suspect(self.region, SlotIndex(slot as u32))
    }

    fn is_dead(&self, slot: usize) -> bool {
        liveness::verdict(self.region, SlotIndex(slot as u32)) == liveness::Liveness::Dead
    }

    fn reclaim_dead(&self) {
        reclaim_dead(self.region);
    }

    fn look_around(&self, view: &mut View, now_ns: u64) {
        self.gang.look_around(view, now_ns);
    }

    fn ring_followers(&self) {
        self.gang.ring();
    }
}
