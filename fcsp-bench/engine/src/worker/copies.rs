//! Copies between host and device.

use super::gpu::Gpu;
use crate::driver::{Address, Done, Pinned};
use crate::protocol::Answer;
use fcsp_measure::clock::now_ns;
use std::ffi::c_void;

/// A buffer on each side.
pub(crate) struct Lane {
    bytes: u64,
    device: Address,
    host: Host,
}

/// The host's side.
enum Host {
    Pinned(Pinned),
    /// Ordinary memory.
    Pageable(Vec<u8>),
}

impl Host {
    fn place(&self) -> *mut c_void {
        match self {
            Self::Pinned(pinned) => pinned.host,
            Self::Pageable(memory) => memory.as_ptr().cast_mut().cast(),
        }
    }
}

impl Lane {
    pub(crate) fn open(gpu: &Gpu, bytes: u64, pin: bool) -> Done<Self> {
        let device = gpu.allocate(bytes)?;
        let host = match pin {
            true => Host::Pinned(gpu.driver.pin(bytes as usize)?),
            // Written to, so that every page is there before the first copy.
            false => Host::Pageable(vec![1_u8; bytes as usize]),
        };
        Ok(Self {
            bytes,
            device,
            host,
        })
    }

    /// Copies all of it and waits.
    pub(crate) fn copy(&self, gpu: &Gpu, to_device: bool) -> Done<()> {
        let (place, queue) = (self.host.place(), Some(gpu.queue));
        // SAFETY: both sides have that many bytes and live as long as the lane, which waits for the copy below. Nobody
        // holds a reference into the host's side.
        unsafe {
            match to_device {
                true => gpu.driver.copy_in(self.device, place, self.bytes, queue),
                false => gpu.driver.copy_out(place, self.device, self.bytes, queue),
            }
        }?;
        gpu.wait(gpu.queue)
    }

    pub(crate) fn close(self, gpu: &Gpu) -> Done<()> {
        gpu.free(self.device)?;
        match self.host {
            Host::Pinned(pinned) => gpu.driver.unpin(pinned),
            Host::Pageable(_) => Ok(()),
        }
    }
}

/// Copies one after the other.
pub(crate) fn measure(
    gpu: &Gpu,
    bytes: u64,
    to_device: bool,
    pin: bool,
    count: u32,
) -> Done<Answer> {
    let lane = Lane::open(gpu, bytes, pin)?;
    let mut copy_us = Vec::with_capacity(count as usize);
    // The first one pays for what the driver sets up.
    lane.copy(gpu, to_device)?;
    for _ in 0..count {
        let began_ns = now_ns();
        lane.copy(gpu, to_device)?;
        copy_us.push((now_ns() - began_ns) as f64 / 1e3);
    }
    lane.close(gpu)?;
    Ok(Answer::default().with_all("copy_us", copy_us))
}
