//! One process of a case: started like a user's program, and asked one question after the other.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::cases::Case;
use super::protocol::Opening;
use crate::bench::Bench;
use crate::child::Child;
use crate::site::Vendor;
use crate::suites::witness::SHARE_PCT;
use crate::tenant::{Limits, Sharing, Tenant};

/// Importing a framework from a cold disk, its context, compiling what the case runs, eight at once.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Taking contexts and helper processes down.
const END_WITHIN: Duration = Duration::from_secs(20);
/// For cases that are not asked about memory.
const ROOM_BYTES: u64 = 16 << 30;

/// A process of a case. Ends, with all it started, when dropped.
pub struct Actor {
    child: Child,
    answer_within: Duration,
}

impl Actor {
    /// Starts it; it begins to prepare, and is not waited for.
    pub fn start(
        bench: &Bench,
        case: &Case,
        fcsp: bool,
        scripts: &Path,
        run_dir: &Path,
    ) -> Result<Self> {
        let mut command: Vec<OsString> = vec![
            bench.site.python.clone().into(),
            scripts.join(case.script).into(),
        ];
        command.extend(case.args.iter().map(OsString::from));
        let sharing = if fcsp {
            Sharing::Fcsp(Limits {
                sm_pct: Some(SHARE_PCT.into()),
                quota_bytes: match case.quotas {
                    [] => Some(ROOM_BYTES),
                    [quota_bytes] => Some(*quota_bytes),
                    _ => None,
                },
                isolation: "balanced",
                priority: "normal",
            })
        } else {
            Sharing::Native
        };
        let tenant = Tenant::new(case.name, sharing, command);
        let mut command = tenant.to_command(&bench.site, run_dir);
        command.envs(case.env.iter().copied());
        if case.devices == 1 {
            // The script's device 0 is the one that this harness was given.
            let variable = match bench.site.vendor {
                Vendor::Intel => "ZE_AFFINITY_MASK",
                Vendor::Nvidia | Vendor::Amd => "CUDA_VISIBLE_DEVICES",
            };
            command.env(variable, bench.site.device.to_string());
        }
        let side = if fcsp { "fcsp" } else { "native" };
        // What is compiled under FCSP is compiled anew, and not taken from the native run.
        let caches = bench.site.disk_file(&format!("cache-{}-{side}", case.name));
        for (variable, dir) in [
            ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
            ("TRITON_CACHE_DIR", "triton"),
            ("CUPY_CACHE_DIR", "cupy"),
        ] {
            command.env(variable, caches.join(dir));
        }
        if !fcsp {
            command.envs(case.native_env.iter().copied());
        } else if case.quotas.len() > 1 {
            for (device, quota_bytes) in case.quotas.iter().enumerate() {
                let variable = format!("BUD_MEMORY_LIMIT_DEV{device}");
                command.env(variable, quota_bytes.to_string());
            }
        }
        let label = format!("{}-{side}", case.name);
        let mut child = Child::spawn(&label, command, &bench.site.log_file(&label))?;
        child.say("prepare")?;
        Ok(Self {
            child,
            answer_within: case.answer_within,
        })
    }

    /// Waits until it is ready, or says why it cannot be.
    pub fn open(&mut self) -> Result<Opening> {
        let line = self
            .child
            .answer("prepare", Instant::now() + READY_WITHIN)?;
        parse(&line)
    }

    /// Puts a question and waits for its answer.
    pub fn ask<T: DeserializeOwned>(&mut self, question: &str) -> Result<T> {
        parse(
            &self
                .child
                .ask(question, Instant::now() + self.answer_within)?,
        )
    }

    /// Lets it end by itself.
    pub fn finish(self) -> Result<()> {
        self.child.finish(Instant::now() + END_WITHIN).map(|_| ())
    }
}

fn parse<T: DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).with_context(|| format!("the script printed something else: {line}"))
}
