//! Places where a crash test kills the process.
//!
//! `failpoint!("ledger.reserve.counted")` stands between two steps of a protocol that must survive a
//! kill between them. Without the feature `failpoints` it is nothing at all. With it, the variable
//! `FCSP_FAILPOINT=name[:nth]` makes the process kill itself where the point of that name is met for
//! the `nth` time (the first, if not said), or stop there with `FCSP_FAILPOINT_ACTION=stop`.
//! `all` lists every point that was compiled in, so that a test cannot forget one. If
//! `FCSP_FAILPOINT_TOLD` names a file, the time of it is written there first, in nanoseconds of
//! `CLOCK_MONOTONIC`: how long others take to go on is measured from then.
//!
//! In the models under `--cfg loom` a killed process is a thread that unwinds from such a point.

/// Marks a place where a crash test may kill the process.
#[cfg(not(any(all(feature = "failpoints", not(loom)), all(loom, test))))]
macro_rules! failpoint {
    ($name:literal) => {};
}

/// Marks a place where a crash test may kill the process.
#[cfg(all(feature = "failpoints", not(loom)))]
macro_rules! failpoint {
    ($name:literal) => {{
        ::inventory::submit! { $crate::failpoint::Point($name) }
        $crate::failpoint::hit($name);
    }};
}

/// Marks a place where a model may kill the thread that stands for a process.
#[cfg(all(loom, test))]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::model::meet($name)
    };
}

pub(crate) use failpoint;

#[cfg(all(feature = "failpoints", not(loom)))]
mod enabled {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A place that was compiled in.
    #[derive(Debug)]
    pub struct Point(pub &'static str);

    inventory::collect!(Point);

    /// Every place that was compiled in, by name, each once.
    pub fn all() -> Vec<&'static str> {
        let mut names: Vec<_> = inventory::iter::<Point>
            .into_iter()
            .map(|point| point.0)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    struct Armed {
        name: String,
        hits_left: AtomicU32,
        signal: i32,
    }

    fn armed() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        ARMED
            .get_or_init(|| {
                let text = std::env::var("FCSP_FAILPOINT").ok()?;
                let (name, nth) = match text.rsplit_once(':') {
                    Some((name, nth)) => (name.to_owned(), nth.parse().ok()?),
                    None => (text, 1),
                };
                let stops = std::env::var("FCSP_FAILPOINT_ACTION").is_ok_and(|it| it == "stop");
                Some(Armed {
                    name,
                    hits_left: AtomicU32::new(nth),
                    signal: if stops { libc::SIGSTOP } else { libc::SIGKILL },
                })
            })
            .as_ref()
    }

    /// Kills or stops this process if the environment asks for it at `name`, now.
    pub fn hit(name: &str) {
        let Some(armed) = armed() else { return };
        if armed.name == name && armed.hits_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            if let Some(path) = std::env::var_os("FCSP_FAILPOINT_TOLD") {
                let told = std::fs::write(path, crate::sched::clock::now_ns().to_string());
                told.expect("a crash test names a file that can be written");
            }
            // SAFETY: sends a signal to this process and touches no memory.
            unsafe { libc::kill(libc::getpid(), armed.signal) };
        }
    }
}

#[cfg(all(feature = "failpoints", not(loom)))]
pub use enabled::{Point, all, hit};

#[cfg(all(loom, test))]
pub(crate) mod model {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    loom::thread_local! {
        static ARMED: Cell<Option<&'static str>> = Cell::new(None);
    }

    struct Killed;

    pub(crate) fn meet(name: &'static str) {
        if ARMED.with(Cell::get) == Some(name) {
            // Nothing the protocol holds is given back on the way: it holds nothing.
            resume_unwind(Box::new(Killed));
        }
    }

    /// Does `work` on this thread, which dies at `point`; gives nothing if it did.
    pub(crate) fn killed_at<T>(point: &'static str, work: impl FnOnce() -> T) -> Option<T> {
        ARMED.with(|armed| armed.set(Some(point)));
        let result = catch_unwind(AssertUnwindSafe(work));
        ARMED.with(|armed| armed.set(None));
        match result {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<Killed>() => None,
            Err(payload) => resume_unwind(payload),
        }
    }
}
