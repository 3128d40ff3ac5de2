//! Two training jobs, each of two processes that add up their gradients over two devices, on the same two
//! devices. A turn passes on each device by itself, so that a job can have its turn on one and not on the
//! other; what that costs is asked here.

use anyhow::{Context, Result, ensure};
use fcsp_hw_tests::stats::mean;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::python;
use crate::bench::Bench;
use crate::child::Child;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const TITLE: &str = "two jobs on two devices";
const DEVICES: usize = 2;
const SHARE_PCT: u32 = 50;
const NAMES: [&str; 2] = ["a", "b"];
/// Of what one job alone does.
const TOTAL_MIN: f64 = 0.95;
/// Beyond the longest step of one job alone.
const STALL_MS_MAX: f64 = 100.0;
/// Importing PyTorch in twelve processes, and making communicators.
const READY_WITHIN: Duration = Duration::from_secs(150);
/// A thousand steps take some seconds; this is for jobs that hang.
const STEPS_WITHIN: Duration = Duration::from_secs(60);
const END_WITHIN: Duration = Duration::from_secs(20);
/// As in the `frameworks` suite: the same bits twice, and no multicast over NVLink, which is not for hosts that
/// others use too.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"),
    ("NCCL_NVLS_ENABLE", "0"),
];

/// What `jobs.py` says after so many steps.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Steps {
    began_ns: u64,
    ends_ns: Vec<u64>,
    digest: String,
}

impl Steps {
    fn end_ns(&self) -> u64 {
        self.ends_ns.last().copied().unwrap_or(self.began_ns)
    }

    /// Steps per second of those that ended in a time.
    fn rate(&self, from_ns: u64, to_ns: u64) -> f64 {
        let within = self.ends_ns.iter();
        let count = within.filter(|&&end_ns| end_ns > from_ns && end_ns <= to_ns);
        count.count() as f64 * 1e9 / to_ns.saturating_sub(from_ns).max(1) as f64
    }

    fn whole_rate(&self) -> f64 {
        self.rate(self.began_ns, self.end_ns())
    }

    fn longest_ms(&self) -> f64 {
        let mut before_ns = self.began_ns;
        let mut longest_ns = 0;
        for &end_ns in &self.ends_ns {
            longest_ns = longest_ns.max(end_ns.saturating_sub(before_ns));
            before_ns = end_ns;
        }
        longest_ns as f64 / 1e6
    }
}

/// Two jobs at once.
#[derive(Debug, Serialize)]
struct Both([Steps; 2]);

impl Both {
    /// Steps per second of each while both ran.
    fn rates(&self) -> [f64; 2] {
        let [a, b] = &self.0;
        let from_ns = a.began_ns.max(b.began_ns);
        let to_ns = a.end_ns().min(b.end_ns());
        [a.rate(from_ns, to_ns), b.rate(from_ns, to_ns)]
    }

    fn longest_ms(&self) -> f64 {
        self.0.iter().map(Steps::longest_ms).fold(0.0, f64::max)
    }
}

/// Each job natively alone and under FCSP, both at once under FCSP, and both with the driver's slicing.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if let Some(reason) = missing(bench)? {
        result.row(Row::skipped(TITLE, reason));
        return Ok(());
    }
    let script = python::unpack(bench)?.join("jobs.py");
    measure(bench, &script, bench.either(1_000, 300), result)
}

fn missing(bench: &Bench) -> Result<Option<String>> {
    if let Some(reason) = python::missing(bench)? {
        return Ok(Some(reason));
    }
    let output = Command::new(&bench.site.python)
        .args(["-c", "import torch; print(torch.cuda.device_count())"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found: usize = text
        .trim()
        .parse()
        .with_context(|| format!("PyTorch counts {text:?} devices"))?;
    Ok((found < DEVICES).then(|| format!("needs {DEVICES} devices, here is {found}")))
}

/// The order matters: alone is before and after what is compared with it, and the driver's slicing, of which
/// nobody knows how long it takes, is last. What fails under FCSP while native jobs go on is a miss.
fn measure(bench: &Bench, script: &Path, count: usize, result: &mut SuiteResult) -> Result<()> {
    let mut native = start(bench, script, &Sharing::Native)?;
    let fcsp = start(bench, script, &Sharing::Fcsp(Limits::share(SHARE_PCT)))?;
    let ready_by = Instant::now() + READY_WITHIN;
    let version = ready(&mut native, ready_by)?;
    let mut alone = vec![steps(&mut native[0], count)?];
    let found = under_fcsp(fcsp, count, ready_by);
    alone.push(steps(&mut native[0], count)?);
    match &found {
        Ok(found) => result.add_rows(judge(&alone, found)),
        Err(error) => result.row(Row::fact(
            format!("{TITLE}: they go on under FCSP"),
            format!("failed, natively they did not: {error:#}"),
            false,
        )),
    }
    let slicing = both(&mut native, count);
    result.row(Row::info(
        format!("{TITLE}, driver's slicing: total, of one alone"),
        match &slicing {
            Ok(slicing) => text(slicing, mean_rate(&alone)),
            Err(error) => format!("{error:#}"),
        },
    ));
    result.details.push(json!({
        "version": version, "alone": alone, "fcsp": found.ok(), "slicing": slicing.as_ref().ok(),
    }));
    if slicing.is_ok() {
        end(native)?;
    }
    Ok(())
}

/// What jobs did under FCSP.
#[derive(Debug, Serialize)]
struct Found {
    single: Steps,
    both: Both,
}

fn under_fcsp(mut jobs: [Child; 2], count: usize, ready_by: Instant) -> Result<Found> {
    ready(&mut jobs, ready_by)?;
    let found = Found {
        single: steps(&mut jobs[0], count)?,
        both: both(&mut jobs, count)?,
    };
    end(jobs)?;
    Ok(found)
}

/// Two jobs that meet in a run directory of their own. They begin to prepare, and are not waited for.
fn start(bench: &Bench, script: &Path, sharing: &Sharing) -> Result<[Child; 2]> {
    let run_dir = bench.site.fresh_run_dir()?;
    let start = |name: &str| -> Result<Child> {
        let command: Vec<OsString> = vec![bench.site.python.clone().into(), script.into()];
        let mut tenant = Tenant::new(name, sharing.clone(), command);
        for (key, value) in ENVIRONMENT {
            tenant = tenant.with_env(key, value);
        }
        let mut job = python::spawn(bench, &tenant, &run_dir)?;
        job.say("prepare")?;
        Ok(job)
    };
    Ok([start(NAMES[0])?, start(NAMES[1])?])
}

/// Waits until both can train; which versions they use.
fn ready(jobs: &mut [Child; 2], by: Instant) -> Result<String> {
    let mut version = String::new();
    for job in jobs {
        version = job.answer("prepare", by)?;
    }
    Ok(version)
}

fn steps(job: &mut Child, count: usize) -> Result<Steps> {
    let question = format!("steps {count}");
    parse(&job.ask(&question, Instant::now() + STEPS_WITHIN)?, count)
}

fn both(jobs: &mut [Child; 2], count: usize) -> Result<Both> {
    let question = format!("steps {count}");
    for job in jobs.iter_mut() {
        job.say(&question)?;
    }
    let by = Instant::now() + STEPS_WITHIN;
    let [a, b] = jobs;
    Ok(Both([
        parse(&a.answer(&question, by)?, count)?,
        parse(&b.answer(&question, by)?, count)?,
    ]))
}

fn parse(line: &str, count: usize) -> Result<Steps> {
    let steps: Steps = serde_json::from_str(line)
        .with_context(|| format!("jobs.py printed something else: {line}"))?;
    let found = steps.ends_ns.len();
    ensure!(found == count, "it did {found} steps, not {count}");
    Ok(steps)
}

fn end(jobs: [Child; 2]) -> Result<()> {
    for job in jobs {
        job.finish(Instant::now() + END_WITHIN)?;
    }
    Ok(())
}

fn mean_rate(alone: &[Steps]) -> f64 {
    mean(&alone.iter().map(Steps::whole_rate).collect::<Vec<_>>())
}

fn text(both: &Both, alone_rate: f64) -> String {
    let [a, b] = both.rates().map(|rate| rate / alone_rate);
    format!(
        "{:.3} ({a:.3} and {b:.3}), longest step {:.1} ms",
        a + b,
        both.longest_ms()
    )
}

fn judge(alone: &[Steps], found: &Found) -> Vec<Row> {
    let alone_rate = mean_rate(alone);
    let alone_longest_ms = alone.iter().map(Steps::longest_ms).fold(0.0, f64::max);
    let both = &found.both;
    let total = both.rates().iter().sum::<f64>() / alone_rate;
    let expected = alone.first().map(|it| it.digest.as_str());
    let digests = alone
        .iter()
        .chain([&found.single])
        .chain(&both.0)
        .map(|it| it.digest.as_str());
    let differing = digests.filter(|it| Some(*it) != expected).count();
    vec![
        Row::number(
            format!(
                "{TITLE}: total, of one alone ({alone_rate:.1} steps/s; {})",
                text(both, alone_rate)
            ),
            total,
            "",
            Bar::AtLeast(TOTAL_MIN),
        ),
        Row::number(
            format!(
                "{TITLE}: the longest step, beyond that of one alone ({alone_longest_ms:.1} ms)"
            ),
            both.longest_ms() - alone_longest_ms,
            "ms",
            Bar::AtMost(STALL_MS_MAX),
        ),
        Row::fact(
            format!("{TITLE}: the same weights as natively"),
            match differing {
                0 => "equal to the bit, one alone and both".into(),
                some => format!("{some} of {} differ", alone.len() + 3),
            },
            differing == 0 && expected.is_some(),
        ),
        Row::number(
            format!("{TITLE}: one alone under FCSP, of native"),
            found.single.whole_rate() / alone_rate,
            "",
            Bar::None,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict::{self, Info, Miss, Pass};
    use crate::site::{Site, Vendor};
    use std::fs;
    use tempfile::TempDir;

    /// Steps of `ms` each, from `from_ms` on.
    fn even(from_ms: u64, ms: u64, count: u64, digest: &str) -> Steps {
        Steps {
            began_ns: from_ms * 1_000_000,
            ends_ns: (1..=count)
                .map(|n| (from_ms + n * ms) * 1_000_000)
                .collect(),
            digest: digest.into(),
        }
    }

    fn verdicts(found: &Found) -> Vec<Verdict> {
        let alone = [even(0, 4, 100, "w"), even(5_000, 4, 100, "w")];
        let rows = judge(&alone, found);
        rows.iter().map(|row| row.verdict).collect()
    }

    #[test]
    fn what_counts_is_the_time_in_which_both_ran() {
        // The second goes on alone, twice as fast, after the first has ended at 1 s.
        let mut second = even(10, 8, 123, "w");
        let alone = (1..=50).map(|n| (1_000 + n * 4) * 1_000_000);
        second.ends_ns.extend(alone);
        let found = Both([even(0, 8, 125, "w"), second]);
        let [a, b] = found.rates();
        assert!(
            (a - 125.0).abs() < 1.5 && (b - 125.0).abs() < 1.5,
            "{a} {b}"
        );
    }

    #[test]
    fn a_slow_pair_a_stall_and_other_weights_are_misses() {
        let found = |ms, digest| Found {
            single: even(0, 4, 100, "w"),
            both: Both([even(0, ms, 100, "w"), even(0, ms, 100, digest)]),
        };
        assert_eq!(verdicts(&found(8, "w")), [Pass, Pass, Pass, Info]);
        assert_eq!(verdicts(&found(9, "w")), [Miss, Pass, Pass, Info]);
        assert_eq!(verdicts(&found(8, "v")), [Pass, Pass, Miss, Info]);
        let mut stalled = found(8, "w");
        for end_ns in &mut stalled.both.0[1].ends_ns[50..] {
            *end_ns += 101_000_000;
        }
        assert_eq!(verdicts(&stalled)[1], Miss);
    }

    /// Jobs that need no device: shells that answer as jobs.py does, or do something else under FCSP.
    fn carry_out(fcsp: &str) -> Vec<(Verdict, String)> {
        let dir = TempDir::new().expect("a temporary directory");
        let script = format!(
            "while read -r question count; do\n\
             if [ -n \"$FCSP_TENANT\" ] && [ $question = steps ]; then {fcsp}; fi\n\
             case $question in prepare) echo '{{\"ready\": \"fake\"}}';;\n\
             *) echo '{{\"began_ns\": 0, \"ends_ns\": [4000000, 8000000], \"digest\": \"w\"}}';;\n\
             esac\ndone\n"
        );
        for file in ["bin/fcsp-load", "lib/libfcsp-cuda.so", "jobs.sh"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("room for it");
            fs::write(path, &script).expect("a file");
        }
        let out = dir.path().join("out");
        let site = Site::open(
            Some(dir.path()),
            &out,
            false,
            Vendor::Nvidia,
            0,
            Path::new("sh"),
        )
        .expect("a site");
        let bench = Bench::without_device(site);
        let mut result = SuiteResult::default();
        measure(&bench, &dir.path().join("jobs.sh"), 2, &mut result).expect("native jobs go on");
        let rows = result.rows.into_iter();
        rows.map(|row| (row.verdict, row.measured)).collect()
    }

    #[test]
    fn jobs_that_fail_under_fcsp_only_are_a_miss_with_their_reason() {
        let _alone = crate::site::one_at_a_time();
        let well: Vec<Verdict> = carry_out(":").into_iter().map(|it| it.0).collect();
        assert_eq!(well, [Pass, Pass, Pass, Info, Info]);
        let rows = carry_out("echo no peer >&2; exit 3");
        assert_eq!(rows[0].0, Miss);
        assert!(rows[0].1.contains("no peer"), "{}", rows[0].1);
        assert_eq!(rows[1].0, Info);
    }
}
