//! What the threads of a process cost, as the kernel counts it: `/proc/PID/task`.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Names of the threads that FCSP adds to a program.
pub const OF_FCSP: [&str; 3] = ["fcsp-observer", "fcsp-usage", "fcsp-policy"];

/// What one thread has used so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// Processor time, in nanoseconds; no finer than the kernel's clock ticks where it keeps no statistics of its scheduler.
    pub cpu_ns: u64,
    /// How often it went to sleep by itself, and so was woken up.
    pub sleeps: u64,
}

/// All threads of a process, by thread id.
pub fn of_process(pid: u32) -> Result<BTreeMap<u32, Thread>> {
    let tasks = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&tasks).with_context(|| format!("no process {pid}"))?;
    let mut threads = BTreeMap::new();
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
            continue;
        };
        // One that ended since the listing is none.
        if let Some(thread) = read(&entry.path())? {
            threads.insert(id, thread);
        }
    }
    Ok(threads)
}

fn read(task: &Path) -> Result<Option<Thread>> {
    let file = |name: &str| fs::read_to_string(task.join(name));
    let (Ok(stat), Ok(status)) = (file("stat"), file("status")) else {
        return Ok(None);
    };
    // SAFETY: no memory is passed.
    let ticks_per_s = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ensure!(ticks_per_s > 0, "the kernel tells no length of its ticks");
    let thread = parse(&stat, &status, ticks_per_s as u64)
        .with_context(|| format!("{} reads otherwise than proc(5) says", task.display()))?;
    let exact_ns = file("schedstat").ok().and_then(|it| on_cpu_ns(&it));
    Ok(Some(Thread {
        cpu_ns: exact_ns.unwrap_or(thread.cpu_ns),
        ..thread
    }))
}

/// The kernel's `Documentation/scheduler/sched-stats.rst`: the first of three numbers is the time spent on a processor. All
/// are 0 in kernels that do not count it.
fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    let spent = schedstat.split_whitespace().next()?.parse().ok();
    spent.filter(|ns| *ns != 0)
}

/// `proc_pid_stat(5)`: the name is in brackets and may hold any character; fields 14 and 15 are the
/// time in user and in kernel mode. `proc_pid_status(5)`: `voluntary_ctxt_switches`.
fn parse(stat: &str, status: &str, ticks_per_s: u64) -> Option<Thread> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let name = stat.get(open + 1..close)?.to_owned();
    let fields: Vec<&str> = stat.get(close + 1..)?.split_whitespace().collect();
    // The first of these is field 3.
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let cpu_ns = (ticks(14)? + ticks(15)?) * (1_000_000_000 / ticks_per_s);
    let sleeps = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    Some(Thread {
        name,
        cpu_ns,
        sleeps: sleeps.trim().parse().ok()?,
    })
}

/// What threads of FCSP used between two looks at a process, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Processor time by thread name, in nanoseconds.
    pub cpu_ns: BTreeMap<String, u64>,
    /// Wake-ups by thread name.
    pub wakeups: BTreeMap<String, u64>,
}

impl Used {
    /// Of the threads named in [`OF_FCSP`]. One that was not there before counts from nothing.
    pub fn between(before: &BTreeMap<u32, Thread>, after: &BTreeMap<u32, Thread>) -> Self {
        let mut used = Self::default();
        for (id, now) in after {
            if !OF_FCSP.contains(&now.name.as_str()) {
                continue;
            }
            let then = before.get(id);
            let since = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or(0));
            *used.cpu_ns.entry(now.name.clone()).or_default() +=
                since(now.cpu_ns, then.map(|it| it.cpu_ns));
            *used.wakeups.entry(now.name.clone()).or_default() +=
                since(now.sleeps, then.map(|it| it.sleeps));
        }
        used
    }

    /// Processor time of all of them.
    pub fn cpu_ns_total(&self) -> u64 {
        self.cpu_ns.values().sum()
    }

    /// Wake-ups of all of them.
    pub fn wakeups_total(&self) -> u64 {
        self.wakeups.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nvoluntary_ctxt_switches:\t42\nnonvoluntary_ctxt_switches:\t7\n";

    #[test]
    fn a_name_with_brackets_and_blanks_moves_no_field() {
        let stat = "17 (a) b) S 1 17 17 0 -1 4194560 5 0 0 0 12 30 0 0 20 0 3 0 99 0 0";
        let thread = parse(stat, STATUS, 100).expect("well formed");
        assert_eq!(thread.name, "a) b");
        assert_eq!(thread.cpu_ns, 420_000_000);
        assert_eq!(thread.sleeps, 42);
        assert_eq!(parse("17 (a) S 1", STATUS, 100), None);
    }

    #[test]
    fn the_first_number_is_what_a_thread_had_of_a_processor() {
        assert_eq!(on_cpu_ns("18763250 21130 215\n"), Some(18_763_250));
        assert_eq!(on_cpu_ns("0 0 0\n"), None, "not counted");
        assert_eq!(on_cpu_ns(""), None);
    }

    #[test]
    fn a_thread_of_this_process_is_found_by_its_name_and_its_sleeps_are_counted() {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (asleep, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("fcsp-usage".into())
            .spawn(move || {
                for _ in 0..20 {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
                asleep.send(()).expect("the test waits");
                // Ends with the test's end of the channel.
                let _ = wait.recv();
            })
            .expect("a thread starts");
        let before = BTreeMap::new();
        told.recv().expect("it slept");
        let used = Used::between(&before, &of_process(std::process::id()).expect("it runs"));
        assert!(used.wakeups_total() >= 20, "{used:?}");
        assert_eq!(used.wakeups.keys().collect::<Vec<_>>(), ["fcsp-usage"]);
        drop(done);
        thread.join().expect("it ends");
    }

    #[test]
    fn what_was_used_before_does_not_count() {
        let at = |cpu_ns, sleeps| {
            let name = "fcsp-observer".to_owned();
            BTreeMap::from([(
                1,
                Thread {
                    name,
                    cpu_ns,
                    sleeps,
                },
            )])
        };
        let used = Used::between(&at(100, 5), &at(150, 9));
        assert_eq!((used.cpu_ns_total(), used.wakeups_total()), (50, 4));
    }
}
