//! CUDA programs, family by family of calls, native against FCSP: the same output to the letter.
//!
//! The programs of `cuda/` travel as source and are compiled where they run, in several builds, by the
//! toolkit that is there. Beside them the vendor's own tools.

mod output;
mod toolkit;
mod tools;

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::now_ns;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::output::Output;
use self::toolkit::{Build, Compiling, Toolkit};
use super::witness::{Neighbour, SHARE_PCT, Witness};
use crate::bench::Bench;
use crate::child::Child;
use crate::result::{Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// They travel inside this program.
const SOURCES: &[(&str, &str)] = &[
    ("common.cuh", include_str!("../../../../../cuda/common.cuh")),
    (
        "allocate.cu",
        include_str!("../../../../../cuda/allocate.cu"),
    ),
    (
        "textures.cu",
        include_str!("../../../../../cuda/textures.cu"),
    ),
    ("graphs.cu", include_str!("../../../../../cuda/graphs.cu")),
    ("launch.cu", include_str!("../../../../../cuda/launch.cu")),
    (
        "contexts.cu",
        include_str!("../../../../../cuda/contexts.cu"),
    ),
    ("ipc.cu", include_str!("../../../../../cuda/ipc.cu")),
    ("refuse.cu", include_str!("../../../../../cuda/refuse.cu")),
    ("fault.cu", include_str!("../../../../../cuda/fault.cu")),
];
/// Compared with native.
const COMPARED: [&str; 6] = [
    "allocate", "textures", "graphs", "launch", "contexts", "ipc",
];
/// Asks for memory until it is refused.
const REFUSE: &str = "refuse";
/// Looked at by tools.
const FAULT: &str = "fault";
const SMI: &str = "nvidia-smi";
const NCU: &str = "ncu";
const SANITIZER: &str = "compute-sanitizer";
const QUOTA_BYTES: u64 = 8 << 30;
const RUN_WITHIN: Duration = Duration::from_secs(60);

/// The names of the cases.
pub fn names() -> Vec<&'static str> {
    let mut names = COMPARED.to_vec();
    names.extend([REFUSE, SMI, NCU, SANITIZER]);
    names
}

/// All cases, or those that were asked for.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if bench.site.simulated {
        let reason = "needs a real device: the CUDA runtime does not take the simulated driver";
        result.row(Row::skipped("CUDA programs and tools", reason));
        return Ok(());
    }
    if bench.selects(SMI) {
        result.attempt(SMI, |result| tools::nvidia_smi(bench, result));
    }
    let toolkit = match Toolkit::find(tools::architecture(bench).ok()) {
        Ok(toolkit) => toolkit,
        Err(reason) => {
            result.row(Row::skipped(
                "CUDA programs, ncu, compute-sanitizer",
                reason,
            ));
            return Ok(());
        }
    };
    let sources = unpack(bench)?;
    // All at once: the compiler is one thread.
    let compile = |name: &str, build: Build| -> Compiling {
        let source = sources.join(format!("{name}.cu"));
        let target = sources.join(format!("{name} {}", build.name()).replace(' ', "-"));
        toolkit.compile(&bench.site, &source, target, build)
    };
    let mut compared = Vec::new();
    for build in Build::ALL {
        if let Some(reason) = toolkit.lacks(build) {
            let all = format!("CUDA programs, {}", build.name());
            result.row(Row::skipped(all, reason));
            continue;
        }
        for name in COMPARED.into_iter().filter(|name| bench.selects(name)) {
            compared.push((name, build, compile(name, build)));
        }
    }
    let refuse = bench.selects(REFUSE).then(|| compile(REFUSE, Build::Usual));
    let by_tools = bench.selects(NCU) || bench.selects(SANITIZER);
    let fault = by_tools.then(|| compile(FAULT, Build::Usual));

    let run_dir = bench.site.fresh_run_dir()?;
    let mut again = Vec::new();
    for (name, build, compiling) in compared {
        let title = format!("{name}.cu, {}", build.name());
        result.attempt(&title, |result| {
            let program = compiling.finish()?;
            let native = Running::start(bench, &program, false, &[], &run_dir)?;
            let fcsp = Running::start(bench, &program, true, &[], &run_dir)?;
            let native = native.finish().context("the native program")?;
            judge(&title, &native, fcsp.finish(), result);
            if build == Build::Usual {
                again.push((name, program, native));
            }
            Ok(())
        });
    }
    beside(bench, &again, &run_dir, result);
    if let Some(compiling) = refuse {
        result.attempt(REFUSE, |result| {
            refusals(bench, &compiling.finish()?, result)
        });
    }
    if let Some(compiling) = fault {
        result.attempt("a program for tools", |result| {
            let program = compiling.finish()?;
            if bench.selects(NCU) {
                tools::ncu(bench, &toolkit, &program, result)?;
            }
            if bench.selects(SANITIZER) {
                tools::sanitizer(bench, &toolkit, &program, result)?;
            }
            Ok(())
        });
    }
    Ok(())
}

/// The same programs while a neighbour keeps the device busy, so that all work waits for its turn.
fn beside(
    bench: &Bench,
    programs: &[(&str, PathBuf, Output)],
    run_dir: &Path,
    result: &mut SuiteResult,
) {
    if programs.is_empty() {
        return;
    }
    result.attempt("beside a saturating tenant", |result| {
        let _neighbour = Neighbour::start(bench, run_dir)?;
        for (name, program, native) in programs {
            let title = format!("{name}.cu beside a saturating tenant");
            let found = Running::start(bench, program, true, &[], run_dir)?.finish();
            judge(&title, native, found, result);
        }
        Ok(())
    });
}

/// A program under FCSP that failed is a miss; what it printed before is then not known, its log is.
fn judge(title: &str, native: &Output, found: Result<Output>, result: &mut SuiteResult) {
    match found {
        Ok(found) => result.add_rows(output::compare(title, native, &found)),
        Err(error) => result.row(Row::fact(
            format!("{title}: same output as native"),
            format!("failed, natively it did not: {error:#}"),
            false,
        )),
    }
}

fn refusals(bench: &Bench, program: &Path, result: &mut SuiteResult) -> Result<()> {
    let title = "refuse.cu, held at the refusal";
    let run_dir = bench.site.fresh_run_dir()?;
    let mut witness = Witness::start(bench, &run_dir)?;
    let from_ns = now_ns();
    let quota = QUOTA_BYTES.to_string();
    let found = Running::start(bench, program, true, &[&quota], &run_dir)?.finish();
    let to_ns = now_ns();
    match found {
        Ok(found) => result
            .rows
            .extend(output::refusals(title, &found, QUOTA_BYTES)),
        Err(error) => result.row(Row::fact(title, format!("{error:#}"), false)),
    }
    let held_bytes = witness.peak_above_now(from_ns, to_ns)?;
    result.row(Row::fact(
        "refuse.cu: seen from outside it stays within the quota",
        format!(
            "{} MiB at most; quota {} MiB",
            held_bytes >> 20,
            QUOTA_BYTES >> 20
        ),
        // It was refused near the quota, so that less says that nothing was seen.
        (QUOTA_BYTES / 2..=QUOTA_BYTES).contains(&held_bytes),
    ));
    Ok(())
}

/// A program on its way.
struct Running {
    child: Child,
}

impl Running {
    fn start(
        bench: &Bench,
        program: &Path,
        fcsp: bool,
        arguments: &[&str],
        run_dir: &Path,
    ) -> Result<Self> {
        let mut command: Vec<OsString> = vec![program.into()];
        command.extend(arguments.iter().map(OsString::from));
        let sharing = if fcsp {
            Sharing::Fcsp(Limits {
                sm_pct: Some(SHARE_PCT.into()),
                ..Limits::quota(QUOTA_BYTES)
            })
        } else {
            Sharing::Native
        };
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let tenant = Tenant::new(name.clone(), sharing, command);
        let mut command = tenant.to_command(&bench.site, run_dir);
        // The program's device 0 is the one that this harness was given.
        command.env("CUDA_VISIBLE_DEVICES", bench.site.device.to_string());
        let label = format!("{name}-{}", if fcsp { "fcsp" } else { "native" });
        let child = Child::spawn(&label, command, &bench.site.log_file(&label))?;
        Ok(Self { child })
    }

    fn finish(self) -> Result<Output> {
        let lines = self.child.finish(Instant::now() + RUN_WITHIN)?;
        Ok(Output::parse(&lines))
    }
}

fn unpack(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.site.disk_file("cuda");
    fs::create_dir_all(&dir)?;
    for (name, text) in SOURCES {
        fs::write(dir.join(name), text)
            .with_context(|| format!("cannot unpack {name} to {}", dir.display()))?;
    }
    Ok(dir)
}
