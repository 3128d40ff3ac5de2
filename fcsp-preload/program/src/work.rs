//! Launches as work: what their cost is known by, and what it may be before anybody has measured it.

use fcsp_core::sched::class::Class;
use fcsp_core::sched::clock::ms;
use fcsp_core::sched::cost::{CostKey, prior_ns};

use crate::device;
use crate::turn::{Of, Work};

/// Most a guess may cost: a kernel nobody has measured.
const GUESS_NS_MAX: u64 = ms(10);
/// Tells graphs from kernels in cost keys.
const GRAPH: u64 = 0x0067_7261_7068;

/// The kernel with that handle and shape. `shared` is in bytes.
#[inline]
pub fn kernel(
    kernel: u64,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
) -> Work<impl FnOnce() -> u64> {
    // What drivers take fits (up to 2³¹ - 1, 65,535 and 65,535 blocks, or as many in each direction on some; 1024, 1024
    // and 64 threads); what they refuse needs no key.
    let at = |bit: u32, a: u32| u64::from(a) << bit;
    let key = CostKey::new(&[
        kernel,
        at(0, grid[0]) ^ at(32, grid[1]) ^ at(48, grid[2]),
        at(0, block[0]) ^ at(12, block[1]) ^ at(24, block[2]) ^ at(32, shared),
    ]);
    let volume = |dims: [u32; 3]| {
        dims.iter()
            .map(|d| u64::from(*d))
            .fold(1, u64::saturating_mul)
    };
    Work {
        key,
        guess_ns: move || prior_ns(volume(grid), volume(block), GUESS_NS_MAX),
        of: Of::Kernel(kernel),
    }
}

/// A kernel whose blocks are shaped elsewhere: `kind` tells such launches from others, `blocks` and `threads` are for
/// the guess.
pub fn unshaped(
    kind: u64,
    kernel: u64,
    blocks: [u64; 2],
    threads: u64,
) -> Work<impl FnOnce() -> u64> {
    let [width, height] = blocks;
    Work {
        key: CostKey::new(&[kind, kernel, width, height]),
        guess_ns: move || prior_ns(width.saturating_mul(height), threads, GUESS_NS_MAX),
        of: Of::Kernel(kernel),
    }
}

/// The executable graph with that handle, all of it.
pub fn graph(exec: u64) -> Work<impl FnOnce() -> u64> {
    Work {
        key: graph_key(exec),
        guess_ns: || GUESS_NS_MAX,
        of: Of::Class(Class::Graph),
    }
}

fn graph_key(exec: u64) -> CostKey {
    CostKey::new(&[GRAPH, exec])
}

/// What an executable graph does may have changed, or it is gone: its cost is learnt anew. After an update that the
/// driver refused some nodes may have changed already.
///
/// The cost of a graph is learnt by its handle, with graphs inside it, since they run
/// inside its launch. After a change the old cost is the guess, and the next launch is measured;
/// so is the first launch of a graph whose handle belonged to another.
pub fn graph_changed(exec: u64) {
    for device in device::attached() {
        device.producer.relearn(graph_key(exec));
    }
}
