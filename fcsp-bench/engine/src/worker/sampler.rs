//! Looks at the progress of a load every 2 ms, from a thread of its own that makes no call of the driver.

use super::gpu::Counter;
use fcsp_measure::clock::now_ns;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks. A look is two loads, so that it costs nothing even beside many tenants.
const EVERY: Duration = Duration::from_millis(2);

/// A sampler at work.
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<(u64, u64)>>>,
}

impl Sampler {
    /// Looks from now on.
    pub(crate) fn start(counter: Counter) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let counter = counter;
            let began = counter.value();
            let mut points = vec![(now_ns(), 0)];
            // Pairs with nothing: that it stops a sample later is as good.
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                points.push((now_ns(), counter.value() - began));
            }
            points
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// What it saw.
    pub(crate) fn stop(mut self) -> Vec<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}
