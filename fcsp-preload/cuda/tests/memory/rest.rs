//! Threads of ours in a program that does nothing.

use crate::support::{Program, TENANT};
use std::time::{Duration, Instant};

/// The last look at what a context takes comes after that.
const LOOKS_OVER: Duration = Duration::from_millis(7_000);

/// How often threads of ours went to sleep by themselves so far, and so were woken up.
fn sleeps() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process has threads");
    let ours = tasks.flatten().filter(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("fcsp-")
    });
    let counts = ours.map(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).expect("it lives");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .expect("Linux counts them")
    });
    counts.sum()
}

#[test]
fn an_idle_program_is_not_woken_up_and_one_that_stirs_is_looked_at() {
    let managed = Program {
        nvml: true,
        ..TENANT
    };
    managed.run(crate::here!(), |cuda| {
        let kept = cuda.alloc_mib(64);
        std::thread::sleep(LOOKS_OVER);
        let before = sleeps();
        assert!(before > 0, "threads of ours are there");
        // Longer than the pause between two looks of a program at work.
        std::thread::sleep(Duration::from_millis(10_500));
        assert_eq!(sleeps(), before, "somebody woke up");
        ok!(cuda, cuCtxSynchronize());
        let stirred = Instant::now();
        while sleeps() == before {
            assert!(stirred.elapsed() < Duration::from_secs(5), "nobody looks");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cuda.charged_mib(), 64);
        ok!(cuda, cuMemFree_v2(kept));
    });
}
