//! Many processes with many threads on one quota: never a byte over at any sample, and none lost,
//! even while processes are killed.

mod common;

use common::{Helper, pause, quota, region, role, say};
use fcsp_core::region::{Attachment, reclaim, scan};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const QUOTA_BYTES: u64 = 1 << 30;
const OPERATIONS: &str = "FCSP_TEST_OPERATIONS";
const THREADS: &str = "FCSP_TEST_THREADS";

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    if let Some((_, dir)) = role() {
        race(&dir);
    }
}

fn number(name: &str) -> u64 {
    std::env::var(name)
        .expect("is set")
        .parse()
        .expect("a number")
}

/// A small generator of its own per thread: the race needs variety, not quality (xorshift64,
/// Marsaglia 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Reserves and releases from many threads, giving everything back at the end.
fn race(dir: &Path) {
    let region = common::open(dir);
    let attachment = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    let (threads, operations) = (number(THREADS), number(OPERATIONS));
    let refusals = AtomicU64::new(0);
    say("ready");
    pause();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (ledger, refusals) = (attachment.ledger(), &refusals);
            let mut state = (u64::from(std::process::id()) << 16) | (thread + 1);
            scope.spawn(move || {
                let mut held = Vec::new();
                for _ in 0..operations / threads {
                    let bytes = next(&mut state) % (QUOTA_BYTES / 64);
                    // Rather reserve than release, so that the quota is what stops it.
                    if held.is_empty() || bytes % 8 < 5 {
                        match ledger.reserve(bytes) {
                            Ok(()) => held.push(bytes),
                            Err(refused) => {
                                assert!(refused.used_bytes + bytes > QUOTA_BYTES);
                                refusals.fetch_add(1, Ordering::Relaxed);
                                held.drain(..).for_each(|bytes| ledger.release(bytes));
                            }
                        }
                    } else if let Some(bytes) = held.pop() {
                        ledger.release(bytes);
                    }
                }
                held.into_iter().for_each(|bytes| ledger.release(bytes));
            });
        }
    });
    assert_eq!(attachment.ledger().slot_bytes(), 0);
    assert_eq!(attachment.detach().expect("leaves"), 0);
    say(&format!("refused {}", refusals.into_inner()));
}

/// Samples the tenant while `processes` race; gives how often the quota stopped one.
fn run(processes: usize, threads: u64, operations: u64) -> u64 {
    let (dir, region) = region();
    let observer = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    let environment = [
        (THREADS, &*threads.to_string()),
        (OPERATIONS, &*(operations / processes as u64).to_string()),
    ];
    let mut helpers: Vec<_> = (0..processes)
        .map(|_| Helper::spawn("race", dir.path(), &environment))
        .collect();
    helpers.iter_mut().for_each(|it| drop(it.hear("ready")));
    let started = Instant::now();
    helpers.iter_mut().for_each(Helper::go_on);
    let mut samples = 0_u64;
    // The observer has a slot too.
    while scan::live_slots(region.layout()).count() > 1 {
        for _ in 0..1000 {
            let used_bytes = observer.tenant().used.bytes();
            assert!(
                used_bytes <= QUOTA_BYTES,
                "{used_bytes} bytes at sample {samples}"
            );
            samples += 1;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    let elapsed = started.elapsed();
    let refusals = helpers
        .iter_mut()
        .map(|it| it.hear("refused").parse::<u64>().expect("a number"))
        .sum();
    let peak_bytes = observer.tenant().memory.peak_bytes.load(Ordering::Relaxed);
    assert_eq!(observer.ledger().used_bytes(), 0);
    assert!(peak_bytes <= QUOTA_BYTES);
    println!(
        "{operations} operations, {processes} processes with {threads} threads, {elapsed:.2?}, \
         {samples} samples, {refusals} refusals, peak {peak_bytes} of {QUOTA_BYTES}"
    );
    refusals
}

#[test]
fn a_million_operations_of_eight_processes_stay_within_the_quota() {
    assert!(run(8, 8, 1_000_000) > 0, "the quota never mattered");
}

#[test]
#[ignore = "long: ten million operations"]
fn ten_million_operations_of_sixty_four_threads_stay_within_the_quota() {
    assert!(run(1, 64, 10_000_000) > 0, "the quota never mattered");
    assert!(run(8, 8, 10_000_000) > 0, "the quota never mattered");
}

#[test]
fn processes_killed_at_random_lose_nothing() {
    let (dir, region) = region();
    let observer = Attachment::join(&region, "shared", quota(QUOTA_BYTES)).expect("joins");
    observer.ledger().reserve(4096).expect("fits");
    let environment = [(THREADS, "4"), (OPERATIONS, "1000000000")];
    let mut state = 0x5eed_u64;
    let spawn = || {
        let mut helper = Helper::spawn("race", dir.path(), &environment);
        helper.hear("ready");
        helper.go_on();
        helper
    };
    let mut helpers: Vec<_> = (0..4).map(|_| spawn()).collect();
    let mut reclaimed = reclaim::Reclaimed::default();
    for _ in 0..60 {
        std::thread::sleep(Duration::from_micros(next(&mut state) % 5000));
        let victim = next(&mut state) as usize % helpers.len();
        helpers.swap_remove(victim).kill();
        let used_bytes = observer.tenant().used.bytes();
        assert!(used_bytes <= QUOTA_BYTES, "{used_bytes} bytes");
        let now = reclaim::reclaim_dead(&region).expect("reclaims");
        reclaimed.slots += now.slots;
        reclaimed.bytes += now.bytes;
        helpers.push(spawn());
    }
    helpers.into_iter().for_each(Helper::kill);
    let last = reclaim::reclaim_dead(&region).expect("reclaims");
    assert_eq!(reclaimed.slots + last.slots, 64);
    assert!(reclaimed.bytes + last.bytes > 0);
    assert_eq!(observer.ledger().used_bytes(), 4096);
    assert_eq!(observer.ledger().slot_bytes(), 4096);
    assert_eq!(scan::slots(region.layout()).count(), 1);
}
