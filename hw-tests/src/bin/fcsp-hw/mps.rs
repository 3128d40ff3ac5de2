//! The vendor's MPS server, for comparison: with directories of its own, and stopped whatever happens.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const CONTROL: &str = "nvidia-cuda-mps-control";

/// A control daemon that serves programs which have [`Mps::variables`]. Stopped when dropped.
#[derive(Debug)]
pub struct Mps {
    dirs: Dirs,
}

#[derive(Debug)]
struct Dirs {
    pipe: PathBuf,
    log: PathBuf,
}

impl Mps {
    /// Starts it, with its directories in `dir`. Nothing, with the reason, where there is no MPS.
    pub fn start(dir: &Path) -> Result<Result<Self, String>> {
        let dirs = Dirs {
            pipe: dir.join("mps-pipe"),
            log: dir.join("mps-log"),
        };
        for dir in [&dirs.pipe, &dirs.log] {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
        }
        match dirs.control().arg("-d").stdin(Stdio::null()).output() {
            Err(error) => Ok(Err(format!("{CONTROL}: {error}"))),
            Ok(output) if output.status.success() => Ok(Ok(Self { dirs })),
            Ok(output) => bail!(
                "{CONTROL} did not start ({}): {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim_end()
            ),
        }
    }

    /// What a program needs in its environment to be served.
    pub fn variables(&self) -> [(&'static str, &Path); 2] {
        self.dirs.variables()
    }
}

impl Dirs {
    fn variables(&self) -> [(&'static str, &Path); 2] {
        [
            ("CUDA_MPS_PIPE_DIRECTORY", &self.pipe),
            ("CUDA_MPS_LOG_DIRECTORY", &self.log),
        ]
    }

    fn control(&self) -> Command {
        let mut command = Command::new(CONTROL);
        command.envs(self.variables());
        command
    }
}

impl Drop for Mps {
    fn drop(&mut self) {
        let quit = self
            .dirs
            .control()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut control) = quit {
            if let Some(mut stdin) = control.stdin.take() {
                // A daemon that does not listen is gone already.
                let _ = stdin.write_all(b"quit -t 1\n");
            }
            let _ = control.wait();
        }
    }
}
