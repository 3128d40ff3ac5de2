//! What the system knows of a process by its id.
//!
//! Ids mean something only inside one PID namespace, and pass to other processes; so an id comes
//! with the namespace it belongs to and the time the process began.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

/// A process as long as it lives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Inode of the PID namespace; 0 if the system does not say (no `/proc`).
    pub(super) pid_namespace: u64,
}

/// What tells a process from others that have had its id, and its name for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Birth {
    /// Clock ticks since boot; 0 if the system does not say.
    pub(super) start_ticks: u64,
    pub(super) command: String,
}

impl Birth {
    /// This process's.
    pub(super) fn own() -> Self {
        let stat = Stat::read("/proc/self/stat").ok().flatten();
        stat.map_or_else(Self::default, |stat| Self {
            start_ticks: stat.start_ticks,
            command: stat.command,
        })
    }
}

/// What can be said about a process that was known by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// It is there, and it is the same one.
    Lives,
    /// No process has that id, or another one has.
    Gone,
    /// Not from here.
    Unclear,
}

impl Process {
    /// This process.
    pub(super) fn own() -> Self {
        Self {
            pid: std::process::id(),
            pid_namespace: own_pid_namespace(),
        }
    }

    /// Looks for the process with `pid` in `pid_namespace` that began at `start_ticks`; at a time that it has
    /// not told yet if that is 0, which counts as any.
    pub(super) fn trace(pid: u32, pid_namespace: u64, start_ticks: u64) -> Trace {
        if pid == 0 || pid_namespace == 0 || pid_namespace != own_pid_namespace() {
            return Trace::Unclear;
        }
        let Ok(id) = libc::pid_t::try_from(pid) else {
            return Trace::Unclear;
        };
        // SAFETY: signal 0 asks whether the process exists and sends nothing.
        let exists = unsafe { libc::kill(id, 0) } == 0
            || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH);
        if !exists {
            return Trace::Gone;
        }
        // May be hidden from this user.
        match Stat::read(&format!("/proc/{pid}/stat")) {
            Ok(Some(stat)) if stat.is_over() => Trace::Gone,
            Ok(Some(stat)) if start_ticks == 0 || stat.start_ticks == start_ticks => Trace::Lives,
            Ok(Some(stat)) if stat.start_ticks == 0 => Trace::Unclear,
            Ok(Some(_)) => Trace::Gone,
            _ => Trace::Unclear,
        }
    }
}

/// Whether the process `pid` of this PID namespace maps the file `name` with `inode`; nothing if the
/// system does not say. A process that called `exec` maps nothing of what it mapped before.
pub(super) fn maps_file(pid: u32, inode: u64, name: &str) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    // A process whose first thread has ended shows no mappings, whatever the others do.
    let mut lines = maps.lines().peekable();
    lines.peek()?;
    Some(lines.any(|line| {
        // Address, rights, offset, device, inode, path (`proc_pid_maps(5)`). The device may be
        // another's name for the same one, and the path another mount's, so they do not count.
        line.split_ascii_whitespace()
            .nth(4)
            .is_some_and(|it| it.parse() == Ok(inode))
            || line.contains(name)
    }))
}

fn own_pid_namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |it| it.ino())
}

/// More than a line of `/proc/PID/stat` has up to the last field that matters.
const LINE_BYTES_MAX: usize = 1024;

/// The fields of `/proc/PID/stat` that matter here (`proc_pid_stat(5)`).
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    command: String,
    state: u8,
    threads: u64,
    start_ticks: u64,
}

impl Stat {
    /// What stands at `path`; `None` if it is not understood. One read: the kernel gives the line as a whole.
    fn read(path: &str) -> std::io::Result<Option<Self>> {
        let mut line = [0; LINE_BYTES_MAX];
        let length = fs::File::open(path)?.read(&mut line)?;
        Ok(Self::parse(&line[..length]))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The command is in parentheses and may itself contain any character.
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let command = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        // Field 3 is the first after the command.
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            command,
            state: *field(3)?.as_bytes().first()?,
            threads: field(20)?.parse().ok()?,
            start_ticks: field(22)?.parse().ok()?,
        })
    }

    /// True if nothing of the process runs any more and only its parent has yet to take note. (A
    /// first thread that ended looks the same while others go on; hence the count.)
    fn is_over(&self) -> bool {
        matches!(self.state, b'Z' | b'X') && self.threads <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_line_with_any_command_is_understood() {
        let line = b"42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 7 0 98765 11 12\n";
        assert_eq!(
            Stat::parse(line),
            Some(Stat {
                command: "a) b (c)".to_owned(),
                state: b'S',
                threads: 7,
                start_ticks: 98765,
            })
        );
        assert_eq!(Stat::parse(b"42 (cut off) S 1"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn this_process_lives() {
        let own = Process::own();
        assert_eq!(own.pid, std::process::id());
        for start_ticks in [Birth::own().start_ticks, 0] {
            assert_eq!(
                Process::trace(own.pid, own.pid_namespace, start_ticks),
                Trace::Lives
            );
        }
    }

    #[test]
    fn what_a_process_maps_is_seen() {
        let own = std::env::current_exe().expect("a path");
        let inode = fs::metadata(&own).expect("it exists").ino();
        let pid = std::process::id();
        assert_eq!(maps_file(pid, inode, "no such name"), Some(true));
        assert_eq!(maps_file(pid, inode + 1, "no such name"), Some(false));
        assert_eq!(maps_file(0, inode, "no such process"), None);
    }

    #[test]
    fn another_process_with_the_same_id_is_not_the_same() {
        let own = Process::own();
        let start_ticks = Birth::own().start_ticks;
        assert_eq!(
            Process::trace(own.pid, own.pid_namespace, start_ticks + 1),
            Trace::Gone
        );
        assert_eq!(
            Process::trace(own.pid, own.pid_namespace + 1, start_ticks),
            Trace::Unclear
        );
    }

    #[test]
    fn a_dead_process_is_gone_before_and_after_its_parent_takes_note() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdout(Stdio::null())
            .spawn()
            .expect("sleep runs");
        let stat = fs::read(format!("/proc/{}/stat", child.id())).expect("it has a line");
        let start_ticks = Stat::parse(&stat).expect("a valid one").start_ticks;
        let trace = |pid| Process::trace(pid, own_pid_namespace(), start_ticks);
        assert_eq!(trace(child.id()), Trace::Lives);
        child.kill().expect("kills");
        while trace(child.id()) == Trace::Lives {
            std::thread::yield_now();
        }
        assert_eq!(trace(child.id()), Trace::Gone);
        child.wait().expect("reaps");
        assert_eq!(trace(child.id()), Trace::Gone);
    }
}
