//! Copies between host and device.

use super::gpu::{Gpu, pinned};
use crate::driver::{Trouble, call};
use crate::protocol::Answer;
use cuda_sys::CUdeviceptr;
use fcsp_measure::clock::now_ns;
use std::ffi::c_void;

/// A buffer on each side.
pub(crate) struct Lane {
    bytes: u64,
    device: CUdeviceptr,
    host: *mut c_void,
    /// Where the host's side is ordinary memory.
    pageable: Option<Vec<u8>>,
}

impl Lane {
    pub(crate) fn open(gpu: &Gpu, bytes: u64, pin: bool) -> Result<Self, Trouble> {
        let device = gpu.allocate(bytes)?;
        let (host, pageable) = if pin {
            (pinned(&gpu.api, bytes as usize)?, None)
        } else {
            // Written to, so that every page is there before the first copy.
            let mut memory = vec![1_u8; bytes as usize];
            (memory.as_mut_ptr().cast(), Some(memory))
        };
        Ok(Self {
            bytes,
            device,
            host,
            pageable,
        })
    }

    /// Copies all of it and waits.
    pub(crate) fn copy(&self, gpu: &Gpu, to_device: bool) -> Result<(), Trouble> {
        let bytes = self.bytes as usize;
        // SAFETY: both sides have that many bytes and live as long as the lane, which waits for the copy below.
        unsafe {
            if to_device {
                call!(
                    gpu.api,
                    copy_to_device_async(self.device, self.host, bytes, gpu.stream)
                )?;
            } else {
                call!(
                    gpu.api,
                    copy_to_host_async(self.host, self.device, bytes, gpu.stream)
                )?;
            }
        }
        gpu.wait(gpu.stream)
    }

    pub(crate) fn close(self, gpu: &Gpu) -> Result<(), Trouble> {
        gpu.free(self.device)?;
        if self.pageable.is_none() {
            // SAFETY: allocated pinned by `open`, and no copy is under way.
            unsafe { call!(gpu.api, mem_free_host(self.host)) }?;
        }
        Ok(())
    }
}

/// Copies one after the other.
pub(crate) fn measure(
    gpu: &Gpu,
    bytes: u64,
    to_device: bool,
    pin: bool,
    count: u32,
) -> Result<Answer, Trouble> {
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
