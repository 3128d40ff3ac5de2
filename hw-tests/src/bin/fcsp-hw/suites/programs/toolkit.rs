//! The CUDA toolkit of this machine, and programs compiled with it.

use anyhow::{Context, Result};
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::site::Site;

const COMPILE_WITHIN: Duration = Duration::from_secs(180);
/// Where it is when it is not in the path.
const USUAL_ROOT: &str = "/usr/local/cuda";
/// Where a toolkit keeps its libraries.
const LIBRARIES: [&str; 3] = ["lib64", "lib", "targets/x86_64-linux/lib"];

/// How a program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As by default: the runtime linked in, the legacy default stream.
    Usual,
    /// The runtime as a shared library.
    Shared,
    /// Each thread has a default stream of its own.
    PerThread,
}

impl Build {
    /// All of them.
    pub const ALL: [Build; 3] = [Build::Usual, Build::Shared, Build::PerThread];

    /// For results and file names.
    pub fn name(self) -> &'static str {
        match self {
            Build::Usual => "static runtime",
            Build::Shared => "shared runtime",
            Build::PerThread => "per-thread default streams",
        }
    }
}

/// A compiler and what goes with it.
#[derive(Debug)]
pub struct Toolkit {
    nvcc: PathBuf,
    root: PathBuf,
    arch: String,
}

impl Toolkit {
    /// Finds it, in the path or where it usually is. `arch` is that of the device, as in `sm_90`.
    pub fn find(arch: Option<String>) -> Result<Self, String> {
        let nvcc = in_path("nvcc")
            .or_else(|| Some(Path::new(USUAL_ROOT).join("bin/nvcc")).filter(|it| it.exists()))
            .ok_or("nvcc is neither in the path nor in /usr/local/cuda")?;
        let real = nvcc.canonicalize().unwrap_or_else(|_| nvcc.clone());
        let root = real.parent().and_then(Path::parent);
        Ok(Self {
            root: root.unwrap_or(Path::new(USUAL_ROOT)).to_owned(),
            nvcc,
            arch: arch.unwrap_or_else(|| "native".into()),
        })
    }

    /// One of its tools, if it is there.
    pub fn tool(&self, name: &str) -> Option<PathBuf> {
        in_path(name).or_else(|| {
            let beside = [self.root.join("bin"), Path::new(USUAL_ROOT).join("bin")];
            beside
                .iter()
                .map(|dir| dir.join(name))
                .find(|it| it.exists())
        })
    }

    /// Why programs cannot be built so, if they cannot.
    pub fn lacks(&self, build: Build) -> Option<&'static str> {
        let lacks = build == Build::Shared && self.library("libcudart.so").is_none();
        lacks.then_some("the toolkit has no shared runtime")
    }

    /// The arguments of the compiler for one program.
    fn arguments(
        &self,
        source: &Path,
        target: &Path,
        build: Build,
    ) -> Result<Vec<OsString>, String> {
        let mut arguments: Vec<OsString> = ["-std=c++17", "-O2"].map(OsString::from).into();
        arguments.push(format!("-arch={}", self.arch).into());
        for dir in self.library_dirs() {
            arguments.push("-L".into());
            arguments.push(dir.into());
        }
        match build {
            Build::Usual => {}
            Build::PerThread => {
                arguments.extend(["--default-stream", "per-thread"].map(OsString::from))
            }
            Build::Shared => {
                // By its full name: an installation without the development links has no other.
                let (dir, name) = self
                    .library("libcudart.so")
                    .ok_or("the toolkit has no shared runtime")?;
                arguments.extend(["-cudart", "none"].map(OsString::from));
                arguments.push(format!("-l:{name}").into());
                arguments.push("-Xlinker".into());
                arguments.push(format!("-rpath={}", dir.display()).into());
            }
        }
        arguments.extend([source.into(), "-o".into(), target.into()]);
        let stubs = self.library_dirs().map(|dir| dir.join("stubs"));
        match stubs
            .into_iter()
            .find(|dir| dir.join("libcuda.so").exists())
        {
            Some(stubs) => arguments.extend(["-L".into(), stubs.into(), "-lcuda".into()]),
            None => arguments.push("-l:libcuda.so.1".into()),
        }
        Ok(arguments)
    }

    fn library_dirs(&self) -> [PathBuf; 3] {
        LIBRARIES.map(|name| self.root.join(name))
    }

    /// Directory and file name of a library whose version is part of its name.
    fn library(&self, stem: &str) -> Option<(PathBuf, String)> {
        for dir in self.library_dirs() {
            let Ok(entries) = std::fs::read_dir(&dir) else {
                continue;
            };
            let names = entries
                .flatten()
                .filter_map(|it| it.file_name().into_string().ok());
            // The shortest is the one that programs are linked against.
            let found = names
                .filter(|name| name.starts_with(stem))
                .min_by_key(String::len);
            if let Some(name) = found {
                return Some((dir, name));
            }
        }
        None
    }

    /// Begins to compile, and does not wait.
    pub fn compile(&self, site: &Site, source: &Path, target: PathBuf, build: Build) -> Compiling {
        let label = target
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let label = format!("compile-{label}");
        let started = self
            .arguments(source, &target, build)
            .and_then(|arguments| {
                let mut command = Command::new(&self.nvcc);
                command.args(arguments);
                let child = Child::spawn(&label, command, &site.log_file(&label));
                child.map_err(|error| format!("{error:#}"))
            });
        Compiling { target, started }
    }
}

/// A program that is being compiled.
pub struct Compiling {
    target: PathBuf,
    started: Result<Child, String>,
}

impl Compiling {
    /// Waits for the program, or tells why there is none.
    pub fn finish(self) -> Result<PathBuf> {
        let child = self.started.map_err(anyhow::Error::msg)?;
        child
            .finish(Instant::now() + COMPILE_WITHIN)
            .context("it does not compile")?;
        Ok(self.target)
    }
}

/// A program in the path.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolkit(root: &Path) -> Toolkit {
        Toolkit {
            nvcc: root.join("bin/nvcc"),
            root: root.to_owned(),
            arch: "sm_90".into(),
        }
    }

    fn text(toolkit: &Toolkit, build: Build) -> Result<String, String> {
        let arguments = toolkit.arguments(Path::new("a.cu"), Path::new("a"), build)?;
        let arguments: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
        Ok(arguments.join(" "))
    }

    #[test]
    fn builds_differ_in_runtime_and_default_stream() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let lib = root.path().join("lib64");
        std::fs::create_dir_all(lib.join("stubs")).expect("room for it");
        let found = toolkit(root.path());
        let usual = text(&found, Build::Usual).expect("nothing needed");
        assert!(
            usual.contains("-arch=sm_90") && usual.ends_with("-l:libcuda.so.1"),
            "{usual}"
        );
        assert!(
            text(&found, Build::Shared).is_err() && found.lacks(Build::Shared).is_some(),
            "there is no shared runtime"
        );
        for name in [
            "libcudart.so.13.0.96",
            "libcudart.so.13",
            "stubs/libcuda.so",
        ] {
            std::fs::write(lib.join(name), "").expect("a file");
        }
        let shared = text(&found, Build::Shared).expect("there is one now");
        assert!(
            shared.contains("-cudart none -l:libcudart.so.13 "),
            "{shared}"
        );
        assert!(shared.ends_with("-lcuda"), "{shared}");
        let threads = text(&found, Build::PerThread).expect("nothing needed");
        assert!(threads.contains("--default-stream per-thread"), "{threads}");
    }
}
