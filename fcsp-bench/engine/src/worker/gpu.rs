//! The device of a worker: its driver, the kernels, and the word that kernels credit their work to.
//!
//! Made with the first task and never torn down: the process ends instead, as most programs do.

use crate::driver::{
    self, Address, Argument, Block, Done, Driver, Kernel, Pinned, Queue, Shape, Trouble, Vendor,
};
use crate::protocol::{Answer, Way};
use fcsp_measure::clock::now_ns;
use std::sync::atomic::{AtomicU64, Ordering};

/// Threads of a block of every kernel but attention.
pub(crate) const BLOCK_THREADS: u32 = 256;

/// The device and all that a task needs of it.
pub(crate) struct Gpu {
    /// The driver.
    pub(crate) driver: Box<dyn Driver>,
    /// Whose it is.
    pub(crate) vendor: Vendor,
    /// A queue of its own, not a default one.
    pub(crate) queue: Queue,
    /// `fcsp_work`.
    pub(crate) work: Kernel,
    /// Blocks of [`BLOCK_THREADS`] that fill the device in one wave.
    pub(crate) wave_blocks: u32,
    /// Where kernels credit their work.
    pub(crate) counter: Counter,
    /// Rounds of `fcsp_work` in a microsecond; 0 before anybody has said.
    pub(crate) iters_per_us: f64,
    /// Whether the device says that it is simulated.
    pub(crate) simulated: bool,
    open_ns: u64,
}

/// A word of pinned host memory.
#[derive(Clone, Copy)]
pub(crate) struct Counter {
    host: *const AtomicU64,
    /// Where a kernel finds it.
    pub(crate) device: Address,
}

// SAFETY: the word is pinned for the life of the process and only read and written atomically on this side.
unsafe impl Send for Counter {}

impl Counter {
    /// What has been credited so far.
    pub(crate) fn value(self) -> u64 {
        // SAFETY: allocated in `Counter::new`, aligned, never freed.
        unsafe { &*self.host }.load(Ordering::Relaxed)
    }

    /// Credits something from this side.
    pub(crate) fn add(self, value: u64) {
        // SAFETY: as above. No kernel that credits runs meanwhile: a load counts on one side only.
        unsafe { &*self.host }.fetch_add(value, Ordering::Relaxed);
    }

    fn new(pinned: Pinned) -> Self {
        // SAFETY: the driver just gave us this many bytes, page aligned.
        unsafe { pinned.host.cast::<u64>().write(0) };
        Self {
            host: pinned.host.cast(),
            device: pinned.device,
        }
    }
}

impl Gpu {
    /// Loads the driver, opens the first device, loads the kernels.
    pub(crate) fn open(vendor: Vendor) -> Done<Self> {
        let opened_ns = now_ns();
        let driver = driver::open(vendor)?;
        let open_ns = now_ns() - opened_ns;
        let work = driver.kernel(c"fcsp_work")?;
        let name = driver.facts()?.name;
        Ok(Self {
            work,
            wave_blocks: driver.blocks_at_once(work, BLOCK_THREADS)?,
            counter: Counter::new(driver.pin(size_of::<u64>())?),
            queue: driver.queue()?,
            iters_per_us: 0.0,
            simulated: name.to_lowercase().contains("simulated"),
            open_ns,
            vendor,
            driver,
        })
    }

    /// What the program sees of the device.
    pub(crate) fn describe(&self) -> Done<Answer> {
        let (free_bytes, total_bytes) = self.driver.memory_info()?;
        let facts = self.driver.facts()?;
        Ok(Answer::default()
            .with_text("name", facts.name)
            .with_text("interface", facts.interface)
            .with_text("architecture", facts.architecture)
            .with("free_bytes", free_bytes as f64)
            .with("total_bytes", total_bytes as f64)
            .with("device_bytes", self.driver.stated_bytes()? as f64)
            .with("devices", f64::from(facts.devices))
            .with("multiprocessors", f64::from(facts.multiprocessors))
            .with("cache_bytes", facts.cache_bytes as f64)
            .with("wave_blocks", f64::from(self.wave_blocks))
            .with("open_us", self.open_ns as f64 / 1e3)
            .with("context_us", facts.context_ns as f64 / 1e3))
    }

    /// Rounds of the work kernel in a microsecond of a device that is this program's alone: the fastest of several runs of
    /// some milliseconds, so that a slow clock at the beginning does not count.
    pub(crate) fn calibrate(&mut self) -> Done<Answer> {
        let mut iters = 20_000_u32;
        let mut best = 0.0_f64;
        for _ in 0..12 {
            let began_ns = now_ns();
            self.launch_work(self.queue, self.wave_blocks, iters, 0)?;
            self.synchronize()?;
            let us = (now_ns() - began_ns) as f64 / 1e3;
            // A launch and its wait are some 10 microseconds of that, so short runs only find the length.
            if us > 4_000.0 {
                best = best.max(f64::from(iters) / us);
            } else {
                iters = (f64::from(iters) * (6_000.0 / us).clamp(1.5, 8.0)) as u32;
            }
        }
        if best == 0.0 {
            return Err(Trouble::new(
                "the work kernel's speed could not be found out",
            ));
        }
        self.iters_per_us = best;
        Ok(Answer::default().with("iters_per_us", best))
    }

    /// Launches `fcsp_work`, which credits `add` unless that is 0.
    #[inline]
    pub(crate) fn launch_work(&self, queue: Queue, blocks: u32, iters: u32, add: u64) -> Done<()> {
        let counter = if add == 0 { 0 } else { self.counter.device };
        self.launch(
            self.work,
            queue,
            [blocks, 1],
            BLOCK_THREADS,
            &[iters.into(), counter.into(), add.into()],
        )
    }

    /// Launches that `fcsp_work` of another context, filling a device like this one, without credit.
    pub(crate) fn launch_in(&self, work: Kernel, queue: Queue, iters: u32) -> Done<()> {
        self.launch(
            work,
            queue,
            [self.wave_blocks, 1],
            BLOCK_THREADS,
            &[iters.into(), 0_u64.into(), 0_u64.into()],
        )
    }

    /// Launches a kernel.
    #[inline]
    pub(crate) fn launch(
        &self,
        kernel: Kernel,
        queue: Queue,
        blocks: [u32; 2],
        threads: u32,
        arguments: &[Argument],
    ) -> Done<()> {
        self.driver
            .launch(kernel, queue, Shape { blocks, threads }, arguments)
    }

    /// Rounds of `fcsp_work` that take that long; an error before [`Gpu::iters_per_us`] is known.
    pub(crate) fn iters(&self, us: f64) -> Done<u32> {
        if self.iters_per_us <= 0.0 {
            return Err(Trouble::new("nobody has said how fast the device is"));
        }
        Ok((us * self.iters_per_us)
            .round()
            .clamp(1.0, f64::from(u32::MAX)) as u32)
    }

    /// Waits for everything that was submitted.
    pub(crate) fn synchronize(&self) -> Done<()> {
        self.driver.synchronize()
    }

    /// Waits for a queue.
    #[inline]
    pub(crate) fn wait(&self, queue: Queue) -> Done<()> {
        self.driver.wait(queue)
    }

    /// Device memory.
    #[inline]
    pub(crate) fn allocate(&self, bytes: u64) -> Done<Address> {
        match self.driver.allocate(Way::Plain, bytes, self.queue)? {
            Block::Plain(address) => Ok(address),
            other => Err(Trouble::new(format!("{other:?} is no plain memory"))),
        }
    }

    /// Gives it back.
    #[inline]
    pub(crate) fn free(&self, address: Address) -> Done<()> {
        self.driver.free(Block::Plain(address), self.queue)
    }
}
