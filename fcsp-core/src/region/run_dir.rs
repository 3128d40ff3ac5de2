//! Where regions live.

use super::RegionError;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Mode of a directory that every user may put files into, and remove only their own from.
pub(super) const SHARED_DIR_MODE: u32 = 0o1777;
/// Mode of a directory for one user.
const PRIVATE_DIR_MODE: u32 = 0o700;

/// The directory regions live in, made if it is missing: `$FCSP_RUN_DIR`; else `/run/fcsp` if it is in
/// memory ([`is_in_memory`]) and this user can write there (or is root and makes it, open to every
/// user); else `/dev/shm/fcsp-<uid>`, for this user alone. Programs that are to share a device must see the same directory: containers
/// mount it.
///
/// # Errors
/// [`RegionError::RunDir`] if `$FCSP_RUN_DIR` is set and unusable (never silently another
/// directory: the limits would not hold between the two), or if nothing is usable.
pub fn run_dir() -> Result<PathBuf, RegionError> {
    // SAFETY: geteuid always succeeds and touches no memory.
    let uid = unsafe { libc::geteuid() };
    let mode = if uid == 0 {
        SHARED_DIR_MODE
    } else {
        PRIVATE_DIR_MODE
    };
    if let Some(path) = std::env::var_os("FCSP_RUN_DIR").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        make(&path, mode)?;
        return Ok(path);
    }
    let system = Path::new("/run/fcsp");
    let in_memory = is_in_memory(if system.exists() {
        system
    } else {
        Path::new("/run")
    });
    if in_memory && (uid == 0 || system.exists()) && make(system, mode).is_ok() {
        return Ok(system.to_owned());
    }
    let own = PathBuf::from(format!("/dev/shm/fcsp-{uid}"));
    make(&own, PRIVATE_DIR_MODE)?;
    let owner = fs::symlink_metadata(&own)
        .map_err(|error| unusable(&own, &error))?
        .uid();
    if owner == uid {
        Ok(own)
    } else {
        // Anybody can make a directory of that name in /dev/shm first.
        Err(unusable(&own, &format!("it belongs to user {owner}")))
    }
}

/// True if files under `path` live in memory (tmpfs). Devices write into a region's pages, and the
/// kernel lets them only there: since Linux 6.5 it refuses to pin pages of files on disk for long.
pub fn is_in_memory(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return false;
    };
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a C string, and the kernel fills the structure if it answers 0.
    let file_system = unsafe {
        if libc::statfs(path.as_ptr(), facts.as_mut_ptr()) != 0 {
            return false;
        }
        facts.assume_init().f_type
    };
    file_system == libc::TMPFS_MAGIC
}

/// Makes `path` with `mode` unless it exists, and checks that it is a directory this user can write.
fn make(path: &Path, mode: u32) -> Result<(), RegionError> {
    match DirBuilder::new().mode(mode).create(path) {
        // The umask narrowed the mode; widen it again without touching the umask, which belongs to
        // the program.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| unusable(path, &error))?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(path, &error)),
    }
    let found = fs::metadata(path).map_err(|error| unusable(path, &error))?;
    if !found.is_dir() {
        return Err(unusable(path, &"it is not a directory"));
    }
    if is_writable(path) {
        Ok(())
    } else {
        Err(unusable(path, &"this user cannot write there"))
    }
}

fn is_writable(path: &Path) -> bool {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()) else {
        return false;
    };
    // SAFETY: the path is a C string that outlives the call.
    unsafe {
        libc::faccessat(
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::W_OK | libc::X_OK,
            libc::AT_EACCESS,
        ) == 0
    }
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> RegionError {
    RegionError::RunDir {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_directory_is_made_with_its_mode_whatever_the_umask() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        for mode in [SHARED_DIR_MODE, PRIVATE_DIR_MODE] {
            let path = parent.path().join(format!("{mode:o}"));
            make(&path, mode).expect("makes it");
            make(&path, mode).expect("finds it again");
            let found = fs::metadata(&path).expect("it exists").mode();
            assert_eq!(found & 0o7777, mode);
        }
    }

    #[test]
    fn a_file_in_its_place_is_named_in_the_error() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let path = parent.path().join("file");
        fs::write(&path, "").expect("writes");
        let message = make(&path, PRIVATE_DIR_MODE).unwrap_err().to_string();
        assert!(message.contains("file") && message.contains("not a directory"));
    }
}
