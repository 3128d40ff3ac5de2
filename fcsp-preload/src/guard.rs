//! The guard against re-entry: is this call the program's, or the driver's own?
//!
//! Vendor libraries call their own public functions, and through the dynamic linker those calls arrive at our wrappers.
//! Such a call is part of one we are already handling, so it goes straight to the driver. Without this a single
//! allocation would be charged twice, and some drivers would recurse for ever.
//!
//! One word per thread, without a destructor, so that it works in a thread that is being torn down and costs no
//! registration. A fork child inherits the word of the thread that forked, which is what it should have.

use core::cell::Cell;

const INSIDE: u32 = 1;
const DRIVER_CALLED: u32 = 2;

thread_local! {
    static STATE: Cell<u32> = const { Cell::new(0) };
}

/// Proof that the thread is inside a wrapper; leaving it ends that.
#[derive(Debug)]
pub struct Entry(());

/// Enters a wrapper, or `None` when the thread is inside one already.
#[inline(always)]
pub fn enter() -> Option<Entry> {
    STATE.with(|state| {
        if state.get() != 0 {
            return None;
        }
        state.set(INSIDE);
        Some(Entry(()))
    })
}

/// Whether the thread is inside a wrapper.
pub fn is_inside() -> bool {
    STATE.with(Cell::get) != 0
}

/// Records that the handler called the driver. The function pointer a handler is given does it by itself.
#[inline(always)]
pub fn note_driver_call() {
    STATE.with(|state| state.set(INSIDE | DRIVER_CALLED));
}

impl Entry {
    /// Whether the driver was called since the wrapper was entered.
    pub fn driver_was_called(&self) -> bool {
        STATE.with(Cell::get) & DRIVER_CALLED != 0
    }
}

impl Drop for Entry {
    #[inline(always)]
    fn drop(&mut self) {
        STATE.with(|state| state.set(0));
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
