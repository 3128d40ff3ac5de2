//! The ring of events in the region: arbiters write, `fcsp trace` reads.
//!
//! A writer reserves a number, claims that number's place, writes the event, and marks the place with the
//! number. Nobody waits for anybody: an event whose place another writer is at is given up, and a reader
//! that was too slow goes on with what is left and says how much it missed. There is usually one writer,
//! the arbiter; one that was stopped and taken over may write beside the next, and so may a program that
//! goes first.
//!
//! A writer that is killed within the few instructions of its claim takes the place with it: of every
//! round of the ring one event is lost from then on, and is counted as such.

use crate::failpoint::failpoint;
use crate::sync::{AtomicU64, Ordering, fence};

/// Events the ring holds.
pub const PLACES: usize = 8192;
/// In a place's mark: a writer is at it. The other bits are the number of its event.
const BUSY: u64 = 1 << 63;
/// An event that is not complete so long after it was numbered never will be: its writer was killed, or
/// gave it up.
const PATIENCE_NS: u64 = 20_000_000;

/// The words that everybody looks at; in the region's header, so that they cost no page of their own.
#[repr(C)]
#[derive(Debug, Default)]
pub struct TraceWords {
    /// The arbiter records while `CLOCK_MONOTONIC` is below this, nanoseconds.
    pub until_ns: AtomicU64,
    /// Number of the newest event; numbers begin at 1.
    pub reserved: AtomicU64,
}

/// Room for one event.
#[repr(C, align(32))]
#[derive(Debug, Default)]
pub struct Place {
    mark: AtomicU64,
    time_ns: AtomicU64,
    what: AtomicU64,
    value: AtomicU64,
}

/// One event as it lies in the ring; [`super::event`] says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// What, and to whom.
    pub what: u64,
    /// How much.
    pub value: u64,
}

/// The ring. Neither allocates nor blocks nor makes system calls; safe from any thread and process.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    words: &'a TraceWords,
    places: &'a [Place],
}

impl<'a> Ring<'a> {
    /// The ring of these words and places; a number's place is the number modulo their count.
    pub fn new(words: &'a TraceWords, places: &'a [Place]) -> Self {
        Self { words, places }
    }

    /// Whether somebody traces now. One load.
    #[inline]
    pub fn is_on(self, now_ns: u64) -> bool {
        // Relaxed: a number alone; a step later it counts.
        now_ns < self.words.until_ns.load(Ordering::Relaxed)
    }

    /// Has arbiters record until `until_ns` at least.
    pub fn keep_on(self, until_ns: u64) {
        self.words.until_ns.fetch_max(until_ns, Ordering::Relaxed);
    }

    fn place(self, number: u64) -> &'a Place {
        &self.places[number as usize % self.places.len()]
    }

    /// Records an event.
    pub fn record(self, entry: Entry) {
        // Relaxed: the mark publishes.
        let number = self.words.reserved.fetch_add(1, Ordering::Relaxed) + 1;
        let place = self.place(number);
        let before = place.mark.load(Ordering::Relaxed);
        // Another writer is at it, or has been there with a later event while this one slept.
        if before >= number {
            return;
        }
        // Acquire pairs with the release of the event that was here, so that ours comes after it.
        let claim = place.mark.compare_exchange(
            before,
            BUSY | number,
            Ordering::Acquire,
            Ordering::Relaxed,
        );
        if claim.is_err() {
            return;
        }
        failpoint!("sched.trace.claimed");
        // Pairs with the fence in `read`: whoever sees one of these sees the claim.
        fence(Ordering::Release);
        place.time_ns.store(entry.time_ns, Ordering::Relaxed);
        place.what.store(entry.what, Ordering::Relaxed);
        place.value.store(entry.value, Ordering::Relaxed);
        // Release publishes the three above.
        place.mark.store(number, Ordering::Release);
    }

    fn read(self, number: u64) -> Result<Entry, Missing> {
        let place = self.place(number);
        let check = |mark: u64| match mark & !BUSY {
            it if it > number => Err(Missing::Overwritten),
            _ if mark == number => Ok(()),
            _ => Err(Missing::Incomplete),
        };
        // Acquire pairs with the release of the mark.
        check(place.mark.load(Ordering::Acquire))?;
        let entry = Entry {
            time_ns: place.time_ns.load(Ordering::Relaxed),
            what: place.what.load(Ordering::Relaxed),
            value: place.value.load(Ordering::Relaxed),
        };
        // Pairs with the fence in `record`: if one of these is a later event's, so is the mark now.
        fence(Ordering::Acquire);
        check(place.mark.load(Ordering::Relaxed))?;
        Ok(entry)
    }
}

/// Why an event cannot be read.
enum Missing {
    Incomplete,
    Overwritten,
}

/// How far somebody has read.
#[derive(Debug)]
pub struct Reader {
    next: u64,
    incomplete_since_ns: Option<u64>,
    /// Events that were overwritten before they were read, or never completed.
    pub lost: u64,
}

impl Reader {
    /// Reads what is recorded from now on.
    pub fn new(ring: Ring<'_>) -> Self {
        Self {
            next: ring.words.reserved.load(Ordering::Relaxed) + 1,
            incomplete_since_ns: None,
            lost: 0,
        }
    }

    /// The next event; `None` if there is none, or none that is complete. What is not complete after some
    /// milliseconds is lost. Does not block.
    pub fn next(&mut self, ring: Ring<'_>, now_ns: u64) -> Option<Entry> {
        loop {
            let newest = ring.words.reserved.load(Ordering::Relaxed);
            if self.next > newest {
                return None;
            }
            let oldest = newest.saturating_sub(ring.places.len() as u64) + 1;
            if self.next < oldest {
                self.skip(oldest - self.next);
            }
            match ring.read(self.next) {
                Ok(entry) => {
                    self.next += 1;
                    self.incomplete_since_ns = None;
                    return Some(entry);
                }
                Err(Missing::Overwritten) => self.skip(1),
                Err(Missing::Incomplete) => {
                    let since_ns = *self.incomplete_since_ns.get_or_insert(now_ns);
                    if now_ns.saturating_sub(since_ns) < PATIENCE_NS {
                        return None;
                    }
                    self.skip(1);
                }
            }
        }
    }

    /// True if events were numbered that are not read.
    pub fn is_behind(&self, ring: Ring<'_>) -> bool {
        self.next <= ring.words.reserved.load(Ordering::Relaxed)
    }

    fn skip(&mut self, count: u64) {
        self.next += count;
        self.lost += count;
        self.incomplete_since_ns = None;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            time_ns: number,
            what: 2 * number,
            value: 3 * number,
        }
    }

    fn places<const COUNT: usize>() -> [Place; COUNT] {
        std::array::from_fn(|_| Place::default())
    }

    fn read_all(reader: &mut Reader, ring: Ring<'_>) -> Vec<Entry> {
        std::iter::from_fn(|| reader.next(ring, 0)).collect()
    }

    #[test]
    fn what_is_recorded_is_read_once_and_in_order() {
        let (words, places) = (TraceWords::default(), places::<4>());
        let ring = Ring::new(&words, &places);
        ring.record(entry(1));
        let mut reader = Reader::new(ring);
        assert_eq!(reader.next(ring, 0), None, "from now on");
        for round in 0..5 {
            let entries = [0, 1, 2].map(|i| entry(2 + 3 * round + i));
            entries.into_iter().for_each(|it| ring.record(it));
            assert!(reader.is_behind(ring));
            assert_eq!(read_all(&mut reader, ring), entries);
            assert!(!reader.is_behind(ring));
        }
        assert_eq!(reader.lost, 0);
    }

    #[test]
    fn a_slow_reader_gets_what_is_left_and_knows_what_it_missed() {
        let (words, places) = (TraceWords::default(), places::<4>());
        let ring = Ring::new(&words, &places);
        let mut reader = Reader::new(ring);
        (1..=11).for_each(|number| ring.record(entry(number)));
        assert_eq!(read_all(&mut reader, ring), [8, 9, 10, 11].map(entry));
        assert_eq!(reader.lost, 7);
    }

    #[test]
    fn a_writer_killed_in_the_middle_costs_its_event_only() {
        let (words, places) = (TraceWords::default(), places::<4>());
        let ring = Ring::new(&words, &places);
        let mut reader = Reader::new(ring);
        ring.record(entry(1));
        // Another writer came as far as this.
        let number = words.reserved.fetch_add(1, Ordering::Relaxed) + 1;
        ring.place(number)
            .mark
            .store(BUSY | number, Ordering::Relaxed);
        ring.record(entry(3));
        assert_eq!(read_all(&mut reader, ring), [entry(1)]);
        assert_eq!(reader.next(ring, PATIENCE_NS - 1), None);
        assert_eq!(reader.next(ring, PATIENCE_NS), Some(entry(3)));
        assert_eq!(reader.lost, 1);
        // In the next round its place is passed over.
        (4..=7).for_each(|number| ring.record(entry(number)));
        assert_eq!(read_all(&mut reader, ring), [4, 5].map(entry));
        assert_eq!(reader.next(ring, 2 * PATIENCE_NS), Some(entry(7)));
        assert_eq!(reader.lost, 2);
    }

    #[test]
    fn a_writer_that_slept_a_round_does_not_overwrite_what_came_after() {
        let (words, places) = (TraceWords::default(), places::<2>());
        let ring = Ring::new(&words, &places);
        let mut reader = Reader::new(ring);
        // Numbers 1 and 2 are reserved; whoever has number 1 goes on after 3 and 4 are written.
        words.reserved.store(2, Ordering::Relaxed);
        ring.record(entry(3));
        ring.record(entry(4));
        words.reserved.store(0, Ordering::Relaxed);
        ring.record(entry(1));
        words.reserved.store(4, Ordering::Relaxed);
        assert_eq!(read_all(&mut reader, ring), [3, 4].map(entry));
        assert_eq!(reader.lost, 2);
    }

    #[test]
    fn recording_lasts_as_long_as_the_last_tracer_wants() {
        let words = TraceWords::default();
        let ring = Ring::new(&words, &[]);
        assert!(!ring.is_on(1));
        ring.keep_on(100);
        ring.keep_on(50);
        assert!(ring.is_on(99) && !ring.is_on(100));
    }

    #[test]
    fn two_threads_write_and_no_event_is_torn() {
        let (words, places) = (TraceWords::default(), places::<8>());
        let ring = Ring::new(&words, &places);
        let mut reader = Reader::new(ring);
        let each = 20_000;
        let (mut read, mut now_ns) = (0, 0);
        std::thread::scope(|scope| {
            for writer in 0..2 {
                scope.spawn(move || {
                    (1..=each).for_each(|i| ring.record(entry(2 * i + writer)));
                });
            }
            while words.reserved.load(Ordering::Relaxed) < 2 * each || reader.is_behind(ring) {
                now_ns += 1_000_000;
                if let Some(found) = reader.next(ring, now_ns) {
                    assert_eq!(found, entry(found.time_ns), "of one writer");
                    read += 1;
                }
            }
        });
        assert!(read > 0);
        assert_eq!(read + reader.lost, 2 * each);
    }
}
