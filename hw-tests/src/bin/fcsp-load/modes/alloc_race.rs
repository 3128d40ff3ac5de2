//! Several threads allocate and free at random until they are refused, and go on.
//!
//! With a ledger shared by several such processes, the most they ever held together is known
//! without trusting anyone's accounting (see `fcsp_hw_tests::ledger`).

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use fcsp_hw_tests::ledger::SharedLedger;
use fcsp_hw_tests::random::Random;
use fcsp_hw_tests::record::{AllocRace, Outcome};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::DefaultStream;
use crate::cli::{Common, parse_bytes};
use crate::gpu::Gpu;
use crate::memory::{Allocator, Answer, Family, Held, size_up_to};
use crate::session::Session;
use crate::stream;

/// Options of `alloc-race`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Threads
    #[arg(long, default_value_t = 8)]
    threads: u64,
    /// Requests per thread; fewer if the time is over first
    #[arg(long, default_value_t = 2_000)]
    ops: u64,
    /// Ways to allocate, chosen at random
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "malloc,async,pitch,managed,create"
    )]
    family: Vec<Family>,
    /// Largest sizes, one chosen at random each time and then half to all of it
    #[arg(
        long,
        value_parser = parse_bytes,
        value_delimiter = ',',
        default_value = "4K,1M,16M,256M"
    )]
    sizes: Vec<u64>,
    /// Seed of the choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File in which several such processes count together what they hold
    #[arg(long)]
    ledger: Option<PathBuf>,
}

/// How often a thread compares free with total memory.
const INFO_EVERY_OPS: u64 = 64;

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(common.device, common.resolve, DefaultStream::Legacy)?;
    let ledger = options
        .ledger
        .as_deref()
        .map(|path| {
            SharedLedger::open(path)
                .with_context(|| format!("cannot open the ledger {}", path.display()))
        })
        .transpose()?;
    let session = Session::begin("alloc-race", common, &gpu, None)?;
    let race = Race {
        gpu: &gpu,
        options,
        session: &session,
        ledger: ledger.as_ref(),
        tally: Tally::default(),
    };
    let race = &race;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads)
            .map(|thread| scope.spawn(move || race.run_thread(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a racing thread panicked")))
            })
            .collect::<Result<Vec<()>>>()
    })?;
    let tally = &race.tally;
    let outcome = Outcome::AllocRace(AllocRace {
        allocations: tally.allocations.load(Ordering::Relaxed),
        refusals: tally.refusals.load(Ordering::Relaxed),
        own_peak_bytes: tally.peak_bytes.load(Ordering::Relaxed),
        ledger_peak_bytes: ledger.as_ref().map(SharedLedger::peak_bytes),
        info_checks: tally.info_checks.load(Ordering::Relaxed),
    });
    session.finish(0, outcome, || gpu.synchronize())
}

/// Counts of all threads. Relaxed throughout: they are read after the threads were joined, and the
/// peak needs only the arithmetic of one word.
#[derive(Default)]
struct Tally {
    allocations: AtomicU64,
    refusals: AtomicU64,
    held_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    info_checks: AtomicU64,
}

struct Race<'a> {
    gpu: &'a Gpu,
    options: &'a Options,
    session: &'a Session,
    ledger: Option<&'a SharedLedger>,
    tally: Tally,
}

impl Race<'_> {
    fn run_thread(&self, thread: u64) -> Result<()> {
        self.gpu.bind_thread()?;
        let allocator = Allocator::new(self.gpu, stream::create(self.gpu)?)?;
        let seed = self
            .options
            .seed
            .wrapping_mul(0x1_0001)
            .wrapping_add(thread);
        let mut random = Random::new(seed);
        let mut held: Vec<Held> = Vec::new();
        for op in 0..self.options.ops {
            if self.session.over() {
                break;
            }
            // More requests than frees, so that the limit is met again and again.
            if held.is_empty() || random.below(10) < 6 {
                let family = self.options.family[random.below(self.options.family.len())];
                let upper = self.options.sizes[random.below(self.options.sizes.len())];
                match allocator.alloc(family, size_up_to(upper, random.next_u64()))? {
                    Answer::Granted(granted) => {
                        self.count_granted(granted.bytes);
                        held.push(granted);
                    }
                    Answer::Refused => {
                        self.tally.refusals.fetch_add(1, Ordering::Relaxed);
                        let keep = held.len() / 2;
                        while held.len() > keep {
                            self.free(&allocator, &mut held, &mut random)?;
                        }
                    }
                }
            } else {
                self.free(&allocator, &mut held, &mut random)?;
            }
            if op % INFO_EVERY_OPS == 0 {
                self.check_info()?;
            }
        }
        while !held.is_empty() {
            self.free(&allocator, &mut held, &mut random)?;
        }
        Ok(())
    }

    fn count_granted(&self, bytes: u64) {
        self.tally.allocations.fetch_add(1, Ordering::Relaxed);
        let held_bytes = self.tally.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.tally
            .peak_bytes
            .fetch_max(held_bytes, Ordering::Relaxed);
        if let Some(ledger) = self.ledger {
            ledger.add(bytes);
        }
    }

    fn free(
        &self,
        allocator: &Allocator<'_>,
        held: &mut Vec<Held>,
        random: &mut Random,
    ) -> Result<()> {
        if held.is_empty() {
            return Ok(());
        }
        let given_up = held.swap_remove(random.below(held.len()));
        self.tally
            .held_bytes
            .fetch_sub(given_up.bytes, Ordering::Relaxed);
        if let Some(ledger) = self.ledger {
            ledger.sub(given_up.bytes);
        }
        allocator.free(given_up)
    }

    fn check_info(&self) -> Result<()> {
        let (free_bytes, total_bytes) = self.gpu.memory_info()?;
        ensure!(
            free_bytes <= total_bytes,
            "cuMemGetInfo says {free_bytes} of {total_bytes} bytes are free"
        );
        self.tally.info_checks.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
