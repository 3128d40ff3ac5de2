//! Ctrl-C ends a trace early, with its summary; a second one ends the command.

use std::sync::atomic::{AtomicBool, Ordering};

static CAME: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    CAME.store(true, Ordering::Relaxed);
}

/// Waits for it from now on.
pub fn listen() {
    // SAFETY: a zeroed sigaction is a valid one; the handler stores to an atomic, which is allowed in one.
    // The action outlives the call, which copies it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int) = note;
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &raw const action, std::ptr::null_mut());
    }
}

/// Whether it came.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}
