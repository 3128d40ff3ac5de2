//! Keeps what is timed on one processor: two processors of a machine differ by more than what a system adds to a call.

use std::io::{Error, Result};

/// The calling thread stays on a processor that the process may use: the last one at place 0, another one at each further
/// place. Threads that are there already, a system's or the driver's, stay where they are.
pub(crate) fn stay(place: usize) -> Result<()> {
    // SAFETY: a cpu_set_t is plain data for which all zero is the empty set; its true size is given.
    unsafe {
        let mut all: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut all) != 0 {
            return Err(Error::last_os_error());
        }
        let cpus: Vec<usize> = (0..8 * size_of::<libc::cpu_set_t>())
            .filter(|cpu| libc::CPU_ISSET(*cpu, &all))
            .collect();
        let Some(cpu) = at(place, &cpus) else {
            return Ok(());
        };
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut one);
        match libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &one) {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
    }
}

/// From so many processors on, places are every other one: two that follow each other may be halves of one core.
const APART_FROM: usize = 8;

/// The processor of that place among those that may be used.
fn at(place: usize, cpus: &[usize]) -> Option<usize> {
    let step = if cpus.len() >= APART_FROM { 2 } else { 1 };
    let back = (place * step).checked_rem(cpus.len())?;
    Some(cpus[cpus.len() - 1 - back])
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn places_are_processors_apart_as_far_as_there_are_enough() {
        let places = |cpus: usize| [0, 1, 2, 3].map(|place| at(place, &Vec::from_iter(0..cpus)));
        assert_eq!(places(16), [15, 13, 11, 9].map(Some));
        assert_eq!(places(8), [7, 5, 3, 1].map(Some));
        assert_eq!(places(4), [3, 2, 1, 0].map(Some));
        assert_eq!(places(2), [1, 0, 1, 0].map(Some));
        assert_eq!(places(0), [None; 4]);
    }

    #[test]
    fn a_thread_stays_on_one_processor() {
        std::thread::spawn(|| {
            super::stay(0).expect("it may");
            assert_eq!(
                std::thread::available_parallelism().map_or(0, usize::from),
                1
            );
        })
        .join()
        .expect("it ends well");
    }
}
