//! Which memory of the program a device may pin.
//!
//! Owns: Linux's rule. Since 6.5 the kernel refuses to pin pages of a file for long if it keeps track
//! of which of them were written, since a device writes unseen: shared, writable mappings of files on
//! disk. Files in memory (tmpfs) and huge pages may be pinned. The driver then refuses the
//! registration.

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;

/// Whether everything from `address` on for `bytes` may be pinned. What cannot be found out may.
pub fn allowed(address: u64, bytes: usize) -> bool {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else {
        return true;
    };
    let end = address.saturating_add(bytes as u64);
    maps.lines()
        .filter_map(Mapping::parse)
        .filter(|mapping| mapping.start < end && address < mapping.end)
        .all(|mapping| !mapping.shared_and_writable || lives_in_memory(mapping.path))
}

/// A line of `/proc/self/maps`: addresses, permissions, offset, device, inode and path.
struct Mapping<'a> {
    start: u64,
    end: u64,
    shared_and_writable: bool,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?;
        Some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            shared_and_writable: permissions.starts_with("rw") && permissions.ends_with('s'),
            path: fields.nth(3).unwrap_or("").trim_start(),
        })
    }
}

fn lives_in_memory(path: &str) -> bool {
    let Ok(path) = CString::new(path) else {
        return true;
    };
    let mut facts = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the path is a C string, and the kernel fills the structure if it answers 0.
    let kind = unsafe {
        if libc::statfs(path.as_ptr(), facts.as_mut_ptr()) != 0 {
            return true;
        }
        facts.assume_init().f_type
    };
    kind == libc::TMPFS_MAGIC || kind == libc::HUGETLBFS_MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood() {
        let line = "7f01a2000000-7f01a2003000 rw-s 00001000 00:1a 42      /dev/shm/with a space";
        let mapping = Mapping::parse(line).expect("a mapping");
        assert_eq!(
            (mapping.start, mapping.end),
            (0x7f01_a200_0000, 0x7f01_a200_3000)
        );
        assert!(mapping.shared_and_writable);
        assert_eq!(mapping.path, "/dev/shm/with a space");
        let private = Mapping::parse("55d0-55d1 rw-p 00000000 00:00 0 ").expect("a mapping");
        assert!(!private.shared_and_writable && private.path.is_empty());
    }

    #[test]
    fn memory_of_the_process_may_be_pinned() {
        let page = vec![0_u8; 8192];
        assert!(allowed(page.as_ptr() as u64, page.len()));
    }

    #[test]
    fn a_file_may_be_pinned_only_in_memory() {
        assert!(!lives_in_memory("/proc/self/maps"));
        if fs::metadata("/dev/shm").is_ok() {
            assert!(lives_in_memory("/dev/shm"));
        }
    }
}
