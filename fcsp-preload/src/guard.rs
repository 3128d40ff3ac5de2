//! The guard against re-entry: is this call the program's, or the driver's own?
//!
//! Vendor libraries call their own public functions, and through the dynamic linker those calls arrive at our wrappers.
//! Such a call is part of one we are already handling, so it goes straight to the driver. Without this a single
//! allocation would be charged twice, and some drivers would recurse for ever.
//!
//! One word per thread, without a destructor, so that it works in a thread that is being torn down and costs no
//! registration. A fork child inherits the word of the thread that forked, which is what it should have.
//!
//! The compiler reaches a thread's word in a library by a call into the dynamic linker, which reads half a dozen lines of
//! the cache: 4 ns of every hooked call, and up to 20 where a driver has filled the caches. So on the architectures we run
//! on the word lies in the thread's static block (the "initial exec" model), at a distance from the thread pointer that is
//! known once the library is loaded. Where a library is opened late the C library has room for some hundred bytes of that
//! kind; we take four.

use core::cell::Cell;

const INSIDE: u32 = 1;
const DRIVER_CALLED: u32 = 2;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .tbss.fcsp_guard_state,\"awT\",@nobits",
    ".balign 4",
    ".globl fcsp_guard_state",
    ".hidden fcsp_guard_state",
    ".type fcsp_guard_state,@object",
    ".size fcsp_guard_state,4",
    "fcsp_guard_state:",
    ".zero 4",
    ".popsection",
);

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
thread_local! {
    static STATE: Cell<u32> = const { Cell::new(0) };
}

/// Does something with the calling thread's word.
#[inline(always)]
fn with_state<R>(work: impl FnOnce(&Cell<u32>) -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        let state: *const Cell<u32>;
        // SAFETY: reads the thread pointer and a constant of the loaded library (ELF Handling For Thread-Local Storage,
        // Drepper, 4.4.6).
        unsafe {
            core::arch::asm!(
                "mov {state}, fs:0",
                "add {state}, qword ptr [rip + fcsp_guard_state@GOTTPOFF]",
                state = out(reg) state,
                options(pure, readonly, nostack),
            );
        }
        // SAFETY: the word above, in the block of the calling thread, which outlives the call. Zeros are a `Cell<u32>`.
        work(unsafe { &*state })
    }
    #[cfg(target_arch = "aarch64")]
    {
        let state: *const Cell<u32>;
        // SAFETY: as above.
        unsafe {
            core::arch::asm!(
                "adrp {offset}, :gottprel:fcsp_guard_state",
                "ldr {offset}, [{offset}, #:gottprel_lo12:fcsp_guard_state]",
                "mrs {state}, tpidr_el0",
                "add {state}, {state}, {offset}",
                state = out(reg) state,
                offset = out(reg) _,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        // SAFETY: as above.
        work(unsafe { &*state })
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    STATE.with(work)
}

/// Proof that the thread is inside a wrapper; leaving it ends that.
#[derive(Debug)]
pub struct Entry(());

/// Enters a wrapper, or `None` when the thread is inside one already.
#[inline(always)]
pub fn enter() -> Option<Entry> {
    with_state(|state| {
        if state.get() != 0 {
            return None;
        }
        state.set(INSIDE);
        Some(Entry(()))
    })
}

/// Whether the thread is inside a wrapper.
pub fn is_inside() -> bool {
    with_state(Cell::get) != 0
}

/// Records that the handler called the driver. The function pointer a handler is given does it by itself.
#[inline(always)]
pub fn note_driver_call() {
    with_state(|state| state.set(INSIDE | DRIVER_CALLED));
}

impl Entry {
    /// Whether the driver was called since the wrapper was entered.
    pub fn driver_was_called(&self) -> bool {
        with_state(Cell::get) & DRIVER_CALLED != 0
    }
}

impl Drop for Entry {
    #[inline(always)]
    fn drop(&mut self) {
        with_state(|state| state.set(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_entry_of_a_thread_is_refused_until_the_first_leaves() {
        let entry = enter().expect("a fresh thread is outside");
        assert!(is_inside());
        assert!(enter().is_none());
        std::thread::spawn(|| assert!(enter().is_some(), "another thread is its own"))
            .join()
            .expect("no panic");
        drop(entry);
        assert!(!is_inside());
        assert!(enter().is_some());
    }

    #[test]
    fn a_driver_call_is_remembered_for_one_entry() {
        let entry = enter().expect("outside");
        assert!(!entry.driver_was_called());
        note_driver_call();
        assert!(entry.driver_was_called());
        drop(entry);
        let entry = enter().expect("outside again");
        assert!(!entry.driver_was_called());
    }
}
