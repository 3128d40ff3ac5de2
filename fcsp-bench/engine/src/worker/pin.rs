//! Keeps what is timed on one processor: two processors of a machine differ by more than what a system adds to a call.

use std::io::{Error, Result};

/// The calling thread stays on the last processor that the process may use. Threads that are there already, a system's or
/// the driver's, stay where they are.
pub(crate) fn stay() -> Result<()> {
    // SAFETY: a cpu_set_t is plain data for which all zero is the empty set; its true size is given.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all) != 0 {
            return Err(Error::last_os_error());
        }
        let Some(last) = (0..8 * size_of::<libc::cpu_set_t>())
            .rev()
            .find(|cpu| libc::CPU_ISSET(*cpu, &all))
        else {
            return Ok(());
        };
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(last, &mut one);
        match libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one) {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_stays_on_one_processor() {
        std::thread::spawn(|| {
            super::stay().expect("it may");
            assert_eq!(
                std::thread::available_parallelism().map_or(0, usize::from),
                1
            );
        })
        .join()
        .expect("it ends well");
    }
}
