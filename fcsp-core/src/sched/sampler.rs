//! Measures some submissions and some segments with the vendor's markers, to feed the cost model.
//!
//! Guarded by the producer's lock. Markers are made once and reused. The vendor is not asked about a
//! measurement before its segment has retired, when both markers have passed: a program may be hundreds of
//! submissions ahead, and a question costs more than all the rest of a submission. Nothing ever waits for a
//! measurement.

use super::clock::now_ns;
use super::cost::CostKey;
use super::segment::reached;
use crate::backend::{Elapsed, Marker, QueueId, StreamGate};

/// Measurements under way at most.
const PAIRS: usize = 16;
/// A known cost is measured again once in this many submissions.
const REFRESH_EVERY: u32 = 64;
/// An unknown cost is measured until it has this many samples.
pub const FIRST_SAMPLES: u32 = 3;

/// What is being measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One submission.
    Submission(CostKey),
    /// A segment, by number: from its gate to its done word.
    Segment(u32),
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Idle,
    Begun,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    begin: Marker,
    end: Marker,
    subject: Subject,
    /// The segment it is a part of.
    number: u32,
    stage: Stage,
    /// When it was begun, and then for how long the device may have waited for the program between its markers.
    host_ns: u64,
}

/// What a measurement found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Of what.
    pub subject: Subject,
    /// Device time between its markers.
    pub ns: u64,
    /// Of that, what the device may have spent waiting for the program.
    pub waited_ns_max: u64,
}

/// Names a measurement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleId(u8);

/// Counts submissions, to tell which are measured. Apart from the measurements: every submission reads it.
#[derive(Debug, Default)]
pub struct Turns(u32);

impl Turns {
    /// True if a submission whose cost has `samples` measurements should be measured.
    pub fn wants(&mut self, samples: u32) -> bool {
        self.0 = self.0.wrapping_add(1);
        samples < FIRST_SAMPLES || self.0.is_multiple_of(REFRESH_EVERY)
    }

    /// Counts a submission with [`FIRST_SAMPLES`] or more, if it is not one to be measured; false if it is.
    #[inline]
    pub fn pass(&mut self) -> bool {
        let turns = self.0.wrapping_add(1);
        let passes = !turns.is_multiple_of(REFRESH_EVERY);
        if passes {
            self.0 = turns;
        }
        passes
    }
}

/// The measurements of one process.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Measurements that ended and were not read, and the oldest segment of any of them.
    oldest: u32,
    ended: usize,
    /// The vendor said that a measurement was still pending when everything up to this segment had
    /// retired: it is not asked again before another has.
    pending_at: Option<u32>,
    /// The vendor has no markers to give; do not ask again.
    none_left: bool,
    pairs: [Option<Pair>; PAIRS],
}

impl Sampler {
    /// Begins a measurement on `queue` of something in segment `number`.
    pub fn begin(
        &mut self,
        gate: &dyn StreamGate,
        queue: QueueId,
        subject: Subject,
        number: u32,
    ) -> Option<SampleId> {
        let at = self.idle(gate)?;
        let pair = self.pairs[at].as_mut()?;
        if !gate.record_before(pair.begin, queue) {
            return None;
        }
        pair.subject = subject;
        pair.number = number;
        pair.host_ns = now_ns();
        pair.stage = Stage::Begun;
        Some(SampleId(at as u8))
    }

    /// Ends a measurement on the queue it began on. If its segment is `granted`, the device may have come to the first
    /// marker long ago, and waited for what it now has.
    pub fn end(&mut self, gate: &dyn StreamGate, queue: QueueId, id: SampleId, granted: bool) {
        let Some(pair) = &mut self.pairs[usize::from(id.0)] else {
            return;
        };
        if !gate.record(pair.end, queue) {
            pair.stage = Stage::Idle;
            return;
        }
        pair.host_ns = match granted {
            true => now_ns().saturating_sub(pair.host_ns),
            false => 0,
        };
        pair.stage = Stage::Ended;
        if self.ended == 0 || reached(self.oldest, pair.number) {
            self.oldest = pair.number;
        }
        self.ended += 1;
    }

    /// Gives a measurement up.
    pub fn drop(&mut self, id: SampleId) {
        if let Some(pair) = &mut self.pairs[usize::from(id.0)] {
            pair.stage = Stage::Idle;
        }
    }

    /// Gives up all measurements of `subject`: they are of what it was before.
    pub fn drop_all(&mut self, subject: Subject) {
        let pairs = self.pairs.iter_mut().flatten();
        for pair in pairs.filter(|pair| pair.subject == subject) {
            // One whose submission is under way is ended by that.
            if matches!(pair.stage, Stage::Ended) {
                pair.stage = Stage::Idle;
                self.ended -= 1;
            }
        }
    }

    /// True if nothing is to be read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ended == 0
    }

    /// A measurement that has become ready, where everything up to segment `retired` has retired.
    #[inline]
    pub fn poll(&mut self, gate: &dyn StreamGate, retired: u32) -> Option<Measured> {
        if self.ended == 0 || !reached(retired, self.oldest) || self.pending_at == Some(retired) {
            return None;
        }
        self.read(gate, retired)
    }

    #[cold]
    fn read(&mut self, gate: &dyn StreamGate, retired: u32) -> Option<Measured> {
        let mut found = None;
        let mut oldest: Option<u32> = None;
        for pair in self.pairs.iter_mut().flatten() {
            if !matches!(pair.stage, Stage::Ended) {
                continue;
            }
            if found.is_none() && reached(retired, pair.number) {
                // A segment that was given up has retired, and may be pending all the same.
                match gate.elapsed(pair.begin, pair.end) {
                    Elapsed::Pending => {
                        self.pending_at = Some(retired);
                        break;
                    }
                    Elapsed::Lost => {
                        pair.stage = Stage::Idle;
                        self.ended -= 1;
                        continue;
                    }
                    Elapsed::Ns(ns) => {
                        pair.stage = Stage::Idle;
                        self.ended -= 1;
                        found = Some(Measured {
                            subject: pair.subject,
                            ns,
                            waited_ns_max: pair.host_ns,
                        });
                        continue;
                    }
                }
            }
            if oldest.is_none_or(|oldest| reached(oldest, pair.number)) {
                oldest = Some(pair.number);
            }
        }
        if self.pending_at != Some(retired) {
            self.oldest = oldest.unwrap_or(self.oldest);
        }
        found
    }

    fn idle(&mut self, gate: &dyn StreamGate) -> Option<usize> {
        let idle = |pair: &Option<Pair>| pair.is_some_and(|p| matches!(p.stage, Stage::Idle));
        if let Some(at) = self.pairs.iter().position(idle) {
            return Some(at);
        }
        let at = self
            .pairs
            .iter()
            .position(Option::is_none)
            .filter(|_| !self.none_left)?;
        let (Some(begin), Some(end)) = (gate.marker(), gate.marker()) else {
            self.none_left = true;
            return None;
        };
        self.pairs[at] = Some(Pair {
            begin,
            end,
            subject: Subject::Segment(0),
            number: 0,
            stage: Stage::Idle,
            host_ns: 0,
        });
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicU32;
    use std::cell::Cell;

    /// Markers that have passed when the test says so, and how often somebody asked.
    #[derive(Default)]
    struct Markers {
        made: Cell<u64>,
        passed: Cell<bool>,
        asked: Cell<u32>,
    }

    impl StreamGate for Markers {
        fn wait(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
            true
        }

        fn write(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
            true
        }

        fn marker(&self) -> Option<Marker> {
            self.made.set(self.made.get() + 1);
            Some(Marker(self.made.get()))
        }

        fn record(&self, _: Marker, _: QueueId) -> bool {
            true
        }

        fn elapsed(&self, _: Marker, _: Marker) -> Elapsed {
            self.asked.set(self.asked.get() + 1);
            match self.passed.get() {
                true => Elapsed::Ns(7),
                false => Elapsed::Pending,
            }
        }
    }

    fn segment(number: u32) -> Measured {
        Measured {
            subject: Subject::Segment(number),
            ns: 7,
            waited_ns_max: 0,
        }
    }

    fn measure(sampler: &mut Sampler, gate: &Markers, number: u32) -> Option<()> {
        let id = sampler.begin(gate, QueueId(1), Subject::Segment(number), number)?;
        sampler.end(gate, QueueId(1), id, false);
        Some(())
    }

    #[test]
    fn nobody_is_asked_about_what_has_not_retired() {
        let (mut sampler, gate) = (Sampler::default(), Markers::default());
        gate.passed.set(true);
        for number in [6, 5, 8] {
            assert!(measure(&mut sampler, &gate, number).is_some());
        }
        assert_eq!(sampler.poll(&gate, 4), None);
        assert_eq!(gate.asked.get(), 0);
        let mut read = Vec::new();
        while let Some(Subject::Segment(number)) = sampler.poll(&gate, 6).map(|it| it.subject) {
            read.push(number);
        }
        read.sort_unstable();
        assert_eq!((read, gate.asked.get()), (vec![5, 6], 2));
        assert_eq!(sampler.poll(&gate, 7), None);
        assert_eq!(gate.asked.get(), 2, "the newest is still under way");
        assert_eq!(sampler.poll(&gate, 8), Some(segment(8)));
        assert!(sampler.is_empty());
    }

    #[test]
    fn a_segment_that_was_given_up_is_read_when_its_markers_pass() {
        let (mut sampler, gate) = (Sampler::default(), Markers::default());
        measure(&mut sampler, &gate, u32::MAX);
        measure(&mut sampler, &gate, 1);
        for _ in 0..100 {
            assert_eq!(sampler.poll(&gate, 0), None, "pending");
        }
        assert_eq!(gate.asked.get(), 1, "a launch is not to pay for a question");
        gate.passed.set(true);
        let first = sampler.poll(&gate, 1);
        assert_eq!(first, Some(segment(u32::MAX)));
        assert_eq!(sampler.poll(&gate, 1), Some(segment(1)));
    }

    #[test]
    fn markers_are_used_again_and_limited() {
        let (mut sampler, gate) = (Sampler::default(), Markers::default());
        gate.passed.set(true);
        for number in 1..100 {
            assert!(measure(&mut sampler, &gate, number).is_some());
            assert!(sampler.poll(&gate, number).is_some());
        }
        assert_eq!(gate.made.get(), 2);
        let begun = (0..100).map_while(|_| measure(&mut sampler, &gate, 100));
        assert_eq!(begun.count(), PAIRS);
    }
}
