//! Queues, words and work on one CUDA device: [`Bench`].

use super::api::Cuda;
use super::work::Work;
use crate::device::Kind;
use crate::gate::Workbench;
use cuda_sys::{CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUstream};
use fcsp_backend_nvidia::queue::Handles;
use fcsp_core::backend::QueueId;
use fcsp_core::region::layout::{GatePage, LANES};
use fcsp_core::sync::{AtomicU32, Ordering};
use std::cell::{Cell, RefCell};

/// Created streams. With the default ones fewer than the 8 connections that a process has to a device
/// (`CUDA_DEVICE_MAX_CONNECTIONS`): two streams of one connection may wait for each other.
const CREATED: usize = 4;

/// A workbench in the calling thread's current context.
pub struct Bench<'a> {
    page: &'static GatePage,
    work: Work<'a>,
    created: Vec<CUstream>,
    kinds: Cell<&'static [Kind]>,
    queues_taken: Cell<usize>,
    created_taken: Cell<usize>,
    words_taken: Cell<usize>,
    /// The first work that the driver refused.
    refused: RefCell<Option<String>>,
}

impl<'a> Bench<'a> {
    /// Makes the streams and measures the work. All of it before the suite begins: what loads code or
    /// makes streams may wait for streams that wait.
    pub fn new(cuda: &'a Cuda, page: &'static GatePage) -> Result<Self, String> {
        let created = (0..CREATED)
            .map(|_| cuda.stream())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            page,
            work: Work::measure(cuda, created[0])?,
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
            Kind::Legacy => CU_STREAM_LEGACY,
            Kind::PerThread => CU_STREAM_PER_THREAD,
        })
    }

    /// A word is taken again once all others were: by then the check that had it is over.
    fn word(&self) -> &AtomicU32 {
        let word = &self.page.done[next(&self.words_taken) % LANES];
        word.store(0, Ordering::Release);
        word
    }

    fn work(&self, queue: QueueId, ns: u64) {
        if let Err(error) = self.work.put(Handles::stream(queue), ns) {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }
}
