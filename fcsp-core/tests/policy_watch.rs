//! A policy file that is edited while tenants live.

mod common;

use common::{Helper, region, role, say, soon};
use fcsp_core::policy::edition::Found;
use fcsp_core::policy::watch::{self, Event};
use fcsp_core::policy::{Edition, Limits, Policy, Share};
use fcsp_core::region::{Region, TenantIndex, tenant};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    if let Some((role, dir)) = role() {
        let path = dir.join("policy.toml");
        let duty = watch::queue(&dir, &path).expect("a lock file");
        if role == "parent" {
            duty.wait().expect("nobody has it");
            // SAFETY: the child closes one descriptor and sleeps until it is killed.
            if unsafe { libc::fork() } == 0 {
                duty.abandon_after_fork();
                say(&format!("child {}", std::process::id()));
                loop {
                    // SAFETY: sleeps; touches no memory.
                    unsafe { libc::pause() };
                }
            }
        }
        say("waits");
        watch::run(&duty, &dir, &path, &|_| None, &mut |event| {
            say(&format!("{event:?}"));
        });
    }
}

/// A run directory with a region, a tenant in it, and a policy file about it.
struct Node {
    dir: TempDir,
    region: Arc<Region>,
    index: TenantIndex,
}

impl Node {
    fn new() -> Self {
        let (dir, region) = region();
        let limits = Limits::default();
        let index = tenant::find_or_make(&region, "a", |page| limits.store(page));
        let index = index.expect("a tenant");
        Self { dir, region, index }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("policy.toml")
    }

    fn limits(&self) -> Limits {
        Limits::load(self.region.tenant(self.index))
    }

    /// Writes the file as it is: it is short for a moment.
    fn write(&self, percent: u32) {
        fs::write(self.path(), text(percent)).expect("writes");
    }

    /// Puts another file in its place.
    fn replace(&self, percent: u32) {
        let fresh = self.dir.path().join("fresh.toml");
        fs::write(&fresh, text(percent)).expect("writes");
        fs::rename(fresh, self.path()).expect("renames");
    }

    /// The tenant's program has just read the file, and its environment asks for `percent`.
    fn resolve(&self, percent: u32) {
        let edition = Found::at(&self.path()).expect("tells").edition;
        let limits = Limits {
            entitlement: Share::from_percent(percent),
            edition,
            ..Limits::default()
        };
        limits.store(self.region.tenant(self.index));
    }

    #[track_caller]
    fn soon_has(&self, percent: u32) {
        soon(&format!("{percent} %"), || {
            self.limits().entitlement == Share::from_percent(percent)
        });
    }

    /// As [`Node::soon_has`], without sleeping between looks.
    #[track_caller]
    fn soon_has_at_once(&self, percent: u32) {
        let begun = Instant::now();
        while self.limits().entitlement != Share::from_percent(percent) {
            assert!(begun.elapsed() < Duration::from_secs(2), "{percent} %");
            std::thread::yield_now();
        }
    }

    /// Watches on a thread that goes on until the process ends; gives what it reports, and its id once
    /// it watches.
    fn watch(&self, path: PathBuf) -> (Receiver<Event>, Receiver<i32>) {
        let (dir, (report, reports), (id, ids)) =
            (self.dir.path().to_owned(), channel(), channel());
        std::thread::spawn(move || {
            // SAFETY: asks for the thread's id; touches no memory.
            id.send(unsafe { libc::gettid() }).ok();
            let duty = watch::queue(&dir, &path).expect("a lock file");
            watch::run(&duty, &dir, &path, &|_| None, &mut |event| {
                // The test may be over.
                report.send(event).ok();
            });
        });
        (reports, ids)
    }
}

fn text(percent: u32) -> String {
    format!("[[tenant]]\nname = \"a\"\ncompute = {percent}\n")
}

fn next(reports: &Receiver<Event>) -> Event {
    let event = reports.recv_timeout(Duration::from_secs(2));
    event.expect("it says something")
}

/// Until the thread sleeps in the kernel for want of anything to do.
fn settle(id: i32) {
    let mut last = (wakings(id), Instant::now());
    common::soon("the watcher sleeps", || {
        let now = wakings(id);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(150)
    });
}

/// How often the thread has gone to sleep so far.
fn wakings(id: i32) -> String {
    let status = fs::read_to_string(format!("/proc/self/task/{id}/status")).expect("reads");
    let line = |line: &&str| line.starts_with("voluntary_ctxt_switches");
    status.lines().find(line).expect("Linux counts").to_owned()
}

#[test]
fn an_edit_is_in_force_soon_and_reported() {
    let node = Node::new();
    node.write(25);
    let (reports, _) = node.watch(node.path());
    node.resolve(25);
    for (round, percent) in [60, 10, 33].into_iter().enumerate() {
        if round % 2 == 0 {
            node.replace(percent);
        } else {
            node.write(percent);
        }
        node.soon_has(percent);
        let Event::Changed(what) = next(&reports) else {
            panic!("it changed");
        };
        assert!(
            what.starts_with("tenant a on GPU-1: compute ")
                && what.ends_with(&format!("-> {percent}%")),
            "{what}"
        );
    }
    assert!(node.limits().named_in_policy);
}

#[test]
fn an_edit_holds_within_milliseconds() {
    let node = Node::new();
    node.write(25);
    let (_reports, ids) = node.watch(node.path());
    node.resolve(25);
    settle(ids.recv().expect("it runs"));
    type Edit = fn(&Node, u32);
    for (how, edit) in [
        ("replaced", Node::replace as Edit),
        ("written in place", Node::write),
    ] {
        let took: Vec<Duration> = (1..=20)
            .map(|percent| {
                let begun = Instant::now();
                edit(&node, percent);
                node.soon_has_at_once(percent);
                begun.elapsed()
            })
            .collect();
        // Others may keep it from the processor; the fastest tells what the watcher itself takes.
        let fastest = took.iter().min().expect("some edits");
        assert!(*fastest < Duration::from_millis(4), "{how}: {took:?}");
    }
}

#[test]
fn a_file_is_not_read_while_it_is_written() {
    let node = Node::new();
    node.write(25);
    let (reports, ids) = node.watch(node.path());
    node.resolve(25);
    settle(ids.recv().expect("it runs"));
    let (first, rest) = ("[[tenant]]\nname = \"a\"\ncompute = 6", "0\n");
    let write_slowly = || {
        let mut file = fs::File::create(node.path()).expect("opens it empty");
        for text in [first, rest] {
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(node.limits().entitlement, Share::from_percent(25));
            file.write_all(text.as_bytes()).expect("writes");
        }
    };
    write_slowly();
    node.soon_has(60);
    next(&reports);
    // A new one where none is: whoever makes it is seen to.
    node.replace(25);
    node.soon_has(25);
    next(&reports);
    fs::remove_file(node.path()).expect("removes");
    std::thread::sleep(Duration::from_millis(20));
    write_slowly();
    node.soon_has(60);
    let Event::Changed(what) = next(&reports) else {
        panic!("it was not gone for long");
    };
    assert!(what.ends_with("25% -> 60%"), "{what}");
}

#[test]
fn two_edits_at_once_are_two() {
    let node = Node::new();
    node.write(25);
    let (reports, ids) = node.watch(node.path());
    node.resolve(25);
    settle(ids.recv().expect("it runs"));
    for percent in 30..60 {
        node.write(percent);
        node.soon_has_at_once(percent);
        next(&reports);
    }
}

#[test]
fn a_bad_file_leaves_what_was_in_force_and_is_reported_once() {
    let node = Node::new();
    node.write(25);
    let (reports, ids) = node.watch(node.path());
    node.resolve(25);
    let id = ids.recv().expect("it runs");
    settle(id);
    fs::write(node.path(), "[[tenant]]\nname = \"a\"\ncomptue = 40\n").expect("writes");
    let path = node.path();
    assert_eq!(
        next(&reports),
        Event::Refused(format!(
            "{}:3:1: unknown key \"comptue\"; did you mean \"compute\"?; the keys here are name, \
             profile, compute, memory, memory_mode, mode, burst_max, priority, weight, fail, device; \
             what was in force before still is",
            path.display()
        ))
    );
    settle(id);
    assert_eq!(node.limits().entitlement, Share::from_percent(25));
    assert!(reports.try_recv().is_err(), "once");
    node.replace(40);
    node.soon_has(40);
    next(&reports);
    fs::remove_file(node.path()).expect("removes");
    let gone = next(&reports);
    assert!(
        matches!(&gone, Event::Refused(text) if text.contains("is gone")),
        "{gone:?}"
    );
    assert_eq!(node.limits().entitlement, Share::from_percent(40));
    node.write(50);
    node.soon_has(50);
}

#[test]
fn a_promise_that_cannot_be_kept_is_refused() {
    let node = Node::new();
    node.write(25);
    let strict = Limits {
        mode: fcsp_core::policy::Mode::Strict,
        entitlement: Share::from_percent(70),
        ..Limits::default()
    };
    tenant::find_or_make(&node.region, "b", |page| strict.store(page)).expect("a tenant");
    let (reports, ids) = node.watch(node.path());
    node.resolve(25);
    settle(ids.recv().expect("it runs"));
    fs::write(node.path(), format!("mode = \"strict\"\n{}", text(40))).expect("writes");
    let Event::Refused(why) = next(&reports) else {
        panic!("more than there is");
    };
    assert!(
        why.contains("strict compute on GPU-1 would add up to 110%"),
        "{why}"
    );
    assert_eq!(node.limits().entitlement, Share::from_percent(25));
}

#[test]
fn a_quota_below_what_is_used_is_reported() {
    let node = Node::new();
    node.write(25);
    let attachment = fcsp_core::region::Attachment::join(&node.region, "a", |_| {}).expect("joins");
    attachment.reserve(2 << 30).expect("there is no quota");
    let (reports, ids) = node.watch(node.path());
    node.resolve(25);
    settle(ids.recv().expect("it runs"));
    fs::write(node.path(), format!("{}memory = \"1G\"\n", text(25))).expect("writes");
    assert!(
        matches!(next(&reports), Event::Changed(what) if what.contains("memory unlimited -> 1 GiB"))
    );
    assert!(
        matches!(next(&reports), Event::Warning(what) if what.contains("uses 2 GiB and keeps it"))
    );
    assert!(attachment.reserve(1).is_err(), "it gets no more");
}

#[test]
fn what_a_program_asked_for_holds_until_the_file_is_edited() {
    let node = Node::new();
    node.write(50);
    node.resolve(20);
    let (_reports, ids) = node.watch(node.path());
    settle(ids.recv().expect("it runs"));
    assert_eq!(
        node.limits().entitlement,
        Share::from_percent(20),
        "its limits are of this edition"
    );
    node.write(60);
    node.soon_has(60);
}

#[test]
fn what_was_edited_while_nobody_watched_is_put_in_force() {
    let node = Node::new();
    node.write(50);
    node.resolve(50);
    node.replace(30);
    let (_reports, _) = node.watch(node.path());
    node.soon_has(30);
}

#[test]
fn another_file_is_nobody_elses_business() {
    let node = Node::new();
    let elsewhere = node.dir.path().join("elsewhere.toml");
    fs::write(&elsewhere, text(70)).expect("writes");
    node.write(50);
    node.resolve(50);
    let (_reports, ids) = node.watch(elsewhere.clone());
    let id = ids.recv().expect("it runs");
    settle(id);
    fs::write(&elsewhere, text(80)).expect("writes");
    settle(id);
    assert_eq!(node.limits().entitlement, Share::from_percent(50));
    // And does not keep those from watching who go by this one.
    let (_reports, _) = node.watch(node.path());
    node.replace(55);
    node.soon_has(55);
}

#[test]
fn a_file_that_comes_into_being_is_found() {
    let node = Node::new();
    let path = node.dir.path().join("etc/fcsp/policy.toml");
    let (_reports, ids) = node.watch(path.clone());
    settle(ids.recv().expect("it runs"));
    fs::create_dir_all(path.parent().expect("it has one")).expect("makes it");
    fs::write(&path, text(40)).expect("writes");
    node.soon_has(40);
    fs::write(&path, text(45)).expect("writes");
    node.soon_has(45);
}

#[test]
fn a_link_that_leads_elsewhere_is_an_edit() {
    let node = Node::new();
    let target = |name: &str, percent| {
        let path = node.dir.path().join(name);
        fs::write(&path, text(percent)).expect("writes");
        path
    };
    let link = |target: &Path| {
        let fresh = node.dir.path().join("link");
        std::os::unix::fs::symlink(target, &fresh).expect("links");
        fs::rename(fresh, node.path()).expect("renames");
    };
    link(&target("one", 40));
    node.resolve(40);
    let (_reports, ids) = node.watch(node.path());
    settle(ids.recv().expect("it runs"));
    let two = target("two", 50);
    link(&two);
    node.soon_has(50);
    fs::write(two, text(55)).expect("writes");
    node.soon_has(55);
}

#[test]
fn a_watcher_does_not_wake_while_nothing_is_edited() {
    let node = Node::new();
    node.write(50);
    let (_reports, ids) = node.watch(node.path());
    let (_others, others) = node.watch(node.path());
    let ids = [ids, others].map(|ids| ids.recv().expect("it runs"));
    ids.into_iter().for_each(settle);
    let before = ids.map(wakings);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(ids.map(wakings), before);
}

#[test]
fn another_process_goes_on_when_the_watcher_is_killed() {
    let node = Node::new();
    node.write(50);
    node.resolve(50);
    let spawn = || Helper::spawn("watcher", node.dir.path(), &[]);
    let mut first = spawn();
    first.hear("waits");
    node.replace(60);
    first.hear("Changed");
    let mut second = spawn();
    second.hear("waits");
    // What is edited while the watcher cannot see it is not lost.
    first.signal(libc::SIGSTOP);
    assert!(first.is_stopped());
    node.replace(70);
    first.kill();
    second.hear("Changed");
    assert_eq!(node.limits().entitlement, Share::from_percent(70));
    node.replace(80);
    second.hear("Changed");
    assert_eq!(node.limits().entitlement, Share::from_percent(80));
}

#[test]
fn a_fork_child_does_not_keep_the_duty_of_its_dead_parent() {
    let node = Node::new();
    node.write(50);
    node.resolve(50);
    let mut parent = Helper::spawn("parent", node.dir.path(), &[]);
    let _ends_with_the_test = Orphan(parent.hear("child").parse().expect("a process id"));
    parent.kill();
    let (_reports, _) = node.watch(node.path());
    node.replace(60);
    node.soon_has(60);
}

/// A process that sleeps until it is killed.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: sends a signal to a process that ends by nothing else.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

#[test]
fn one_that_cannot_watch_leaves_it_to_the_next() {
    let node = Node::new();
    node.write(50);
    node.resolve(50);
    let duty = watch::queue(node.dir.path(), &node.path()).expect("a lock file");
    duty.wait().expect("nobody has it");
    let (_reports, _) = node.watch(node.path());
    node.replace(60);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(
        node.limits().entitlement,
        Share::from_percent(50),
        "it waits"
    );
    duty.give_up();
    node.soon_has(60);
}

#[test]
fn the_edition_is_that_of_the_text() {
    let node = Node::new();
    node.write(50);
    let policy = Policy::read(&node.path()).expect("valid");
    let found = Found::at(&node.path()).expect("tells");
    assert_eq!(policy.edition, found.edition);
    assert_eq!(
        Policy::parse(&node.path(), "").expect("valid").edition,
        Edition::NONE
    );
}
