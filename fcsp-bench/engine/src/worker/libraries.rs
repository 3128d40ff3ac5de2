//! The vendor's libraries that are opened if they are there and never linked.

use crate::driver::{Trouble, Vendor};
use libloading::Library;
use libloading::os::unix;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A library of the vendor's.
pub(crate) struct Known {
    /// For people.
    name: &'static str,
    /// Names of the file, newest first.
    files: &'static [&'static str],
    /// What it is linked to and what stands beside it: wheels of Python do not always say where.
    beside: &'static [&'static str],
    /// Variable with the file to open in the place of these.
    variable: &'static str,
    /// Option of `fcsp bench` that sets it.
    option: &'static str,
}

const NCCL: Known = Known {
    name: "NCCL",
    files: &["libnccl.so.2"],
    beside: &[],
    variable: "FCSP_BENCH_NCCL",
    option: "--nccl",
};

/// RCCL, which has NCCL's functions under their names.
const RCCL: Known = Known {
    name: "RCCL",
    files: &["librccl.so.1"],
    beside: &[],
    variable: "FCSP_BENCH_NCCL",
    option: "--nccl",
};

/// The library for collectives of a vendor's devices.
///
/// # Errors
/// There is none with these functions: lacking.
pub(crate) fn collectives(vendor: Vendor) -> Result<Known, Trouble> {
    match vendor {
        Vendor::Nvidia => Ok(NCCL),
        Vendor::Amd => Ok(RCCL),
        Vendor::Intel => Err(Trouble::lacking(
            "Level Zero has no library with NCCL's functions",
        )),
    }
}

/// cuBLAS.
pub(crate) const CUBLAS: Known = Known {
    name: "cuBLAS",
    files: &["libcublas.so.13", "libcublas.so.12", "libcublas.so.11"],
    beside: &[
        "libcublasLt.so.13",
        "libcublasLt.so.12",
        "libcublasLt.so.11",
    ],
    variable: "FCSP_BENCH_CUBLAS",
    option: "--cublas",
};

impl Known {
    /// Opens it. A simulated device runs no code of the vendor's, so there only a file that was named is opened.
    ///
    /// # Errors
    /// It is lacking: it was not named and is nowhere, or there is no such file. What was named and cannot be opened is an
    /// error of its own.
    pub(crate) fn open(&self, simulated: bool) -> Result<Library, Trouble> {
        if let Some(file) = std::env::var_os(self.variable) {
            let file = PathBuf::from(file);
            self.open_beside(&file);
            return load(file.as_os_str()).map_err(|error| {
                Trouble::new(format!(
                    "{} ({}) cannot be opened: {error}",
                    file.display(),
                    self.option
                ))
            });
        }
        if simulated {
            return Err(Trouble::lacking(format!(
                "a simulated device runs no code of {}",
                self.name
            )));
        }
        self.files
            .iter()
            .find_map(|name| load(OsStr::new(name)).ok())
            .ok_or_else(|| {
                Trouble::lacking(format!(
                    "needs {}: name {} with {}, or put its directory into LD_LIBRARY_PATH",
                    self.name, self.files[0], self.option
                ))
            })
    }

    /// Opens what it is linked to, where that stands in the same directory, for it to be found. What cannot be opened is
    /// then lacking with a message that names it.
    fn open_beside(&self, file: &Path) {
        for name in self.beside {
            let other = file.with_file_name(name);
            if other.exists()
                && let Ok(library) = load(other.as_os_str())
            {
                // It stays open: the other one is to find it.
                std::mem::forget(library);
            }
        }
    }
}

/// Opens a file, with all that it needs at once and for itself alone.
fn load(file: &OsStr) -> Result<Library, libloading::Error> {
    // SAFETY: loading the vendor's library runs its initializers, which is its purpose.
    unsafe { unix::Library::open(Some(file), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map(Library::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_nowhere_is_lacking_and_says_what_to_do() {
        let nowhere = Known {
            files: &["libnowhere.so.1"],
            ..NCCL
        };
        let trouble = nowhere.open(false).expect_err("it is nowhere");
        assert!(trouble.lacking, "{trouble:?}");
        assert!(trouble.message.contains("--nccl"), "{}", trouble.message);
        let trouble = nowhere.open(true).expect_err("simulated");
        assert!(trouble.lacking && trouble.message.contains("simulated"));
    }
}
