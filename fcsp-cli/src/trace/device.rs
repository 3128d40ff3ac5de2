//! One device that is traced.

use super::names::{Names, Who};
use super::summary::{Counts, Summary};
use fcsp_core::region::Region;
use fcsp_core::region::layout::ArbiterWords;
use fcsp_core::sched::trace::ring::{Reader, Ring};
use fcsp_core::sched::trace::{self, Event};
use fcsp_core::sync::Ordering::Relaxed;

/// One device that is traced.
pub struct Traced<'a> {
    region: &'a Region,
    ring: Ring<'a>,
    reader: Reader,
    /// Steps and hand-overs before the trace.
    before: (u64, u64),
    /// Identity of the device.
    pub id: String,
    names: Names,
    counts: Counts,
}

impl<'a> Traced<'a> {
    /// Reads what is recorded from now on.
    pub fn begin(region: &'a Region) -> Self {
        let ring = trace::ring(region.layout());
        let mut names = Names::default();
        names.refresh(region);
        Self {
            region,
            ring,
            reader: Reader::new(ring),
            before: counters(&region.layout().header.arbiter),
            id: region.device().id,
            names,
            counts: Counts::default(),
        }
    }

    /// Has its arbiter record until then.
    pub fn keep_on(&self, until_ns: u64) {
        self.ring.keep_on(until_ns);
    }

    /// What was recorded since the last look.
    pub fn read(&mut self, now_ns: u64) -> Vec<Event> {
        let entries = std::iter::from_fn(|| self.reader.next(self.ring, now_ns));
        let events: Vec<Event> = entries.filter_map(Event::decode).collect();
        if !events.is_empty() {
            self.names.refresh(self.region);
        }
        events
    }

    /// Counts an event for the summary; says whom it concerns.
    pub fn count(&mut self, event: &Event) -> Who {
        let who = self.names.who(event);
        self.counts.count(event, who.tenant.as_deref());
        who
    }

    /// Whether something was recorded that is not read.
    pub fn is_behind(&self) -> bool {
        self.reader.is_behind(self.ring)
    }

    /// What came of it.
    pub fn summarize(&self, seconds: f64) -> Summary {
        let (steps, handovers) = counters(&self.region.layout().header.arbiter);
        let (steps_before, handovers_before) = self.before;
        let steps = steps.saturating_sub(steps_before);
        self.counts.summarize(Summary {
            device: self.id.clone(),
            seconds,
            handovers: handovers.saturating_sub(handovers_before),
            steps_per_s: steps as f64 / seconds,
            lost: self.reader.lost,
            ..Summary::default()
        })
    }
}

/// Steps and hand-overs so far.
fn counters(words: &ArbiterWords) -> (u64, u64) {
    (words.steps.load(Relaxed), words.handoffs.load(Relaxed))
}
