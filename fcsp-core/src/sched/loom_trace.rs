//! Models of the ring of events: two arbiters at once, a reader beside them, a writer that is killed.
//! No event is read that nobody recorded, and each is read or lost once.

use super::trace::ring::{Entry, Place, Reader, Ring, TraceWords};
use crate::failpoint::model::killed_at;
use loom::sync::Arc;
use loom::thread;

/// Fewer places than events, so that writers meet.
#[derive(Default)]
struct Shared {
    words: TraceWords,
    places: [Place; 2],
}

impl Shared {
    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.words, &self.places)
    }
}

fn entry(id: u64) -> Entry {
    Entry {
        time_ns: id,
        what: id,
        value: id,
    }
}

/// Reads what there is; each event must be whole.
fn read(reader: &mut Reader, ring: Ring<'_>, now_ns: u64, seen: &mut Vec<u64>) {
    while let Some(found) = reader.next(ring, now_ns) {
        assert_eq!(found, entry(found.time_ns), "torn");
        assert!(!seen.contains(&found.time_ns), "twice");
        seen.push(found.time_ns);
    }
}

fn explore(recorded: u64, model: impl Fn(&Arc<Shared>, &mut dyn FnMut()) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let shared = Arc::new(Shared::default());
        let (mut reader, mut seen) = (Reader::new(shared.ring()), Vec::new());
        model(&shared, &mut || {
            read(&mut reader, shared.ring(), 0, &mut seen)
        });
        // Long after: what is not complete never will be.
        for look in 1..=2 * recorded {
            read(&mut reader, shared.ring(), look << 32, &mut seen);
        }
        assert!(!reader.is_behind(shared.ring()));
        assert_eq!(seen.len() as u64 + reader.lost, recorded);
    });
}

fn writer(shared: &Arc<Shared>, ids: [u64; 2]) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        ids.into_iter()
            .for_each(|id| shared.ring().record(entry(id)))
    })
}

#[test]
fn loom_two_writers_at_one_place_leave_one_whole_event() {
    explore(4, |shared, _| {
        let other = writer(shared, [1, 2]);
        [3, 4]
            .into_iter()
            .for_each(|id| shared.ring().record(entry(id)));
        other.join().expect("a thread");
    });
}

#[test]
fn loom_an_event_that_is_overwritten_is_not_read() {
    explore(4, |shared, read| {
        shared.ring().record(entry(1));
        shared.ring().record(entry(2));
        let other = writer(shared, [3, 4]);
        read();
        other.join().expect("a thread");
    });
}

#[test]
fn loom_a_writer_killed_in_the_middle_harms_no_other() {
    explore(3, |shared, read| {
        let killed = {
            let shared = Arc::clone(shared);
            thread::spawn(move || {
                killed_at("sched.trace.claimed", || shared.ring().record(entry(1)));
            })
        };
        [2, 3]
            .into_iter()
            .for_each(|id| shared.ring().record(entry(id)));
        read();
        killed.join().expect("a thread");
    });
}
