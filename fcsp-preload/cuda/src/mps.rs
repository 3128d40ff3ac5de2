//! MPS from inside a program: whether this process is a client, and how large its partition is.
//!
//! Both are settled when the driver starts. The partition is set when the library is loaded, which is
//! before that, and only if nobody has set one; whether this process became a client is asked when it
//! attaches a device. How its programs then share the device is [`fcsp_core::region::sharing`]'s.

use core::ffi::CStr;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use cuda_sys::{CUdevice, CUdevice_attribute, CUresult};
use fcsp_core::backend::SharingMode;
use fcsp_core::policy::{EnvSettings, Policy, Sharing, partition, tenant_name};
use fcsp_core::region::Attachment;
use fcsp_core::region::sharing::{self, Because};
use fcsp_core::sync::Ordering::Relaxed;
use fcsp_preload::log;

use crate::hooks::cuda;

/// Percent of the device's multiprocessors that a client may use; NVIDIA's.
const PERCENTAGE: &CStr = c"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
/// What we set [`PERCENTAGE`] to, so that a child knows that it was us and not somebody else.
const OURS: &CStr = c"FCSP_MPS_PERCENTAGE";
/// Where clients look for the daemon, and where they look if it is unset; NVIDIA's.
const PIPE_DIRECTORY: &str = "CUDA_MPS_PIPE_DIRECTORY";
const PIPE_DIRECTORY_DEFAULT: &str = "/tmp/nvidia-mps";

/// Gives this process a partition of the size of its tenant's ceiling, if an MPS daemon may be there
/// and nobody has chosen another. Runs while the program is loaded, before it has threads. One system
/// call where there is no MPS.
pub fn set_partition() {
    let theirs = get(PERCENTAGE);
    let ours = get(OURS);
    if theirs.is_some() && theirs != ours {
        return;
    }
    let percent = may_be_there().then(percent);
    match percent.flatten() {
        Some(percent) => {
            set(PERCENTAGE, percent);
            set(OURS, percent);
        }
        // What a parent with other limits was given.
        None if ours.is_some() => {
            unset(PERCENTAGE);
            unset(OURS);
        }
        None => {}
    }
}

fn percent() -> Option<u32> {
    // What is wrong with either is told when a device is attached.
    let (env, _mistakes) = EnvSettings::from_process();
    let policy = Policy::find().unwrap_or_default();
    let tenant = env.tenant.clone();
    let tenant = tenant.unwrap_or_else(tenant_name::from_process);
    partition::percent(&tenant, policy.as_ref(), &env)
}

fn pipe_directory() -> PathBuf {
    std::env::var_os(PIPE_DIRECTORY)
        .filter(|directory| !directory.is_empty())
        .map_or_else(|| Path::new(PIPE_DIRECTORY_DEFAULT).into(), PathBuf::from)
}

/// A variable that is set and not empty.
fn get(name: &CStr) -> Option<CString> {
    // SAFETY: a C string. As with any reader of the environment, a program that changes it in another
    // thread at this instant breaks its own rules.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: not null, so a C string, which is copied at once.
    let value = (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_owned());
    value.filter(|value| !value.is_empty())
}

fn set(name: &CStr, percent: u32) {
    // A number has no NUL.
    let value = CString::new(percent.to_string()).unwrap_or_default();
    // SAFETY: both are C strings, and no thread but this one exists yet.
    unsafe { libc::setenv(name.as_ptr(), value.as_ptr(), 1) };
}

fn unset(name: &CStr) {
    // SAFETY: as in `set`.
    unsafe { libc::unsetenv(name.as_ptr()) };
}

/// Whether there is what a client of MPS needs: the daemon's pipe. One system call.
fn may_be_there() -> bool {
    pipe_directory().join("control").exists()
}

/// Whether what this process does on the device runs beside the work of other processes: whether it
/// is a client of MPS there. The driver is asked only where it may be; one too old to say counts as one
/// without.
pub fn sharing_mode(ordinal: CUdevice) -> SharingMode {
    if !may_be_there() {
        return SharingMode::Exclusive;
    }
    let mut client = 0;
    let result = cuda::cuDeviceGetAttribute.get().map(|ask| {
        let attribute = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MPS_ENABLED;
        // SAFETY: the driver writes one number, or fails.
        unsafe { ask(&mut client, attribute, ordinal) }
    });
    if result == Some(CUresult::CUDA_SUCCESS) && client != 0 {
        SharingMode::Concurrent
    } else {
        SharingMode::Exclusive
    }
}

/// Percent of the device that the partition of this process has. Anything else that stands there is no partition.
pub fn partition_percent() -> Option<u32> {
    let percent = get(PERCENTAGE).and_then(|text| text.to_str().ok()?.trim().parse().ok());
    percent.filter(|percent| (1..100).contains(percent))
}

/// Tells the operator how the device is shared now that this process is on it, and what to do where
/// that is not what was wanted.
pub fn tell(attachment: &Attachment, id: &str) {
    let layout = attachment.region().layout();
    let me = attachment.slot().takes_turns.load(Relaxed) != 0;
    match sharing::in_force(layout) {
        (SharingMode::Concurrent, _) => {
            let percent = get(PERCENTAGE);
            let percent = percent
                .as_deref()
                .map_or("100".into(), CStr::to_string_lossy);
            let whose = if get(OURS).is_some() || get(PERCENTAGE).is_none() {
                "its ceiling"
            } else {
                "which the environment chose; it is left as it is"
            };
            log::info!(
                "programs on {id} run together under MPS, this one on {percent}% of it ({whose}); \
                 a fatal fault of one ends all of them"
            );
        }
        (_, Because::OneCannot(_)) if me => log::warn!(
            "programs on {id} run together under MPS, and this one is no client of it: while it \
             runs, all take turns. Start it with fcsp run, or with the others' {PIPE_DIRECTORY}"
        ),
        (_, Because::OneCannot(slot)) => {
            let slot = attachment.region().slot(slot);
            log::warn!(
                "{} ({}) on {id} is no client of MPS: while it runs, all programs there take turns. \
                 Start it anew with fcsp run, or with this one's {PIPE_DIRECTORY}",
                slot.command.read(),
                slot.pid.load(Relaxed)
            );
        }
        (_, Because::NoneCan)
            if layout.header.sharing_wanted.load(Relaxed) == Sharing::Concurrent.number() =>
        {
            log::warn!(
                "the policy says sharing = \"concurrent\" for {id}, and this program is no client of \
                 MPS: programs take turns. fcsp mps start, then start programs with fcsp run; a fatal \
                 fault of one then ends all"
            );
        }
        (_, Because::Policy) if !me => {
            log::info!("programs on {id} take turns, because the policy says so, under MPS too");
        }
        _ => {}
    }
}
