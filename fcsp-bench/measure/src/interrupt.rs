//! Ctrl-C ends a command early, with what it has so far; a second one ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    CAME.store(true, Ordering::Relaxed);
}

/// Waits for it from now on, and for the request to end that the system sends.
pub fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: a zeroed sigaction is a valid one; the handler stores to an atomic, which is allowed in one.
        // The action outlives the call, which copies it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            let handler: extern "C" fn(libc::c_int) = note;
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Whether it came.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}

/// Set once it has come.
pub fn flag() -> &'static AtomicBool {
    &CAME
}
