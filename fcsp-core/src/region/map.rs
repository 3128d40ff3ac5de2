//! The mapped file.
//!
//! A region appears under its name complete or not at all: whoever makes one fills a temporary file
//! and links it to the name, so a maker that is killed leaves nothing that others must wait for or
//! repair. Opening takes no lock.

use super::layout::{MAGIC, RegionLayout, VERSION, layout_hash};
use super::locks::LockFile;
use super::{RegionError, SlotIndex, TenantIndex, layout};
use crate::backend::{DeviceInfo, SharingMode, Vendor};
use crate::failpoint::failpoint;
use crate::futex;
use crate::sync::Ordering;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const REGION_BYTES: u64 = size_of::<RegionLayout>() as u64;
const REGION_EXTENSION: &str = "region";
const LOCK_EXTENSION: &str = "lock";
/// A temporary file this old was left by a maker that was killed.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);

/// One device's region, mapped. Cheap to share, safe from any thread; a fork child may go on using
/// its parent's mapping, but must not touch its parent's slot.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    path: PathBuf,
    vendor: Vendor,
    /// How this process shares the device, as it reported when it made or opened the region.
    pub(super) sharing: SharingMode,
    pub(super) locks: LockFile,
}

impl Region {
    /// Opens the region of `device` under `run_dir`, or makes it. Any number of processes may do
    /// this at once, and any of them may be killed meanwhile.
    ///
    /// # Errors
    /// If the directory refuses, or the file is not a region of this version and device.
    pub fn create_or_open(run_dir: &Path, device: &DeviceInfo) -> Result<Self, RegionError> {
        let region = match Self::find(run_dir, device.vendor, &device.id)? {
            Some(region) => region,
            None => {
                let path = path_of(run_dir, device.vendor, &device.id);
                publish(&path.with_extension(LOCK_EXTENSION), |_, _| Ok(()))?;
                failpoint!("region.make.lock_published");
                publish(&path, |file, path| fill(file, path, device))?;
                Self::open_of(&path, &device.id)?
            }
        };
        region.note_total_bytes(device.total_bytes);
        Ok(region.used_as(device.sharing))
    }

    /// Opens the region of a device under `run_dir`, if there is one. Whoever opens it says with
    /// [`Region::used_as`] how its process shares the device.
    ///
    /// # Errors
    /// As [`Region::create_or_open`].
    pub fn find(
        run_dir: &Path,
        vendor: Vendor,
        device_id: &str,
    ) -> Result<Option<Self>, RegionError> {
        if !layout::Text::<{ layout::DEVICE_ID_MAX / 8 }>::fits(device_id) {
            return Err(RegionError::Name {
                what: "device",
                name: device_id.to_owned(),
                bytes_max: layout::DEVICE_ID_MAX,
            });
        }
        match Self::open_of(&path_of(run_dir, vendor, device_id), device_id) {
            Err(RegionError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    fn open_of(path: &Path, device_id: &str) -> Result<Self, RegionError> {
        let region = Self::open(path)?;
        let found = &region.layout().header.device_id;
        if found.is(device_id) {
            return Ok(region);
        }
        Err(RegionError::OtherDevice {
            path: path.to_owned(),
            found: found.read(),
            expected: device_id.to_owned(),
        })
    }

    /// Notes how the processes that attach through this value share the device. It may have come to run them together
    /// since the region was made.
    pub fn used_as(mut self, sharing: SharingMode) -> Self {
        // Not lowered here: others may still run under it, and each slot says whether its process does.
        // Relaxed: a number alone.
        if sharing == SharingMode::Concurrent {
            let known = &self.layout().header.sharing;
            known.store(sharing as u32, Ordering::Relaxed);
        }
        self.sharing = sharing;
        self
    }

    /// Notes what the device has, as the driver says now.
    pub fn note_total_bytes(&self, total_bytes: u64) {
        let known = &self.layout().header.total_bytes;
        known.store(total_bytes, Ordering::Relaxed);
    }

    /// Opens an existing region, for the operator's tools.
    ///
    /// # Errors
    /// If the file or its companion is missing, refuses, or is not a region of this version.
    pub fn open(path: &Path) -> Result<Self, RegionError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(RegionError::io("open", path))?;
        let metadata = file.metadata().map_err(RegionError::io("examine", path))?;
        if !metadata.is_file() {
            return Err(RegionError::NotARegion {
                path: path.to_owned(),
                reason: "it is not a regular file",
            });
        }
        if metadata.len() < REGION_BYTES {
            return Err(RegionError::TooSmall {
                path: path.to_owned(),
                bytes: metadata.len(),
                needed_bytes: REGION_BYTES,
            });
        }
        let map = map(&file).map_err(RegionError::io("map", path))?;
        // SAFETY: as in `layout`; the mapping outlives the reference, which ends here.
        let header = unsafe { &(*map.as_ptr().cast::<RegionLayout>()).header };
        let vendor = Self::check(header, path)?;
        Ok(Self {
            map,
            path: path.to_owned(),
            vendor,
            // Tools are on no device, so they are in nobody's way. A program says what it is.
            sharing: SharingMode::Concurrent,
            locks: LockFile::open(&path.with_extension(LOCK_EXTENSION))?,
        })
    }

    /// Refuses what is not a region of this version; gives whose device it is.
    fn check(header: &layout::Header, path: &Path) -> Result<Vendor, RegionError> {
        let path = || path.to_owned();
        // Acquire: pairs with the release of the magic in `fill`.
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(RegionError::NotARegion {
                path: path(),
                reason: "it does not begin with FCSPRGN",
            });
        }
        let version = header.version.load(Ordering::Relaxed);
        if version != VERSION {
            return Err(RegionError::OtherVersion {
                path: path(),
                found: version,
                expected: VERSION,
            });
        }
        let hash = header.layout_hash.load(Ordering::Relaxed);
        if hash != layout_hash() {
            return Err(RegionError::OtherLayout {
                path: path(),
                found: hash,
                expected: layout_hash(),
            });
        }
        let number = header.vendor.load(Ordering::Relaxed);
        Vendor::from_number(number).ok_or_else(|| RegionError::NotARegion {
            path: path(),
            reason: "it names no known vendor",
        })
    }

    /// What is mapped.
    #[inline]
    pub fn layout(&self) -> &RegionLayout {
        // SAFETY: the mapping is page-aligned, at least as large as the layout (checked when it was
        // opened), and lives as long as `self`. Every field is an atomic for which every bit
        // pattern is valid, so other processes may write at any time.
        unsafe { &*self.map.as_ptr().cast() }
    }

    /// File of the region.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A tenant's page.
    #[inline]
    pub fn tenant(&self, index: TenantIndex) -> &layout::Tenant {
        &self.layout().tenants[index.0 as usize]
    }

    /// A slot's control page.
    #[inline]
    pub fn slot(&self, index: SlotIndex) -> &layout::Slot {
        &self.layout().slots[index.0 as usize].slot
    }

    /// The device behind the region, as the header describes it.
    pub fn device(&self) -> DeviceInfo {
        let header = &self.layout().header;
        DeviceInfo {
            vendor: self.vendor,
            id: header.device_id.read(),
            name: header.device_name.read(),
            total_bytes: header.total_bytes.load(Ordering::Relaxed),
            sharing: SharingMode::from_number(header.sharing.load(Ordering::Relaxed)),
            simulated: header.simulated.load(Ordering::Relaxed) == 1,
        }
    }

    /// Tells the arbiter that something changed, waking it if it sleeps.
    pub fn ring(&self) {
        let header = &self.layout().header;
        // SeqCst, and so is the load: with the arbiter, which says that it sleeps before it looks at
        // the doorbell again, one of the two sees the other.
        header.doorbell.fetch_add(1, Ordering::SeqCst);
        if header.arbiter_asleep.load(Ordering::SeqCst) != 0 {
            futex::wake(&header.doorbell, u32::MAX);
        }
    }
}

/// A region's file, and the region or why it could not be opened.
pub type Listed = (PathBuf, Result<Region, RegionError>);

/// Every region under `run_dir`, by path; those that cannot be opened come with their reason.
///
/// # Errors
/// If the directory cannot be read. A missing one holds no regions.
pub fn list(run_dir: &Path) -> Result<Vec<Listed>, RegionError> {
    let entries = match fs::read_dir(run_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(RegionError::io("read", run_dir))?,
    };
    let mut paths: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == REGION_EXTENSION))
        .collect();
    paths.sort_unstable();
    Ok(paths
        .into_iter()
        .map(|path| {
            let region = Region::open(&path);
            (path, region)
        })
        .collect())
}

fn path_of(run_dir: &Path, vendor: Vendor, device_id: &str) -> PathBuf {
    let stem = file_stem(vendor, device_id);
    run_dir.join(format!("{stem}.{REGION_EXTENSION}"))
}

/// `nvidia-GPU-…`; what could mean something to a file system becomes `_`.
fn file_stem(vendor: Vendor, device_id: &str) -> String {
    let id: String = device_id
        .chars()
        .map(|it| match it {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => it,
            _ => '_',
        })
        .collect();
    format!("{vendor}-{id}")
}

fn map(file: &File) -> io::Result<MmapRaw> {
    MmapOptions::new()
        .len(size_of::<RegionLayout>())
        .map_raw(file)
}

/// Makes the content of a region: all zero but the header.
fn fill(file: &File, path: &Path, device: &DeviceInfo) -> Result<(), RegionError> {
    file.set_len(REGION_BYTES)
        .map_err(RegionError::io("extend", path))?;
    let map = map(file).map_err(RegionError::io("map", path))?;
    // SAFETY: as in `Region::layout`; the mapping outlives the reference, which ends here.
    let header = unsafe { &(*map.as_ptr().cast::<RegionLayout>()).header };
    header.version.store(VERSION, Ordering::Relaxed);
    header.layout_hash.store(layout_hash(), Ordering::Relaxed);
    header.vendor.store(device.vendor as u32, Ordering::Relaxed);
    header
        .sharing
        .store(device.sharing as u32, Ordering::Relaxed);
    header
        .simulated
        .store(device.simulated.into(), Ordering::Relaxed);
    header
        .total_bytes
        .store(device.total_bytes, Ordering::Relaxed);
    header.device_id.write(&device.id);
    header.device_name.write(&device.name);
    // Release: publishes the rest of the header to whoever acquires the magic.
    header.magic.store(MAGIC, Ordering::Release);
    Ok(())
}

/// Lets `path` appear with what `fill` writes, unless it exists already.
pub(super) fn publish(
    path: &Path,
    fill: impl FnOnce(&File, &Path) -> Result<(), RegionError>,
) -> Result<(), RegionError> {
    let (dir, name) = (
        path.parent().unwrap_or(Path::new(".")),
        path.file_name().unwrap_or_default().to_string_lossy(),
    );
    let prefix = format!(".{name}.");
    remove_leftovers(dir, &prefix);
    let temporary = dir.join(format!("{prefix}{}", unique()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(&temporary)
        .map_err(RegionError::io("create", &temporary))?;
    failpoint!("region.make.temporary");
    let result = fs::metadata(dir)
        .map_err(RegionError::io("examine", dir))
        .and_then(|dir| {
            // Whoever may put files into the directory may use the region. Set on the file, because
            // the umask is the program's.
            let open_to_all = dir.permissions().mode() & 0o002 != 0;
            let mode = if open_to_all { 0o666 } else { 0o600 };
            file.set_permissions(Permissions::from_mode(mode))
                .map_err(RegionError::io("change the mode of", &temporary))
        })
        .and_then(|()| fill(&file, &temporary))
        .and_then(|()| {
            failpoint!("region.make.filled");
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked.map_err(RegionError::io("create", path)),
            }
        });
    failpoint!("region.make.linked");
    // What cannot be removed does no harm.
    fs::remove_file(&temporary).ok();
    result
}

/// A name nobody else uses: pids repeat between PID namespaces, so the time joins in, and
/// `create_new` refuses the rest.
fn unique() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    format!("{}.{}.tmp", std::process::id(), now.as_nanos())
}

/// Removes the temporary files of makers that were killed. What cannot be removed does no harm.
fn remove_leftovers(dir: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let is_leftover = entry.file_name().to_string_lossy().starts_with(prefix)
            && entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFTOVER_AGE));
        if is_leftover {
            // Somebody else may have removed it first.
            fs::remove_file(entry.path()).ok();
        }
    }
}
