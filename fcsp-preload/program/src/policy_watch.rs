//! This process's place among those that watch the policy file: one thread, which sleeps until the
//! file is edited or the process that watches is gone. What it does then is the core's
//! ([`fcsp_core::policy::watch`]); what it says goes into the log. Off every path of the program.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::path::{Path, PathBuf};

use fcsp_core::policy::file;
use fcsp_core::policy::watch::{self, Event};
use fcsp_core::region::Duty;
use fcsp_core::sched::observer;
use fcsp_preload::log;

use crate::device;

/// Stack of the thread: as much as an observer's, and it reads a file now and then.
const STACK_BYTES: usize = 256 * 1024;

/// The duty this process has or queues for; null before it does.
static QUEUED: AtomicPtr<Duty> = AtomicPtr::new(ptr::null_mut());

/// Queues for the duty, once per process. Called by the thread that starts observing a device, which
/// is on no path of the program.
pub fn start(run_dir: &Path) {
    if !QUEUED.load(Ordering::Acquire).is_null() {
        return;
    }
    let (path, _) = file::path_of_process();
    let unwatched = |error: &dyn core::fmt::Display| {
        log::warn!("{} is not watched by this process: {error}", path.display());
    };
    let duty = match watch::queue(run_dir, &path) {
        Ok(duty) => Box::into_raw(Box::new(duty)),
        Err(error) => return unwatched(&error),
    };
    // Observers of two devices can come here at once. AcqRel: publishes the duty, or leaves it to the
    // other.
    if QUEUED
        .compare_exchange(ptr::null_mut(), duty, Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        // SAFETY: made by the box above, and nobody else has seen it.
        drop(unsafe { Box::from_raw(duty) });
        return;
    }
    // SAFETY: made by the box above, and never freed from here on.
    let duty: &'static Duty = unsafe { &*duty };
    let run_dir = run_dir.to_owned();
    let file = path.clone();
    if let Err(error) = std::thread::Builder::new()
        .name("fcsp-policy".into())
        .stack_size(STACK_BYTES)
        .spawn(move || follow(duty, run_dir, file))
    {
        unwatched(&error);
    }
}

fn follow(duty: &Duty, run_dir: PathBuf, path: PathBuf) {
    observer::prepare_thread();
    let ordinal = |id: &str| {
        let device = device::by_id(id)?;
        u32::try_from(device.ordinal).ok()
    };
    watch::run(duty, &run_dir, &path, &ordinal, &mut |event| match event {
        Event::Changed(what) => log::info!("{what}"),
        Event::Warning(what) => log::warn!("{what}"),
        Event::Refused(why) => log::error!("{why}"),
        Event::Unwatched(why) => log::warn!("{why}"),
    });
}

/// In the child of a fork: the thread did not come along, and the parent's place is the parent's.
pub fn forget_after_fork() {
    let duty = QUEUED.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: null, or a duty that is never freed.
    if let Some(duty) = unsafe { duty.as_ref() } {
        duty.abandon_after_fork();
    }
}
