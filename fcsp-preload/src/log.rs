//! Messages to the operator, from inside somebody else's process.
//!
//! One line on stderr, formatted into a buffer on the stack and written with one system call: no allocation, no lock, no
//! stdout, `errno` untouched. Messages are for trouble and for changes of state, never for calls; still, a program in
//! trouble can repeat it quickly, so lines are limited to a burst and then a few per second, and the next line says how
//! many were left out.
//!
//! The level comes from `FCSP_LOG`, else `BUD_LOG_LEVEL`, as `off`, `error`, `warn`, `info` or `debug`, else from
//! `LIBCUDA_LOG_LEVEL` as HAMi-core numbers it (0 and 1 errors, 2 warnings, 3 infos, 4 debug). Default: `warn`.

use core::ffi::CStr;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something the operator must act on.
    Error = 1,
    /// A limit that is not enforced as configured, or a surprise.
    Warn = 2,
    /// Attach, detach, changed limits.
    Info = 3,
    /// For whoever debugs FCSP.
    Debug = 4,
}

impl Level {
    const fn label(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

const UNSET: u8 = u8::MAX;
const OFF: u8 = 0;
static THRESHOLD: AtomicU8 = AtomicU8::new(UNSET);

/// Whether messages of a level are written.
#[inline]
pub fn enabled(level: Level) -> bool {
    // Relaxed: every thread computes the same value from the environment.
    let threshold = match THRESHOLD.load(Ordering::Relaxed) {
        UNSET => from_environment(),
        threshold => threshold,
    };
    level as u8 <= threshold
}

#[cold]
fn from_environment() -> u8 {
    let get = |name: &CStr| {
        // SAFETY: a valid name; the value is read before anything else runs in this thread.
        let value = unsafe { libc::getenv(name.as_ptr()) };
        // SAFETY: a non-null value is a string.
        (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes())
    };
    let threshold = threshold(
        get(c"FCSP_LOG"),
        get(c"BUD_LOG_LEVEL"),
        get(c"LIBCUDA_LOG_LEVEL"),
    );
    THRESHOLD.store(threshold, Ordering::Relaxed);
    threshold
}

fn threshold(fcsp: Option<&[u8]>, bud: Option<&[u8]>, hami: Option<&[u8]>) -> u8 {
    const WORDS: &[(&str, u8)] = &[
        ("off", OFF),
        ("error", Level::Error as u8),
        ("warn", Level::Warn as u8),
        ("warning", Level::Warn as u8),
        ("info", Level::Info as u8),
        ("debug", Level::Debug as u8),
    ];
    let word = |value: &[u8]| {
        WORDS
            .iter()
            .find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes()))
            .map(|&(_, level)| level)
    };
    let number = |value: &[u8]| match value {
        b"0" | b"1" => Some(Level::Error as u8),
        b"2" => Some(Level::Warn as u8),
        b"3" => Some(Level::Info as u8),
        b"4" => Some(Level::Debug as u8),
        _ => None,
    };
    fcsp.and_then(word)
        .or_else(|| bud.and_then(word))
        .or_else(|| hami.and_then(number))
        .unwrap_or(Level::Warn as u8)
}

const LINE_BYTES_MAX: usize = 512;

/// A line under construction. What does not fit is cut off.
struct Line {
    bytes: [u8; LINE_BYTES_MAX],
    length: usize,
}

impl Line {
    const fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES_MAX],
            length: 0,
        }
    }

    /// The line with its end, which always fits.
    fn finish(&mut self) -> &[u8] {
        self.bytes[self.length] = b'\n';
        &self.bytes[..=self.length]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE_BYTES_MAX - 1 - self.length;
        let mut taken = text.len().min(room);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        self.bytes[self.length..self.length + taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        Ok(())
    }
}

/// Lines that may come at once.
const BURST: u64 = 20;
/// Time that earns one more line.
const INTERVAL_NS: u64 = 200_000_000;

/// When the next line would be due if lines came at the steady rate; ahead of now by at most the burst.
static DUE_NS: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU32 = AtomicU32::new(0);

fn admit(due_ns: &AtomicU64, now_ns: u64) -> bool {
    // Relaxed: a counter; which of two lines at the same time is left out does not matter.
    due_ns
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due_ns| {
            let due_ns = due_ns.max(now_ns);
            (due_ns - now_ns < BURST * INTERVAL_NS).then_some(due_ns + INTERVAL_NS)
        })
        .is_ok()
}

fn now_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is ours. The coarse clock is read without entering the kernel.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Writes one line, if its level is enabled and the rate allows. Use [`error!`], [`warn!`], [`info!`] and [`debug!`].
#[cold]
pub fn write(level: Level, message: fmt::Arguments) {
    if !enabled(level) {
        return;
    }
    if !admit(&DUE_NS, now_ns()) {
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let mut line = Line::new();
    // SAFETY: getpid has no preconditions.
    let pid = unsafe { libc::getpid() };
    // Writing to a line never fails.
    let _ = write!(line, "fcsp[{pid}]: {}: {message}", level.label());
    let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
    if left_out > 0 {
        let _ = write!(line, " ({left_out} messages before this one were left out)");
    }
    let bytes = line.finish();
    // SAFETY: `errno` is the thread's own; the buffer is ours. A failed write has nobody to tell.
    unsafe {
        let errno = libc::__errno_location();
        let kept = *errno;
        libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len());
        *errno = kept;
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $($message:tt)+) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, ::core::format_args!($($message)+))
        }
    };
}

/// Something the operator must act on.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error { ($($message:tt)+) => { $crate::__log!(Error, $($message)+) }; }
/// A limit that is not enforced as configured, or a surprise.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn { ($($message:tt)+) => { $crate::__log!(Warn, $($message)+) }; }
/// Attach, detach, changed limits.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info { ($($message:tt)+) => { $crate::__log!(Info, $($message)+) }; }
/// For whoever debugs FCSP.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug { ($($message:tt)+) => { $crate::__log!(Debug, $($message)+) }; }

#[doc(inline)]
pub use crate::{
    __log_debug as debug, __log_error as error, __log_info as info, __log_warn as warn,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_names_a_level_decides() {
        let some = |value: &'static str| Some(value.as_bytes());
        assert_eq!(threshold(None, None, None), Level::Warn as u8);
        assert_eq!(
            threshold(some("debug"), some("error"), some("0")),
            Level::Debug as u8
        );
        assert_eq!(
            threshold(some("nonsense"), some("ERROR"), None),
            Level::Error as u8
        );
        assert_eq!(threshold(None, None, some("4")), Level::Debug as u8);
        assert_eq!(threshold(None, None, some("1")), Level::Error as u8);
        assert_eq!(threshold(some("off"), some("debug"), None), OFF);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_and_still_ends_its_line() {
        let mut line = Line::new();
        let _ = write!(line, "{}", "é".repeat(LINE_BYTES_MAX));
        let bytes = line.finish();
        assert!(bytes.len() <= LINE_BYTES_MAX);
        let text = core::str::from_utf8(bytes).expect("whole characters only");
        assert!(text.ends_with("é\n"));
    }

    #[test]
    fn a_burst_passes_and_then_a_steady_trickle() {
        let due_ns = AtomicU64::new(0);
        let start_ns = 1_000_000_000_000;
        let at_once = (0..1000).filter(|_| admit(&due_ns, start_ns)).count();
        assert_eq!(at_once as u64, BURST);
        let later = (0..1000)
            .filter(|_| admit(&due_ns, start_ns + 10 * INTERVAL_NS))
            .count();
        assert_eq!(later, 10, "one line per interval that passed");
    }
}
