//! Which text of which policy file limits come from.
//!
//! A file's edition is a number made of where it is, when it was last written, and its text: of two
//! texts within one tick of the file system's clock, each is an edition. It stands on the tenant's
//! page, so that whoever watches the file can tell who is behind, whatever happened before it began
//! to watch.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// An edition of a policy file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition(u64);

/// What is at the path of a policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which edition; [`Edition::NONE`] if there is no file.
    pub edition: Edition,
    /// True if there is no text, be it that there is no file or nothing in it (yet).
    pub blank: bool,
}

impl Found {
    /// What is at `path` now. Reads the file.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn at(path: &Path) -> io::Result<Self> {
        let mut text = Vec::new();
        let facts = match File::open(path) {
            Ok(mut file) => {
                let facts = file.metadata()?;
                // What cannot be read has no text, and whoever wants the text is told why.
                file.read_to_end(&mut text).ok();
                facts
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    edition: Edition::NONE,
                    blank: true,
                });
            }
            Err(_) => std::fs::metadata(path)?,
        };
        Ok(Self {
            edition: Edition::of(path, &facts, &text)?,
            blank: text.is_empty(),
        })
    }
}

impl Edition {
    /// No file at all.
    pub const NONE: Self = Self(0);

    /// The edition of `text`, read from the file that is at `path` and has `facts` for metadata.
    ///
    /// # Errors
    /// If the system does not tell in which directory it is.
    pub fn of(path: &Path, facts: &Metadata, text: &[u8]) -> io::Result<Self> {
        let numbers = [
            facts.dev(),
            facts.ino(),
            facts.mtime() as u64,
            facts.mtime_nsec() as u64,
        ];
        let written = numbers.iter().fold(fnv(FNV_BASIS, text), |hash, number| {
            fnv(hash, &number.to_le_bytes())
        });
        // Neither half is 0, so it is not none.
        Ok(Self(
            (u64::from(place(path)?) << 32) | u64::from(folded(written)),
        ))
    }

    /// True if both are of the file at one place.
    pub const fn same_file(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }

    /// The edition with that number in the region.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number that stands for it in the region; 0 is none.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// A number for where the file at `path` is or would be. A file that is replaced by another keeps its
/// directory and its name, and so it does under another path in a container. Reads the file system.
///
/// # Errors
/// If the system does not tell.
pub fn place(path: &Path) -> io::Result<u32> {
    // The nearest directory that is there, and the way from it.
    for above in path.ancestors().skip(1) {
        let directory = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        let directory = match std::fs::metadata(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        let below = path.strip_prefix(above).unwrap_or(path);
        let mut place = fnv(FNV_BASIS, &directory.dev().to_le_bytes());
        place = fnv(place, &directory.ino().to_le_bytes());
        place = fnv(place, below.as_os_str().as_bytes());
        return Ok(folded(place));
    }
    Err(io::ErrorKind::NotFound.into())
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, which is the same in every build.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Half as long, and not 0.
fn folded(hash: u64) -> u32 {
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn edition(path: &Path) -> Edition {
        Found::at(path).expect("tells").edition
    }

    #[test]
    fn a_file_that_is_not_there_yet_has_its_place() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let place = |path: &str| place(&directory.path().join(path)).expect("tells");
        assert_eq!(place("etc/policy.toml"), place("etc/policy.toml"));
        assert_ne!(place("etc/policy.toml"), place("policy.toml"));
    }

    #[test]
    fn a_new_text_is_a_new_edition_of_the_same_file() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("policy.toml");
        let none = Found::at(&path).expect("tells");
        assert!(none.edition == Edition::NONE && none.blank);
        fs::write(&path, "a").expect("writes");
        let first = edition(&path);
        assert_ne!(first, Edition::NONE);
        assert_eq!(edition(&path), first);
        let fresh = directory.path().join("fresh");
        fs::write(&fresh, "b").expect("writes");
        let elsewhere = edition(&fresh);
        assert!(!elsewhere.same_file(first));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).expect("links");
        assert_eq!(edition(&link.join("policy.toml")), first);
        fs::rename(&fresh, &path).expect("renames");
        let second = edition(&path);
        assert!(second != first && second.same_file(first));
    }

    #[test]
    fn two_texts_at_the_same_instant_are_two_editions() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("policy.toml");
        let instant = std::time::SystemTime::UNIX_EPOCH;
        let write = |text: &str| {
            fs::write(&path, text).expect("writes");
            let file = File::options().append(true).open(&path).expect("opens");
            file.set_modified(instant).expect("sets its time");
            Found::at(&path).expect("tells")
        };
        let (one, other) = (write("25"), write("60"));
        assert_ne!(one.edition, other.edition);
        assert_eq!(write("25"), one);
        assert!(write("").blank && !one.blank);
    }
}
