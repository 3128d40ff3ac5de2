//! A lock that costs the thread that always takes it no atomic instruction: biased locking (Kawachiya,
//! Koseki, Onodera: Lock Reservation, OOPSLA 2002).
//!
//! Most programs submit from one thread, or from one for long. To take a mutex and give it back twice for
//! a submission is a fourth of what the submission may cost, and nobody else wants it. So a thread that took
//! the lock [`FAVOUR_AFTER`] times in a row becomes its favourite: from then on it says that it is inside by
//! an ordinary store, and looks whether it still is the favourite. Whoever else comes takes the mutex, takes
//! the favour away, has the kernel order every processor's stores and loads ([`heavy_fence`]), a few
//! microseconds, and waits until the favourite is outside. Then all take the mutex, until one has again
//! taken it often enough that those microseconds do not count.
//!
//! Each favourite says so in a place of its own. One that lost the favour may have been stopped just before
//! it says that it is inside, and say so much later, when another is the favourite: it must not be taken for
//! that one, nor wipe out what that one said.

use core::cell::UnsafeCell;
use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use crate::sync::{
    AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering, ThreadId, can_fence, heavy_fence,
    light_fence, nap,
};

/// Times in a row that a thread must take the lock to become its favourite. To take that away costs others
/// some microseconds: by then it has saved more.
#[cfg(not(loom))]
const FAVOUR_AFTER: u32 = 256;
#[cfg(loom)]
const FAVOUR_AFTER: u32 = 1;
/// Threads that can ever be favourites, one after another. With the favourite's name they fill a line of
/// the cache.
const SEATS: usize = 14;

// Else a favourite's name could be another thread's.
const _: () = assert!(SEATS < ThreadId::APART);

/// A lock around `T`. It favours one thread at a time.
#[repr(C, align(64))]
pub struct Biased<T> {
    /// The favourite: [`ThreadId`] plus one plus its seat, which no other thread's can be; 0 for nobody.
    favourite: AtomicUsize,
    /// 1 while the thread in that seat is inside, or about to find out that it is not.
    inside: [AtomicU32; SEATS],
    value: UnsafeCell<T>,
    others: Mutex<Seats>,
}

/// Guarded by the mutex.
#[derive(Debug, Default)]
struct Seats {
    threads: [Option<ThreadId>; SEATS],
    /// Seat of the favourite, if there is one.
    favourite: usize,
    /// Who had the lock last, and how often in a row.
    newest: Option<ThreadId>,
    in_a_row: u32,
}

// SAFETY: a lock: `value` is reached through a guard only, of which there is one at a time.
unsafe impl<T: Send> Sync for Biased<T> {}

impl<T: Default> Default for Biased<T> {
    fn default() -> Self {
        Self {
            favourite: AtomicUsize::new(0),
            inside: core::array::from_fn(|_| AtomicU32::new(0)),
            value: UnsafeCell::default(),
            others: Mutex::new(Seats::default()),
        }
    }
}

impl<T> fmt::Debug for Biased<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Biased").finish_non_exhaustive()
    }
}

impl<T> Biased<T> {
    /// The inside, if `thread`, which is the calling thread, is the favourite; `None`, and nothing is done, if it is
    /// not. Does not block.
    #[inline(always)]
    pub fn favoured(&self, thread: ThreadId) -> Option<Favoured<'_, T>> {
        let inside = self.enter_favoured(thread)?;
        Some(Favoured {
            lock: self,
            _leaves: inside,
        })
    }

    /// Waits until nobody is inside. `thread` is the calling thread. A panic inside does not poison: what it
    /// leaves must be good enough to go on with.
    pub fn lock(&self, thread: ThreadId) -> Guard<'_, T> {
        let way = match self.enter_favoured(thread) {
            Some(inside) => Way::Favoured { _leaves: inside },
            None => self.enter_as_others(thread),
        };
        Guard { lock: self, way }
    }

    #[inline(always)]
    fn enter_favoured(&self, thread: ThreadId) -> Option<Inside<'_>> {
        // Relaxed: only the favourite itself wrote its name there, after it had the mutex.
        let favourite = self.favourite.load(Ordering::Relaxed);
        let seat = favourite.wrapping_sub(thread.0).wrapping_sub(1);
        let inside = self.inside.get(seat)?;
        // Relaxed: the fence orders it.
        inside.store(1, Ordering::Relaxed);
        // Pairs with the heavy fence in `take_favour`: either that one sees us inside, or we see that we are
        // not the favourite any more.
        light_fence();
        let inside = Inside(inside);
        (self.favourite.load(Ordering::Relaxed) == favourite).then_some(inside)
    }

    #[cold]
    #[inline(never)]
    fn enter_as_others(&self, thread: ThreadId) -> Way<'_> {
        let seats = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if self.favourite.load(Ordering::Relaxed) != 0 {
            self.take_favour(&self.inside[seats.favourite]);
        }
        Way::AsOthers { thread, seats }
    }

    /// Waits until the favourite, who says in `inside` whether it is, is outside for good.
    fn take_favour(&self, inside: &AtomicU32) {
        self.favourite.store(0, Ordering::Relaxed);
        heavy_fence();
        let mut looks = 0;
        // Acquire pairs with the Release of a guard that is dropped: what was done inside is seen.
        while inside.load(Ordering::Acquire) != 0 {
            nap(looks);
            looks += 1;
        }
    }
}

impl Seats {
    /// Counts that `thread` had the lock; its seat, if it is to be the favourite.
    fn count(&mut self, thread: ThreadId) -> Option<usize> {
        if self.newest != Some(thread) {
            self.newest = Some(thread);
            self.in_a_row = 0;
        }
        self.in_a_row += 1;
        if self.in_a_row < FAVOUR_AFTER || !can_fence() {
            return None;
        }
        self.in_a_row = 0;
        let of = |wanted: Option<ThreadId>| self.threads.iter().position(|it| *it == wanted);
        let seat = of(Some(thread)).or_else(|| of(None))?;
        self.threads[seat] = Some(thread);
        self.favourite = seat;
        Some(seat)
    }
}

/// Where the favourite says that it is inside; dropping it says that it is not.
struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: whoever takes the favour away sees what was done.
        self.0.store(0, Ordering::Release);
    }
}

/// Proof that the favourite is inside; dropping it leaves.
pub struct Favoured<'a, T> {
    lock: &'a Biased<T>,
    _leaves: Inside<'a>,
}

impl<T> Deref for Favoured<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the thread is inside, alone, until `_leaves` is dropped.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Favoured<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

/// How a thread came in.
enum Way<'a> {
    Favoured {
        _leaves: Inside<'a>,
    },
    AsOthers {
        thread: ThreadId,
        seats: MutexGuard<'a, Seats>,
    },
}

/// Proof that the thread is inside; dropping it leaves.
pub struct Guard<'a, T> {
    lock: &'a Biased<T>,
    way: Way<'a>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the thread is inside, alone, for as long as the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if let Way::AsOthers { thread, seats } = &mut self.way
            && let Some(seat) = seats.count(*thread)
        {
            let name = thread.0.wrapping_add(1).wrapping_add(seat);
            // Relaxed: for this thread, and for those who have the mutex after it.
            self.lock.favourite.store(name, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn take(lock: &Biased<u64>, times: u32) {
        for _ in 0..times {
            *lock.lock(ThreadId::current()) += 1;
        }
    }

    fn has_favourite(lock: &Biased<u64>) -> bool {
        lock.favourite.load(Ordering::Relaxed) != 0
    }

    #[test]
    fn a_thread_that_takes_it_again_and_again_is_favoured_until_another_comes() {
        crate::sync::prepare_fences();
        let lock = Biased::default();
        take(&lock, FAVOUR_AFTER - 1);
        assert!(!has_favourite(&lock));
        take(&lock, 10);
        assert_eq!(has_favourite(&lock), can_fence());
        std::thread::scope(|scope| {
            scope.spawn(|| take(&lock, 1));
        });
        assert!(!has_favourite(&lock));
        take(&lock, FAVOUR_AFTER);
        assert_eq!(has_favourite(&lock), can_fence());
        assert_eq!(
            *lock.lock(ThreadId::current()),
            u64::from(2 * FAVOUR_AFTER + 10)
        );
    }

    #[test]
    fn threads_that_take_turns_are_not_favoured() {
        crate::sync::prepare_fences();
        let lock = Biased::default();
        for _ in 0..4 {
            take(&lock, FAVOUR_AFTER - 1);
            std::thread::scope(|scope| {
                scope.spawn(|| take(&lock, 1));
            });
        }
        assert!(!has_favourite(&lock));
    }

    #[test]
    fn nothing_is_lost_between_threads_that_come_and_go() {
        crate::sync::prepare_fences();
        let lock = Biased::default();
        const TIMES: u32 = 20 * FAVOUR_AFTER;
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for share in [1, 1, 16] {
                    let lock = &lock;
                    scope.spawn(move || {
                        for _ in 0..share {
                            take(lock, TIMES / share);
                            std::thread::yield_now();
                        }
                    });
                }
            });
        }
        let taken = *lock.lock(ThreadId::current());
        assert_eq!(taken, u64::from(20 * (TIMES + TIMES + TIMES / 16 * 16)));
    }
}
