//! Who is dead and who only looks it: closed descriptors, forks, raw clones, exec, other PID
//! namespaces. All of them real processes.

mod common;

use common::{Helper, pause, quota, region, role, say, soon};
use fcsp_core::region::liveness::{Liveness, verdict};
use fcsp_core::region::{Attachment, Region, RobustHold, SlotIndex, reclaim, scan};
use fcsp_core::sync::Ordering;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

const BYTES: u64 = 5000;

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    let Some((role, dir)) = role() else { return };
    let watch = match role.as_str() {
        "ends its watch" => Watch::ThreadEnds,
        "forks and drops" | "executes unwatched" | "executes itself unwatched" => Watch::None,
        _ => Watch::UntilToldOtherwise,
    };
    let attached = attach(&dir, watch);
    match role.as_str() {
        "stays" => pause(),
        "closes descriptors" => {
            for fd in 3..4096 {
                // SAFETY: closes what others may own, which is what this test is about.
                unsafe { libc::close(fd) };
            }
            attached.lose_and_leave();
        }
        "replaces descriptors" => {
            // SAFETY: replaces what others own, which is what this test is about.
            let replaced: Vec<_> = unsafe {
                (3..4096)
                    .filter(|fd| libc::fcntl(*fd, libc::F_GETFD) >= 0 && libc::dup2(2, *fd) >= 0)
                    .collect()
            };
            attached.lose_and_leave();
            for fd in replaced {
                // SAFETY: asks for flags; touches no memory.
                let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
                assert!(flags >= 0, "{fd} was closed");
            }
            say("untouched");
        }
        "forks" => fork_and_stay(|| {
            tell_if_inherited(&attached.attachment);
            attached.attachment.abandon_after_fork();
        }),
        "forks and drops" => {
            fork_and_stay(|| drop(Arc::try_unwrap(attached.attachment).expect("the only one")));
        }
        "forks silently" => fork_and_stay(|| {}),
        "clones" => {
            // SAFETY: a child with a copy of this address space, which makes system calls only.
            let clone = || unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
            part_and_stay(
                || clone() as i32,
                || tell_if_inherited(&attached.attachment),
            );
        }
        "ends its watch" => {
            attached.watch.join().expect("ends");
            say("watch ended");
            pause();
        }
        "executes" | "executes unwatched" => {
            let error = Command::new("sleep").arg("600").exec();
            panic!("{error}");
        }
        "executes itself" | "executes itself unwatched" => {
            let error = Command::new(std::env::current_exe().expect("a path"))
                .args(["--exact", "helper_process", "--ignored", "--nocapture"])
                .env("FCSP_TEST_ROLE", "stays")
                .exec();
            panic!("{error}");
        }
        other => panic!("no role {other}"),
    }
}

/// An attachment, and the thread that the kernel watches for it.
struct Attached {
    attachment: Arc<Attachment>,
    end_watch: mpsc::Sender<()>,
    watch: JoinHandle<()>,
}

/// How the watch goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    UntilToldOtherwise,
    ThreadEnds,
    None,
}

fn attach(dir: &Path, watch: Watch) -> Attached {
    let region = common::open(dir);
    let attachment = Attachment::join(&region, "shared", quota(1_000_000)).expect("joins");
    attachment.ledger().reserve(BYTES).expect("fits");
    let attachment = Arc::new(attachment);
    let watched = (watch != Watch::None).then(|| Arc::clone(&attachment));
    let (ready, is_ready) = mpsc::channel();
    let (end_watch, end) = mpsc::channel();
    let watch_thread = std::thread::spawn(move || {
        let hold = watched.map(|it| RobustHold::new(&it).expect("watches"));
        ready.send(()).expect("a receiver");
        if watch == Watch::ThreadEnds {
            std::mem::forget(hold);
        } else {
            end.recv().expect("a sender");
        }
    });
    is_ready.recv().expect("the thread says so");
    say(&format!("attached {}", attachment.slot_index().0));
    pause();
    Attached {
        attachment,
        end_watch,
        watch: watch_thread,
    }
}

impl Attached {
    fn lose_and_leave(self) {
        say("lost");
        pause();
        self.attachment.ledger().reserve(BYTES).expect("works on");
        self.end_watch.send(()).expect("a receiver");
        self.watch.join().expect("ends");
        let attachment = Arc::try_unwrap(self.attachment).expect("the only reference");
        let bytes = attachment.detach().expect("leaves");
        say(&format!("left {bytes}"));
        pause();
    }
}

/// The process goes on, and so does a child that did `in_child` first.
fn fork_and_stay(in_child: impl FnOnce()) {
    // SAFETY: the child makes system calls only, besides what is tested.
    part_and_stay(|| unsafe { libc::fork() }, in_child);
}

fn part_and_stay(part: impl FnOnce() -> i32, in_child: impl FnOnce()) {
    let (mut ended, end) = std::io::pipe().expect("a pipe");
    let pid = part();
    if pid == 0 {
        in_child();
        drop(end);
        loop {
            // SAFETY: sleeps until a signal ends the process.
            unsafe { libc::pause() };
        }
    }
    assert!(pid > 0);
    drop(end);
    // Until the child has let go of its end, too.
    ended.read_to_end(&mut Vec::new()).expect("reads");
    say(&format!("child {pid}"));
    pause();
}

/// In a child: says that it knows whose slot it is, without the standard library, whose locks other
/// threads may have had when it was made.
fn tell_if_inherited(attachment: &Attachment) {
    if attachment.is_inherited() {
        // SAFETY: writes a constant text.
        unsafe { libc::write(1, c"inherited\n".as_ptr().cast(), 10) };
    }
}

/// A process that no `Helper` cleans up.
struct Orphan(i32);

impl Drop for Orphan {
    fn drop(&mut self) {
        // SAFETY: sends a signal to the orphan, which nothing but this test knows.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

fn helper(role: &str, dir: &Path) -> (Helper, SlotIndex) {
    let mut helper = Helper::spawn(role, dir, &[]);
    let slot = SlotIndex(helper.hear("attached").parse().expect("a slot"));
    helper.go_on();
    (helper, slot)
}

/// Lets the slot look as if its process were in another PID namespace.
fn move_to_another_namespace(region: &Region, slot: SlotIndex) {
    let namespace = &region.slot(slot).pid_namespace;
    namespace.fetch_add(1, Ordering::Relaxed);
}

fn assert_reclaimed(region: &Region, slot: SlotIndex) {
    let tenant = scan::tenant_of(region.slot(slot));
    let used_bytes = region.tenant(tenant).used.bytes();
    assert_eq!(reclaim::reclaim(region, slot).expect("works"), Some(BYTES));
    assert_eq!(region.tenant(tenant).used.bytes(), used_bytes - BYTES);
    assert_eq!(reclaim::reclaim(region, slot).expect("works"), None);
}

fn assert_untouchable(region: &Region, slot: SlotIndex) {
    assert_eq!(verdict(region, slot), Liveness::Alive);
    assert_eq!(reclaim::reclaim(region, slot).expect("works"), None);
}

#[test]
fn a_killed_process_is_dead_before_its_parent_takes_note() {
    for moved in [false, true] {
        let (dir, region) = region();
        let (helper, slot) = helper("stays", dir.path());
        if moved {
            move_to_another_namespace(&region, slot);
        }
        assert_untouchable(&region, slot);
        helper.signal(libc::SIGKILL);
        soon("dead", || verdict(&region, slot) == Liveness::Dead);
        assert_reclaimed(&region, slot);
    }
}

#[test]
fn a_stopped_process_is_alive() {
    let (dir, region) = region();
    let (helper, slot) = helper("stays", dir.path());
    helper.signal(libc::SIGSTOP);
    assert!(helper.is_stopped());
    assert_untouchable(&region, slot);
}

#[test]
fn a_process_that_lost_its_descriptors_is_alive_and_leaves_properly() {
    for role in ["closes descriptors", "replaces descriptors"] {
        for moved in [false, true] {
            let (dir, region) = region();
            let (mut helper, slot) = helper(role, dir.path());
            helper.hear("lost");
            if moved {
                move_to_another_namespace(&region, slot);
            }
            assert_untouchable(&region, slot);
            helper.go_on();
            assert_eq!(helper.hear("left"), (2 * BYTES).to_string());
            assert_eq!(scan::slots(region.layout()).count(), 0);
            if role == "replaces descriptors" {
                helper.go_on();
                helper.hear("untouched");
            }
        }
    }
}

#[test]
fn a_process_that_lost_its_descriptors_is_dead_once_killed() {
    for moved in [false, true] {
        let (dir, region) = region();
        let (mut helper, slot) = helper("closes descriptors", dir.path());
        helper.hear("lost");
        if moved {
            move_to_another_namespace(&region, slot);
        }
        helper.kill();
        assert_reclaimed(&region, slot);
    }
}

#[test]
fn a_fork_child_does_not_keep_its_parents_slot() {
    // (The last says nothing to FCSP after the fork; then the parent's id must vouch for its death.)
    for (role, moved) in [("forks", false), ("forks", true), ("forks silently", false)] {
        let (dir, region) = region();
        let (mut helper, slot) = helper(role, dir.path());
        if role == "forks" {
            helper.hear("inherited");
        }
        let _child = Orphan(helper.hear("child").parse().expect("a pid"));
        assert_untouchable(&region, slot);
        if moved {
            move_to_another_namespace(&region, slot);
        }
        helper.kill();
        assert_reclaimed(&region, slot);
    }
}

#[test]
fn a_fork_child_that_drops_its_copy_takes_nothing_from_its_parent() {
    let (dir, region) = region();
    let (mut helper, slot) = helper("forks and drops", dir.path());
    let _child = Orphan(helper.hear("child").parse().expect("a pid"));
    // No thread watches here, so only the lock speaks for the parent.
    move_to_another_namespace(&region, slot);
    assert_untouchable(&region, slot);
    assert_eq!(
        region
            .tenant(scan::tenant_of(region.slot(slot)))
            .used
            .bytes(),
        BYTES
    );
    helper.kill();
    assert_eq!(verdict(&region, slot), Liveness::Unknown);
    assert_eq!(reclaim::reclaim(&region, slot).expect("works"), None);
}

#[test]
fn memory_of_the_dead_is_found_before_another_is_refused() {
    let (dir, region) = region();
    let survivor = Attachment::join(&region, "shared", quota(BYTES)).expect("joins");
    let (helper, _) = helper("stays", dir.path());
    survivor.reserve(1).expect_err("all of it is in use");
    helper.kill();
    soon("reclaimed", || survivor.reserve(BYTES).is_ok());
    assert_eq!(survivor.ledger().used_bytes(), BYTES);
    assert!(!survivor.is_inherited());
}

#[test]
fn a_raw_clones_lock_does_not_keep_the_dead_alive() {
    let (dir, region) = region();
    let (mut helper, slot) = helper("clones", dir.path());
    helper.hear("inherited");
    let _child = Orphan(helper.hear("child").parse().expect("a pid"));
    assert_untouchable(&region, slot);
    helper.kill();
    assert_reclaimed(&region, slot);
    // The clone still has the lock, so the slot stays empty and others are taken.
    let attachment = Attachment::join(&region, "shared", quota(1)).expect("joins");
    assert_ne!(attachment.slot_index(), slot);
}

#[test]
fn a_process_whose_watching_thread_ended_is_alive() {
    for moved in [false, true] {
        let (dir, region) = region();
        let (mut helper, slot) = helper("ends its watch", dir.path());
        helper.hear("watch ended");
        if moved {
            move_to_another_namespace(&region, slot);
        }
        assert_untouchable(&region, slot);
        helper.kill();
        assert_reclaimed(&region, slot);
    }
}

#[test]
fn a_process_that_calls_exec_gives_its_memory_back() {
    // Even before a thread of it was watched.
    for role in ["executes", "executes unwatched"] {
        let (dir, region) = region();
        let (helper, slot) = helper(role, dir.path());
        soon("dead", || verdict(&region, slot) == Liveness::Dead);
        assert_reclaimed(&region, slot);
        helper.kill();
    }
}

#[test]
fn a_process_that_calls_exec_and_attaches_again_counts_once() {
    for role in ["executes itself", "executes itself unwatched"] {
        let (dir, region) = region();
        let (mut helper, _) = helper(role, dir.path());
        helper.hear("attached");
        let slots: Vec<_> = scan::live_slots(region.layout()).collect();
        assert_eq!(slots.len(), 1);
        assert_eq!(region.tenant(slots[0].tenant()).used.bytes(), BYTES);
    }
}

#[test]
#[ignore = "needs root, for a PID namespace"]
fn a_process_of_another_pid_namespace_is_dead_once_killed() {
    let (dir, region) = region();
    let mut child = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child"])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "helper_process", "--ignored", "--nocapture"])
        .env("FCSP_TEST_ROLE", "stays")
        .env("FCSP_TEST_DIR", dir.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("unshare runs");
    soon("attached", || {
        scan::live_slots(region.layout()).count() == 1
    });
    let slot = scan::live_slots(region.layout()).next().expect("one").index;
    let robust = &region.slot(slot).robust;
    soon("watched", || robust.futex.load(Ordering::Relaxed) != 0);
    assert_untouchable(&region, slot);
    child.kill().expect("kills");
    child.wait().expect("reaps");
    soon("dead", || verdict(&region, slot) == Liveness::Dead);
    assert_reclaimed(&region, slot);
}
