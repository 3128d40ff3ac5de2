//! Copies and fills: which of them take the device's time, and which only wait for it.
//!
//! | what | then |
//! |---|---|
//! | a fill, or a copy inside the device, of [`LARGE_BYTES`] or more | submitted in its turn |
//! | a smaller one | passes; [`RUN`] of them without other work between are submitted as one |
//! | a copy to or from the host or another device | passes: copy engines and the bus do it, beside other tenants' kernels; what it waits for in its stream it waits for |
//! | the same, by a call that waits | the scheduler is told before, so that the segment it waits for ends |
//!
//! Why small ones pass: they cost about what starting a kernel costs, and programs use them to raise
//! flags that work already granted waits for.
//!
//! The handlers, which find out how many bytes go from where to where, are in [`mod@copy`], [`mod@batch`] and [`fill`].

pub mod batch;
pub mod copy;
pub mod fill;

use cuda_sys::{CUdeviceptr, CUmemorytype, CUpointer_attribute, CUresult, CUstream};
use fcsp_core::sched::cost::CostKey;

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::Ordering;

use crate::capture::Undisturbed;
use crate::hooks::cuda;
use crate::turn::{self, PASSED, Work};

/// From here on a copy or fill takes more of the device's time than its start does: measured on an
/// H100 (driver 580.159, Nov 2026), a fill takes 2.9 µs at 4 KiB and 10 µs at 16 MiB, a copy inside the
/// device 6.2 and 12.8 µs; half of the difference is reached near 1 MiB.
pub const LARGE_BYTES: u64 = 1 << 20;
/// Small ones in a row that count as one submission: 0.2 ms.
const RUN: u32 = 64;
/// What a small one costs.
const SMALL_NS: u64 = 3_000;
/// Pageable memory up to this is copied aside before an asynchronous call returns, without waiting
/// for the stream ("API synchronization behavior" in the driver API's manual, 13.0).
const STAGED_BYTES_MAX: u64 = 64 << 10;
/// Entries of a batch that are looked at to find where most of it goes.
const BATCH_LOOK: usize = 64;

/// What moves the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Writes a value over and over: 334 µs for 1 GiB on the H100.
    Fill = 1,
    /// Reads and writes: 720 µs for 1 GiB.
    Copy = 2,
    /// Reads, decompresses and writes, by an engine of its own where the device has one, through the
    /// same memory; the guess is a copy's.
    Decompress = 3,
}

impl Kind {
    /// Device time of so many bytes, before it is learnt. From the figures above.
    const fn guess_ns(self, bytes: u64) -> u64 {
        let (start_ns, bytes_per_us) = match self {
            Self::Fill => (2_900, 3_200_000),
            Self::Copy | Self::Decompress => (6_200, 1_490_000),
        };
        start_ns + bytes.saturating_mul(1000) / bytes_per_us
    }

    /// Costs are learnt by kind and size, four sizes to a doubling.
    fn work(self, bytes: u64) -> Work<impl FnOnce() -> u64> {
        const TRANSFER: u64 = 0x7472_616e_7366_6572;
        let log = bytes.max(4).ilog2();
        let quarter = bytes >> (log - 2) & 3;
        Work {
            key: CostKey::new(&[TRANSFER, self as u64, u64::from(log) << 2 | quarter]),
            guess_ns: move || self.guess_ns(bytes),
            function: None,
        }
    }
}

/// Submits work inside the device of so many bytes.
pub fn local<const PER_THREAD: bool>(
    kind: Kind,
    bytes: u64,
    stream: CUstream,
    call: impl FnOnce() -> CUresult,
) -> CUresult {
    if bytes >= LARGE_BYTES {
        return turn::submit_outlined::<PER_THREAD>(stream, kind.work(bytes), call);
    }
    // Relaxed: a count that need not be exact. Any gated submission sets it to 0.
    if PASSED.fetch_add(1, Ordering::Relaxed) < RUN - 1 {
        return call();
    }
    let run = Work {
        key: CostKey::UNMEASURED,
        guess_ns: || u64::from(RUN) * SMALL_NS,
        function: None,
    };
    turn::submit_outlined::<PER_THREAD>(stream, run, call)
}

/// One end of a copy, as the call names it.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// An address of whatever kind of memory.
    Address(u64),
    /// A texture's memory.
    Array,
}

impl End {
    /// The end that a description of a box means.
    pub fn of(kind: CUmemorytype, host: *const c_void, device: CUdeviceptr) -> Self {
        match kind {
            CUmemorytype::CU_MEMORYTYPE_HOST => Self::Address(host.addr() as u64),
            CUmemorytype::CU_MEMORYTYPE_ARRAY => Self::Array,
            _ => Self::Address(device),
        }
    }
}

/// Where an end lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the device with that ordinal.
    Device(i32),
    /// An array: on the device of the context.
    Array,
    /// Host memory that the device can reach.
    Pinned,
    /// Other host memory.
    Pageable,
}

impl Place {
    /// Asks the driver, which knows every address that is not plain host memory.
    fn of(end: End) -> Self {
        let End::Address(address) = end else {
            return Self::Array;
        };
        let _quiet = Undisturbed::enter();
        let ask = |attribute: CUpointer_attribute| -> Option<i32> {
            let mut value = 0_i32;
            let place = ptr::from_mut(&mut value).cast();
            // SAFETY: both attributes are integers of 32 bits (cuda.h 13.0).
            let result = unsafe { cuda::cuPointerGetAttribute.get()?(place, attribute, address) };
            (result == CUresult::CUDA_SUCCESS).then_some(value)
        };
        match ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_MEMORY_TYPE) {
            None => Self::Pageable,
            Some(kind) if kind == CUmemorytype::CU_MEMORYTYPE_HOST.0 as i32 => Self::Pinned,
            Some(_) => {
                let ordinal = ask(CUpointer_attribute::CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
                Self::Device(ordinal.unwrap_or(0))
            }
        }
    }

    const fn is_host(self) -> bool {
        matches!(self, Self::Pinned | Self::Pageable)
    }

    /// Whether a copy between the two stays inside one device.
    const fn beside(self, other: Self) -> bool {
        match (self, other) {
            (Self::Device(one), Self::Device(two)) => one == two,
            _ => !self.is_host() && !other.is_host(),
        }
    }
}

/// Submits a copy of so many bytes; `stream` is `None` for a call that may wait for it.
pub fn copy<const PER_THREAD: bool>(
    bytes: u64,
    from: End,
    to: End,
    stream: Option<CUstream>,
    call: impl FnOnce() -> CUresult,
) -> CUresult {
    let target = stream.unwrap_or(ptr::null_mut());
    if turn::gated::<PER_THREAD>(target).is_none() {
        return call();
    }
    let (from, to) = (Place::of(from), Place::of(to));
    if from.beside(to) {
        return local::<PER_THREAD>(Kind::Copy, bytes, target, call);
    }
    let staged = from == Place::Pageable && bytes <= STAGED_BYTES_MAX;
    let waits = match stream {
        None => true,
        Some(_) => to == Place::Pageable || (from == Place::Pageable && !staged),
    };
    if waits { turn::waiting(call) } else { call() }
}

/// Submits a batch of copies, given by bytes and ends.
pub fn batch<const PER_THREAD: bool>(
    copies: impl Iterator<Item = (u64, End, End)>,
    stream: CUstream,
    call: impl FnOnce() -> CUresult,
) -> CUresult {
    if turn::gated::<PER_THREAD>(stream).is_none() {
        return call();
    }
    let (mut inside, mut waits) = (0_u64, false);
    for (bytes, from, to) in copies.take(BATCH_LOOK) {
        let (from, to) = (Place::of(from), Place::of(to));
        if from.beside(to) {
            inside = inside.saturating_add(bytes);
        }
        waits |= from == Place::Pageable || to == Place::Pageable;
    }
    match (inside, waits) {
        (0, true) => turn::waiting(call),
        (0, false) => call(),
        (bytes, _) => local::<PER_THREAD>(Kind::Copy, bytes, stream, call),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_near_what_was_measured() {
        let off = |kind: Kind, mib: u64, us: f64| {
            (kind.guess_ns(mib << 20) as f64 / (us * 1000.0) - 1.0).abs()
        };
        assert!(off(Kind::Fill, 1024, 334.0) < 0.05);
        assert!(off(Kind::Fill, 128, 46.0) < 0.05);
        assert!(off(Kind::Copy, 1024, 720.0) < 0.05);
        assert!(off(Kind::Copy, 128, 97.0) < 0.05);
    }

    #[test]
    fn like_sizes_have_one_cost_and_others_do_not() {
        let key = |bytes| Kind::Fill.work(bytes).key;
        assert_eq!(key(1 << 20), key((1 << 20) + 4096));
        assert_ne!(key(1 << 20), key(5 << 18));
        assert_ne!(key(1 << 20), key(1 << 21));
        assert_ne!(key(1 << 20), Kind::Copy.work(1 << 20).key);
    }

    #[test]
    fn a_copy_is_inside_a_device_only_if_both_ends_are() {
        let [here, there, array] = [Place::Device(0), Place::Device(1), Place::Array];
        assert!(here.beside(here) && here.beside(array) && array.beside(array));
        assert!(!here.beside(there));
        for host in [Place::Pinned, Place::Pageable] {
            assert!(!here.beside(host) && !host.beside(array) && !host.beside(host));
        }
    }
}
