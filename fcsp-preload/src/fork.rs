//! Fork: a child is another process, with another slot in the region, and must attach again.
//!
//! The C library tells us about `fork`; the child then counts a generation up, and whoever keeps per-process state
//! compares generations, one load, and attaches anew when they differ. A child made by the bare `clone` system call is
//! not announced: [`check`] compares process ids and belongs on slow paths such as context creation.

use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static OWNER: AtomicI32 = AtomicI32::new(0);
static CALLBACKS: [AtomicPtr<()>; CALLBACKS_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; CALLBACKS_MAX];

/// How many callbacks can be registered.
pub const CALLBACKS_MAX: usize = 8;

/// How often this process's ancestors, since the library was loaded, have forked. State made under another generation
/// belongs to a parent.
#[inline(always)]
pub fn generation() -> u32 {
    // Relaxed: only the child writes, before it has a second thread.
    GENERATION.load(Ordering::Relaxed)
}

/// Starts watching for forks. Any thread, any number of times; false when the C library refused.
pub fn install() -> bool {
    // SAFETY: getpid has no preconditions.
    let pid = unsafe { libc::getpid() };
    // AcqRel: exactly one caller sees 0 and registers; the others learn nothing else from it.
    if OWNER
        .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
        .is_err()
    {
        return true;
    }
    // SAFETY: `in_child` touches atomics only, which is allowed in the child of a threaded process.
    let registered = unsafe { libc::pthread_atfork(None, None, Some(in_child)) } == 0;
    if !registered {
        crate::log::warn!(
            "pthread_atfork failed: children of this process may not be limited until they exec"
        );
    }
    registered
}

/// Registers a function that the child runs right after a fork. It may use atomics and system calls, nothing else: other
/// threads' locks are held for ever in a child. False when no place is left.
pub fn on_child(callback: fn()) -> bool {
    let callback = callback as *mut ();
    CALLBACKS.iter().any(|place| {
        // Release: pairs with the load in `in_child`, which a fork orders anyway.
        place
            .compare_exchange(
                ptr::null_mut(),
                callback,
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    })
}

/// The generation, after making sure that this is still the process it was; costs a system call. Finds children that
/// were made without `fork`.
pub fn check() -> u32 {
    // SAFETY: getpid has no preconditions.
    let pid = unsafe { libc::getpid() };
    let owner = OWNER.load(Ordering::Relaxed);
    // One thread of the new process counts up; threads that lose the exchange see the new generation.
    if owner != 0
        && owner != pid
        && OWNER
            .compare_exchange(owner, pid, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    {
        child();
    }
    generation()
}

extern "C" fn in_child() {
    // SAFETY: getpid has no preconditions.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    child();
}

fn child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    for place in &CALLBACKS {
        let callback = place.load(Ordering::Acquire);
        if !callback.is_null() {
            // SAFETY: only `on_child` stores here, and it stores a `fn()`.
            unsafe { core::mem::transmute::<*mut (), fn()>(callback)() };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static CALLED: AtomicU32 = AtomicU32::new(0);

    fn in_a_child(observe: fn() -> i32) -> i32 {
        // SAFETY: the child calls atomics and `_exit` only.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork works");
        if pid == 0 {
            // SAFETY: ends the child without running the test harness's exit handlers.
            unsafe { libc::_exit(observe()) };
        }
        let mut status = 0;
        // SAFETY: `pid` is our child, `status` is ours.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert!(libc::WIFEXITED(status));
        libc::WEXITSTATUS(status)
    }

    #[test]
    fn a_child_has_a_generation_of_its_own_and_runs_callbacks_once() {
        assert!(install() && install());
        assert!(on_child(|| _ = CALLED.fetch_add(1, Ordering::Relaxed)));
        let before = generation();
        let observed = in_a_child(|| (generation() * 10 + CALLED.load(Ordering::Relaxed)) as i32);
        assert_eq!(observed, (before as i32 + 1) * 10 + 1);
        let checked = in_a_child(|| check() as i32);
        assert_eq!(
            checked,
            before as i32 + 1,
            "asking again does not count again"
        );
        assert_eq!(
            (generation(), check()),
            (before, before),
            "the parent stays what it was"
        );
    }
}
