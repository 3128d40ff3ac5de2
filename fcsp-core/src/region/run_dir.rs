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
/// user); else `/dev/shm/fcsp-<uid>`, for this user alone. Programs that are to share a device must see
/// the same directory: containers mount it.
///
/// # Errors
/// [`RegionError::RunDir`] if `$FCSP_RUN_DIR` is set and unusable (never silently another
/// directory: the limits would not hold between the two), or if nothing is usable.
pub fn run_dir() -> Result<PathBuf, RegionError> {
    let places = Places::of_process();
    match named() {
        Some(path) => {
            make(&path, places.mode())?;
            Ok(path)
        }
        None => places.find_or_make(),
    }
}

/// The directory that [`run_dir`] chooses, as far as that can be said without making anything; `None` if it has
/// yet to be made. Checks less, for a caller that opens a region there next, which shows the rest. Four system
/// calls at most, none if `$FCSP_RUN_DIR` is set.
pub fn existing_run_dir() -> Option<PathBuf> {
    named().or_else(|| Places::of_process().find())
}

/// `$FCSP_RUN_DIR`, if it is set.
fn named() -> Option<PathBuf> {
    let path = std::env::var_os("FCSP_RUN_DIR").filter(|path| !path.is_empty());
    path.map(PathBuf::from)
}

/// Where regions may live if nobody says.
struct Places {
    /// Where the system has what is gone when it starts again.
    above: PathBuf,
    /// The directory of all users, in there.
    system: PathBuf,
    /// The directory of one user.
    own: PathBuf,
    uid: u32,
    in_memory: fn(&Path) -> bool,
}

impl Places {
    fn of_process() -> Self {
        // SAFETY: geteuid always succeeds and touches no memory.
        let uid = unsafe { libc::geteuid() };
        Self {
            above: "/run".into(),
            system: "/run/fcsp".into(),
            own: format!("/dev/shm/fcsp-{uid}").into(),
            uid,
            in_memory: is_in_memory,
        }
    }

    /// Mode of a directory that is for everybody if root makes it.
    fn mode(&self) -> u32 {
        if self.uid == 0 {
            SHARED_DIR_MODE
        } else {
            PRIVATE_DIR_MODE
        }
    }

    fn find_or_make(&self) -> Result<PathBuf, RegionError> {
        let is_there = self.system.exists();
        let in_memory = (self.in_memory)(if is_there { &self.system } else { &self.above });
        if in_memory && (self.uid == 0 || is_there) && make(&self.system, self.mode()).is_ok() {
            return Ok(self.system.clone());
        }
        make(&self.own, PRIVATE_DIR_MODE)?;
        // Anybody can make a directory of that name in /dev/shm first.
        match owner(&self.own).map_err(|error| unusable(&self.own, &error))? {
            owner if owner == self.uid => Ok(self.own.clone()),
            owner => Err(unusable(&self.own, &format!("it belongs to user {owner}"))),
        }
    }

    fn find(&self) -> Option<PathBuf> {
        if self.system.exists() {
            if (self.in_memory)(&self.system) && is_writable(&self.system) {
                return Some(self.system.clone());
            }
        } else if self.uid == 0 && (self.in_memory)(&self.above) {
            return None;
        }
        let is_mine = owner(&self.own).is_ok_and(|owner| owner == self.uid);
        is_mine.then(|| self.own.clone())
    }
}

fn owner(path: &Path) -> std::io::Result<u32> {
    Ok(fs::symlink_metadata(path)?.uid())
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
    fn what_is_found_is_what_would_be_made() {
        // SAFETY: as in `of_process`.
        let me = unsafe { libc::geteuid() };
        let all = [(false, false), (false, true), (true, false), (true, true)];
        for (system, own) in all {
            for (in_memory, uid) in [(true, me), (false, me), (true, me + 1)] {
                let parent = tempfile::tempdir().expect("a temporary directory");
                let places = Places {
                    above: parent.path().into(),
                    system: parent.path().join("system"),
                    own: parent.path().join("own"),
                    uid,
                    in_memory: if in_memory { |_| true } else { |_| false },
                };
                for place in [(system, &places.system), (own, &places.own)] {
                    if place.0 {
                        fs::create_dir(place.1).expect("makes it");
                    }
                }
                let found = places.find();
                let made = places.find_or_make().ok();
                let case = format!("{system} {own} {in_memory} {uid}");
                assert!(found.is_none() || found == made, "{case}");
                assert_eq!(places.find(), made, "{case}: once it is there");
            }
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
