//! Places where a crash test kills the process.
//!
//! `failpoint!("ledger.reserve.counted")` stands between two steps of a protocol that must survive a
//! kill between them. Without the feature `failpoints` it is nothing at all. With it, the variable
//! `FCSP_FAILPOINT=name[:nth]` makes the process kill itself where the point of that name is met for
//! the `nth` time (the first, if not said), or stop there with `FCSP_FAILPOINT_ACTION=stop`.
//! [`all`] lists every point that was compiled in, so that a test cannot forget one.

/// Marks a place where a crash test may kill the process.
#[cfg(not(feature = "failpoints"))]
macro_rules! failpoint {
    ($name:literal) => {};
}

/// Marks a place where a crash test may kill the process.
#[cfg(feature = "failpoints")]
macro_rules! failpoint {
    ($name:literal) => {{
        ::inventory::submit! { $crate::failpoint::Point($name) }
        $crate::failpoint::hit($name);
    }};
}

pub(crate) use failpoint;

#[cfg(feature = "failpoints")]
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
            // SAFETY: sends a signal to this process and touches no memory.
            unsafe { libc::kill(libc::getpid(), armed.signal) };
        }
    }
}

#[cfg(feature = "failpoints")]
pub use enabled::{Point, all, hit};
