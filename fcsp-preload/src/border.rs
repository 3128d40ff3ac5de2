//! The border between C and our handlers: no panic crosses it.
//!
//! A panic in a handler is a bug of ours in somebody else's process. It is reported once on stderr, and then the call
//! does the least harm: if the driver has not been called yet and the verb fails open, the driver answers as if we were
//! not there; otherwise the program gets the vendor's code for an unknown error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::guard::{self, Entry};
use crate::log;
use crate::table::Verb;

/// Runs a handler for a call that came from the program; a call that the driver made to itself goes to `driver`.
///
/// The wrappers of [`hooks!`](crate::hooks!) use it; `driver` calls the driver with the same arguments.
#[inline(always)]
pub fn cross<R>(
    verb: Verb,
    name: &'static str,
    failed: R,
    handler: impl FnOnce() -> R,
    driver: impl FnOnce() -> R,
) -> R {
    let Some(entry) = guard::enter() else {
        return driver();
    };
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(result) => result,
        Err(payload) => {
            // Its destructor could panic as well.
            core::mem::forget(payload);
            if must_not_call(verb, name, &entry) {
                failed
            } else {
                driver()
            }
        }
    }
}

#[cold]
#[inline(never)]
fn must_not_call(verb: Verb, name: &str, entry: &Entry) -> bool {
    let closed = entry.driver_was_called() || !verb.fails_open();
    let then = if closed {
        "the program gets an error"
    } else {
        "the driver answers instead"
    };
    log::error!("the handler of {name} panicked, which is a bug in FCSP: {then}");
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_answers() {
        assert_eq!(cross(Verb::Gate, "f", 99, || 1, || 2), 1);
        assert!(!guard::is_inside());
    }

    #[test]
    fn a_nested_call_goes_to_the_driver() {
        let inner = cross(
            Verb::Account,
            "f",
            99,
            || cross(Verb::Account, "g", 99, || 1, || 2),
            || 3,
        );
        assert_eq!(inner, 2);
    }

    #[test]
    fn a_panic_before_the_driver_fails_open_or_closed_by_verb() {
        for (verb, expected) in [
            (Verb::Account, 99),
            (Verb::Gate, 2),
            (Verb::Sync, 2),
            (Verb::Virtualize, 2),
        ] {
            let got = cross(verb, "f", 99, || panic!("test"), || 2);
            assert_eq!(got, expected, "{verb:?}");
            assert!(!guard::is_inside(), "the guard is released by a panic too");
        }
    }

    #[test]
    fn a_panic_after_the_driver_never_calls_it_twice() {
        let handler = || {
            guard::note_driver_call();
            panic!("test")
        };
        assert_eq!(
            cross(Verb::Gate, "f", 99, handler, || unreachable!(
                "called twice"
            )),
            99
        );
    }
}
