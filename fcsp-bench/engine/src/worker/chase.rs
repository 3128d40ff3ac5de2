//! Reads that depend on each other, timed one by one by the device's clock: how long they take, and which the cache served.
//!
//! Which did is told by time, so that nobody needs permission to read the device's counters: how long a read from the cache
//! takes and how long one from memory is found out first, and what takes less than the middle of both counts as served.

use super::gpu::Gpu;
use crate::driver::{Address, Kernel, Pinned, Trouble};
use crate::protocol::Answer;
use fcsp_measure::clock::{now_ns, sleep_until_ns};
use fcsp_measure::random::Random;

/// Bytes between two places of a chase: a line of the cache.
const LINE_BYTES: u64 = 128;
/// Words that a block of the kernel has for what it found: cycles, reads, hits, and its place.
const WORDS: usize = 4;
/// What pushes everything else out of a cache, in sizes of it.
const FLUSH_CACHES: u64 = 4;
/// Passes after which a set is in the cache, if it fits.
const WARM_PASSES: u32 = 3;
/// A read from memory takes at least so much longer than one from the cache; else they cannot be told apart.
const APART: f64 = 1.25;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Size of the set.
    pub(crate) bytes: u64,
    /// Times that each kernel reads the whole set.
    pub(crate) passes: u32,
    /// Kernels.
    pub(crate) count: u32,
    /// Reads that took at most so many cycles were served by the cache; 0 finds it out, which takes a device that nobody
    /// else uses.
    pub(crate) hit_cycles: u32,
    /// Before each kernel another one reads the set, and then so long nothing is done.
    pub(crate) pause_us: f64,
    /// Moment before which kernels do not count; 0 for none.
    pub(crate) from_ns: u64,
    /// Moment after which nothing counts; 0 for none.
    pub(crate) until_ns: u64,
}

/// Does it. The set is kept for the next time, so that none is made while a neighbour works.
pub(crate) fn measure(gpu: &Gpu, kept: &mut Option<Set>, asked: Asked) -> Result<Answer, Trouble> {
    if let Some(other) = kept.take_if(|set| set.bytes != asked.bytes) {
        other.close(gpu)?;
    }
    if kept.is_none() {
        *kept = Some(Set::prepare(gpu, asked.bytes)?);
    }
    match kept {
        Some(set) => set.measure(gpu, asked),
        None => Err(Trouble::new("the set was made and is not there")),
    }
}

/// What a kernel's reads were like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    cycles: u64,
    reads: u64,
    hits: u64,
}

impl Seen {
    /// Cycles of a read on average; nothing where all were interrupted.
    fn mean_cycles(self) -> Option<f64> {
        (self.reads > 0).then(|| self.cycles as f64 / self.reads as f64)
    }
}

/// A set in the device's memory, in parts: one for each block of the kernel, each a cycle through all of its places in an
/// order that no prefetcher knows.
pub(crate) struct Set {
    /// As it was asked for.
    bytes: u64,
    kernel: Kernel,
    device: Address,
    /// Places of a part.
    hops: u32,
    parts: u32,
    words: Pinned,
}

impl Set {
    fn prepare(gpu: &Gpu, bytes: u64) -> Result<Self, Trouble> {
        let places = (bytes / LINE_BYTES).max(2);
        let kernel = gpu.driver.kernel(c"fcsp_chase")?;
        let parts = u64::from(gpu.driver.facts()?.multiprocessors).clamp(1, places / 2);
        let hops = places / parts;
        let (next, begins) = cycles(parts as usize, hops as usize);
        let mut image = vec![0_u32; next.len() * (LINE_BYTES / 4) as usize];
        for (place, next) in next.iter().enumerate() {
            image[place * (LINE_BYTES / 4) as usize] = *next;
        }
        let device = gpu.allocate(image.len() as u64 * 4)?;
        let words = gpu.driver.pin(parts as usize * WORDS * 8)?;
        let bytes = image.len() as u64 * 4;
        // SAFETY: a buffer of that many bytes on both sides, and the call returns when the copy is done; pinned memory of as
        // many words as are written.
        unsafe {
            gpu.driver
                .copy_in(device, image.as_ptr().cast(), bytes, None)?;
            for (part, begin) in begins.iter().enumerate() {
                words
                    .host
                    .cast::<u64>()
                    .add(part * WORDS + WORDS - 1)
                    .write_volatile(u64::from(*begin));
            }
        }
        Ok(Self {
            bytes,
            kernel,
            device,
            hops: hops as u32,
            parts: parts as u32,
            words,
        })
    }

    fn close(self, gpu: &Gpu) -> Result<(), Trouble> {
        gpu.free(self.device)?;
        gpu.driver.unpin(self.words)
    }

    /// One kernel that reads all of it so often.
    fn read(&self, gpu: &Gpu, passes: u32, hit_cycles: u32) -> Result<Seen, Trouble> {
        let hops = self.hops * passes.max(1);
        let arguments = [
            self.device.into(),
            hops.into(),
            hit_cycles.into(),
            self.words.device.into(),
        ];
        gpu.launch(self.kernel, gpu.queue, [self.parts, 1], 1, &arguments)?;
        gpu.wait(gpu.queue)?;
        let mut seen = Seen::default();
        for part in 0..self.parts as usize {
            // SAFETY: pinned by `prepare`, of that many words; the kernel that writes them is done.
            let [cycles, reads, hits] = [0, 1, 2].map(|at| unsafe {
                let words = self.words.host.cast::<u64>();
                words.add(part * WORDS + at).read_volatile()
            });
            seen.cycles += cycles;
            seen.reads += reads;
            seen.hits += hits;
        }
        Ok(seen)
    }

    fn measure(&self, gpu: &Gpu, asked: Asked) -> Result<Answer, Trouble> {
        let mut answer = Answer::default();
        let hit_cycles = match asked.hit_cycles {
            0 => {
                let [cache, memory] = self.speeds(gpu)?;
                answer = answer
                    .with("cache_cycles", cache)
                    .with("memory_cycles", memory);
                middle(cache, memory)?
            }
            given => {
                self.read(gpu, WARM_PASSES, given)?;
                given
            }
        };
        while now_ns() < asked.from_ns {
            self.read(gpu, asked.passes, hit_cycles)?;
        }
        let (mut cycles, mut percent) = (Vec::new(), Vec::new());
        for _ in 0..asked.count {
            if asked.pause_us > 0.0 {
                self.read(gpu, WARM_PASSES, hit_cycles)?;
                sleep_until_ns(now_ns() + (asked.pause_us * 1e3) as u64);
            }
            let seen = self.read(gpu, asked.passes, hit_cycles)?;
            if asked.until_ns > 0 && now_ns() > asked.until_ns {
                break;
            }
            if let Some(mean) = seen.mean_cycles() {
                cycles.push(mean);
                percent.push(100.0 * seen.hits as f64 / seen.reads as f64);
            }
        }
        Ok(answer
            .with("hit_cycles", f64::from(hit_cycles))
            .with_all("read_cycles", cycles)
            .with_all("hit_percent", percent))
    }

    /// Cycles of a read from the cache and of one from memory.
    fn speeds(&self, gpu: &Gpu) -> Result<[f64; 2], Trouble> {
        self.flush(gpu)?;
        let memory = self.read(gpu, 1, 0)?;
        self.read(gpu, WARM_PASSES, 0)?;
        let cache = self.read(gpu, 1, 0)?;
        match (cache.mean_cycles(), memory.mean_cycles()) {
            (Some(cache), Some(memory)) => Ok([cache, memory]),
            _ => Err(Trouble::new("every read was interrupted")),
        }
    }

    /// Fills much more memory than the cache holds.
    fn flush(&self, gpu: &Gpu) -> Result<(), Trouble> {
        if gpu.simulated {
            // Its memory is the machine's, and what it has of a cache forgets a set when another one is read.
            let other = Self::prepare(gpu, 2 * LINE_BYTES)?;
            other.read(gpu, 1, 0)?;
            return other.close(gpu);
        }
        let bytes = FLUSH_CACHES * gpu.driver.facts()?.cache_bytes.max(1 << 20);
        let other = gpu.allocate(bytes)?;
        let filled = gpu.driver.fill(other, 0, bytes / 4);
        let waited = gpu.synchronize();
        gpu.free(other)?;
        filled.and(waited)
    }
}

/// What separates reads from the cache from those from memory.
fn middle(cache: f64, memory: f64) -> Result<u32, Trouble> {
    match memory > APART * cache {
        true => Ok(((cache + memory) / 2.0) as u32),
        false => Err(Trouble::lacking(format!(
            "reads from the cache take {cache:.0} cycles and from memory {memory:.0}: which the cache served cannot be told"
        ))),
    }
}

/// For each place the one that follows it, in so many parts of so many places, each a cycle of its own; and where each
/// begins.
fn cycles(parts: usize, places: usize) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..(parts * places) as u32).collect();
    let mut random = Random::new(1);
    for at in (1..order.len()).rev() {
        order.swap(at, random.below(at + 1));
    }
    let mut next = vec![0; order.len()];
    let mut begins = Vec::with_capacity(parts);
    for part in order.chunks(places) {
        begins.push(part[0]);
        for (at, place) in part.iter().enumerate() {
            next[*place as usize] = part[(at + 1) % places];
        }
    }
    (next, begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_cycle_of_its_part() {
        let (next, begins) = cycles(7, 13);
        let mut seen = vec![0; 7 * 13];
        for begin in begins {
            let mut place = begin;
            for _ in 0..13 {
                seen[place as usize] += 1;
                place = next[place as usize];
            }
            assert_eq!(place, begin, "a cycle ends where it began");
        }
        assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
    }

    #[test]
    fn the_middle_is_between_and_needs_a_difference() {
        assert_eq!(middle(270.0, 640.0), Ok(455));
        let refused = middle(500.0, 550.0).expect_err("too close");
        assert!(
            refused.lacking && refused.message.contains("550"),
            "{refused:?}"
        );
    }
}
