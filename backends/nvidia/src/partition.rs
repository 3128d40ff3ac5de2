//! How programs can overlap on a device: MPS, MIG and the compute mode.

use crate::error;
use crate::nvml::{Nvml, call};
use cuda_sys::{NVML_DEVICE_MIG_ENABLE, nvmlComputeMode_t, nvmlDevice_t, nvmlEnableState_t};
use fcsp_core::backend::{BackendError, SharingMode};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where MPS has its pipes unless [`MPS_VARIABLE`] says otherwise (NVIDIA's MPS documentation).
pub const MPS_DIRECTORY: &str = "/tmp/nvidia-mps";
/// The variable that names the directory of the pipes, to the daemon and to its clients.
pub const MPS_VARIABLE: &str = "CUDA_MPS_PIPE_DIRECTORY";

/// How programs started now, with this environment, will overlap. A few system calls. For the tools:
/// a program asks its driver, which knows whether it has become a client.
///
/// A simulated device runs programs together when `FCSP_SIM_MPS` is `1`; it has no daemon.
pub fn sharing_mode(simulated: bool) -> SharingMode {
    let concurrent = if simulated {
        std::env::var_os("FCSP_SIM_MPS").is_some_and(|value| value == "1")
    } else {
        mps_is_active(&mps_directory())
    };
    if concurrent {
        SharingMode::Concurrent
    } else {
        SharingMode::Exclusive
    }
}

/// The directory in which programs with this environment look for MPS.
pub fn mps_directory() -> PathBuf {
    std::env::var_os(MPS_VARIABLE)
        .filter(|directory| !directory.is_empty())
        .map_or_else(|| PathBuf::from(MPS_DIRECTORY), PathBuf::from)
}

/// What is found where an MPS control daemon has its pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MpsDaemon {
    /// Nothing.
    Absent,
    /// Pipes whose daemon is gone.
    Gone,
    /// A daemon, or its pipes, that this user may not talk to.
    Denied,
    /// A daemon that listens.
    Listening,
}

/// Whether an MPS control daemon listens in `directory` for this user.
pub fn mps_is_active(directory: &Path) -> bool {
    mps_daemon(directory) == MpsDaemon::Listening
}

/// Looks for an MPS control daemon in `directory`. Files that a daemon left behind are none: somebody
/// must have the other end of its control pipe. A few system calls.
pub fn mps_daemon(directory: &Path) -> MpsDaemon {
    let control = directory.join("control");
    let kind = match std::fs::metadata(&control) {
        Ok(metadata) => metadata.file_type(),
        Err(error) => return of_error(&error),
    };
    // Opening a pipe for writing without waiting fails exactly if nobody reads it.
    let open = || -> std::io::Result<File> {
        OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&control)
    };
    let answer = if kind.is_socket() {
        connect(&control)
    } else if kind.is_fifo() {
        open().map(drop)
    } else {
        return MpsDaemon::Gone;
    };
    match answer {
        Ok(()) => MpsDaemon::Listening,
        Err(error) if error.kind() == ErrorKind::NotFound => MpsDaemon::Gone,
        Err(error) => of_error(&error),
    }
}

/// Connects to a socket and lets it go again. Does not wait: a daemon with too much to do is one.
fn connect(control: &Path) -> std::io::Result<()> {
    let address = SockAddr::unix(control)?;
    // Which of them it is depends on the driver's version; 580.159 has the first.
    let mut answer = Ok(());
    for kind in [Type::SEQPACKET, Type::STREAM] {
        let socket = Socket::new(Domain::UNIX, kind, None)?;
        socket.set_nonblocking(true)?;
        answer = match socket.connect(&address) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            other => other,
        };
        if !matches!(&answer, Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE)) {
            break;
        }
    }
    answer
}

fn of_error(error: &std::io::Error) -> MpsDaemon {
    match error.kind() {
        ErrorKind::PermissionDenied => MpsDaemon::Denied,
        ErrorKind::NotFound | ErrorKind::NotADirectory => MpsDaemon::Absent,
        _ => MpsDaemon::Gone,
    }
}

/// Whether programs may use a device at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeMode {
    /// Many programs.
    Default,
    /// One program at a time; others are refused. Sharing needs MPS or the default mode.
    ExclusiveProcess,
    /// None.
    Prohibited,
}

/// How a device is set up, as far as sharing is concerned. `None` where the device does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Compute mode.
    pub compute_mode: Option<ComputeMode>,
    /// Whether the driver keeps the device initialized while nobody uses it.
    pub persistence: Option<bool>,
    /// Whether the device is cut into MIG instances.
    pub mig: Option<bool>,
}

pub(crate) fn setup(nvml: &Nvml, device: nvmlDevice_t) -> Result<Setup, BackendError> {
    let mut mode = nvmlComputeMode_t::NVML_COMPUTEMODE_DEFAULT;
    let asked = call!(nvml, nvmlDeviceGetComputeMode(device, &mut mode));
    let compute_mode = error::if_supported(asked)?.map(|()| match mode {
        nvmlComputeMode_t::NVML_COMPUTEMODE_PROHIBITED => ComputeMode::Prohibited,
        nvmlComputeMode_t::NVML_COMPUTEMODE_EXCLUSIVE_THREAD
        | nvmlComputeMode_t::NVML_COMPUTEMODE_EXCLUSIVE_PROCESS => ComputeMode::ExclusiveProcess,
        _ => ComputeMode::Default,
    });
    let mut persistence = nvmlEnableState_t::NVML_FEATURE_DISABLED;
    let asked = call!(nvml, nvmlDeviceGetPersistenceMode(device, &mut persistence));
    let persistence = error::if_supported(asked)?
        .map(|()| persistence == nvmlEnableState_t::NVML_FEATURE_ENABLED);
    let (mut current, mut pending) = (0, 0);
    let asked = call!(
        nvml,
        nvmlDeviceGetMigMode(device, &mut current, &mut pending)
    );
    let mig = error::if_supported(asked)?.map(|()| current == NVML_DEVICE_MIG_ENABLE);
    Ok(Setup {
        compute_mode,
        persistence,
        mig,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_mps_daemon_counts_only_while_it_listens() {
        let directory = std::env::temp_dir().join(format!("fcsp-mps-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the test");
        let control = directory.join("control");
        assert_eq!(mps_daemon(&directory), MpsDaemon::Absent);
        for kind in [Type::SEQPACKET, Type::STREAM] {
            let listener = Socket::new(Domain::UNIX, kind, None).expect("a socket");
            let address = SockAddr::unix(&control).expect("a short path");
            listener.bind(&address).expect("a free path");
            listener.listen(0).expect("listens");
            // It accepts nobody, so the second has to wait.
            for _ in 0..3 {
                assert_eq!(mps_daemon(&directory), MpsDaemon::Listening, "{kind:?}");
            }
            assert!(mps_is_active(&directory));
            drop(listener);
            assert!(control.exists());
            assert_eq!(mps_daemon(&directory), MpsDaemon::Gone, "{kind:?}");
            std::fs::remove_file(&control).expect("it is there");
        }
        std::fs::write(&control, "").expect("writes");
        assert_eq!(
            mps_daemon(&directory),
            MpsDaemon::Gone,
            "a plain file is no daemon"
        );
        assert_eq!(mps_daemon(&directory.join("control/x")), MpsDaemon::Absent);
        std::fs::remove_dir_all(&directory).expect("the directory of the test");
    }
}
