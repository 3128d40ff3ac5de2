//! Queues, words and work on one HIP device: [`Bench`].

use super::api::Hip;
use crate::device::Kind;
use crate::gate::Workbench;
use fcsp_backend_amd::queue::Handles;
use fcsp_core::backend::QueueId;
use fcsp_core::region::layout::{GatePage, LANES};
use fcsp_core::sync::{AtomicU32, Ordering};
use hip_sys::{HIP_STREAM_NULL, HIP_STREAM_PER_THREAD, hipStream_t};
use std::cell::{Cell, RefCell};

/// Created streams.
const CREATED: usize = 4;

/// A workbench on the calling thread's device.
pub struct Bench<'a> {
    page: &'static GatePage,
    hip: &'a Hip,
    created: Vec<hipStream_t>,
    kinds: Cell<&'static [Kind]>,
    queues_taken: Cell<usize>,
    created_taken: Cell<usize>,
    words_taken: Cell<usize>,
    /// The first work that the driver refused.
    refused: RefCell<Option<String>>,
}

impl<'a> Bench<'a> {
    /// Makes the streams. Before the suite begins: what makes streams may wait for streams that wait.
    pub fn new(hip: &'a Hip, page: &'static GatePage) -> Result<Self, String> {
        let created = (0..CREATED)
            .map(|_| hip.stream())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            page,
            hip,
            created,
            kinds: Cell::new(&[Kind::Created]),
            queues_taken: Cell::new(0),
            created_taken: Cell::new(0),
            words_taken: Cell::new(0),
            refused: RefCell::new(None),
        })
    }

    /// The page that the words are in.
    pub fn page(&self) -> &'static GatePage {
        self.page
    }

    /// From now on queues are of these kinds, in turn.
    pub fn take_in_turn(&self, kinds: &'static [Kind]) {
        self.kinds.set(kinds);
        self.queues_taken.set(0);
    }

    /// Why the driver refused work, if it did: then the suite's figures mean nothing.
    pub fn refused(&self) -> Option<String> {
        self.refused.borrow_mut().take()
    }
}

/// A number that counts up with each call.
fn next(count: &Cell<usize>) -> usize {
    count.replace(count.get() + 1)
}

impl Workbench for Bench<'_> {
    /// A stream is taken again only after another: no check takes more than two at once.
    fn queue(&self) -> QueueId {
        let kinds = self.kinds.get();
        Handles::queue(match kinds[next(&self.queues_taken) % kinds.len()] {
            Kind::Created => self.created[next(&self.created_taken) % CREATED],
            Kind::Legacy => HIP_STREAM_NULL,
            Kind::PerThread => HIP_STREAM_PER_THREAD,
        })
    }

    /// A word is taken again once all others were: by then the check that had it is over.
    fn word(&self) -> &AtomicU32 {
        let word = &self.page.done[next(&self.words_taken) % LANES];
        word.store(0, Ordering::Release);
        word
    }

    fn work(&self, queue: QueueId, ns: u64) {
        if let Err(error) = self.hip.sleep(Handles::stream(queue), ns) {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }
}
