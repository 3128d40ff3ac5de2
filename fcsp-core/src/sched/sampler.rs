//! Measures some submissions and some segments with the vendor's markers, to feed the cost model.
//!
//! Guarded by the producer's lock. Markers are made once and reused; a measurement that is not ready
//! is looked at again later, and nothing ever waits for one.

use super::cost::CostKey;
use crate::backend::{Elapsed, Marker, QueueId, StreamGate};

/// Measurements under way at most.
const PAIRS: usize = 16;
/// A known cost is measured again once in this many submissions.
const REFRESH_EVERY: u32 = 64;
/// An unknown cost is measured until it has this many samples.
const FIRST_SAMPLES: u32 = 3;

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
    stage: Stage,
}

/// Names a measurement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleId(usize);

/// The measurements of one process.
#[derive(Debug, Default)]
pub struct Sampler {
    pairs: [Option<Pair>; PAIRS],
    turns: u32,
    next: usize,
    /// The vendor has no markers to give; do not ask again.
    none_left: bool,
}

impl Sampler {
    /// True if a submission whose cost has `samples` measurements should be measured.
    pub fn wants(&mut self, samples: u32) -> bool {
        self.turns = self.turns.wrapping_add(1);
        samples < FIRST_SAMPLES || self.turns.is_multiple_of(REFRESH_EVERY)
    }

    /// Begins a measurement on `queue`.
    pub fn begin(
        &mut self,
        gate: &dyn StreamGate,
        queue: QueueId,
        subject: Subject,
    ) -> Option<SampleId> {
        let at = self.idle(gate)?;
        let pair = self.pairs[at].as_mut()?;
        if !gate.record(pair.begin, queue) {
            return None;
        }
        pair.subject = subject;
        pair.stage = Stage::Begun;
        Some(SampleId(at))
    }

    /// Ends a measurement on the queue it began on.
    pub fn end(&mut self, gate: &dyn StreamGate, queue: QueueId, id: SampleId) {
        if let Some(pair) = &mut self.pairs[id.0] {
            pair.stage = if gate.record(pair.end, queue) {
                Stage::Ended
            } else {
                Stage::Idle
            };
        }
    }

    /// Gives a measurement up.
    pub fn drop(&mut self, id: SampleId) {
        if let Some(pair) = &mut self.pairs[id.0] {
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
            }
        }
    }

    /// A measurement that has become ready, if the next one in line has.
    pub fn poll(&mut self, gate: &dyn StreamGate) -> Option<(Subject, u64)> {
        self.next = (self.next + 1) % PAIRS;
        let pair = self.pairs[self.next].as_mut()?;
        if !matches!(pair.stage, Stage::Ended) {
            return None;
        }
        match gate.elapsed(pair.begin, pair.end) {
            Elapsed::Pending => None,
            Elapsed::Lost => {
                pair.stage = Stage::Idle;
                None
            }
            Elapsed::Ns(ns) => {
                pair.stage = Stage::Idle;
                Some((pair.subject, ns))
            }
        }
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
            stage: Stage::Idle,
        });
        Some(at)
    }
}
