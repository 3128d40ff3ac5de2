//! What some families of calls need besides a kernel: a library, attributes, memory to move.

use anyhow::{Result, bail};
use cuda_sys::{CUdeviceptr, CUfunction, CUlaunchAttribute, CUlaunchAttributeID, CUstream};
use std::cell::Cell;
use std::ffi::c_void;

use crate::api::call;
use crate::gpu::{BLOCK_THREADS, Gpu, PTX};
use crate::reading::Reading;
use crate::submit::{LaunchApi, Work};

/// Bytes that a fill writes and a copy inside the device moves in a microsecond, about (H100, driver
/// 580.159, Nov 2026). Only a scale: suites compare a program with itself alone.
const FILL_BYTES_PER_US: f64 = 3.2e6;
const COPY_BYTES_PER_US: f64 = 1.49e6;
/// Memory of one side of a copy, or of a fill.
const BUFFER_BYTES: usize = 1 << 30;

/// A family's own things.
pub enum Family {
    /// Nothing but the kernel of the module.
    Plain,
    /// The kernel of a library, by its own handle.
    Library(CUfunction),
    /// Attributes of every launch.
    Attributes(Vec<CUlaunchAttribute>),
    /// Fills or copies in place of kernels.
    Memory(Memory),
    /// Another kernel, which reads memory.
    Reading(Reading),
}

impl Family {
    /// Makes what `api` needs.
    pub fn of(gpu: &Gpu, api: LaunchApi) -> Result<Self> {
        Ok(match api {
            LaunchApi::Library => Self::Library(library_kernel(gpu)?),
            LaunchApi::Attributes => Self::Attributes(vec![priority(), programmatic()]),
            LaunchApi::Cluster => Self::Attributes(vec![cluster_of_two()]),
            LaunchApi::Fill => Self::Memory(Memory::new(gpu, false)?),
            LaunchApi::Copy => Self::Memory(Memory::new(gpu, true)?),
            LaunchApi::Read => Self::Reading(Reading::new(gpu)?),
            LaunchApi::Old => {
                shape(gpu)?;
                Self::Plain
            }
            _ => Self::Plain,
        })
    }
}

fn library_kernel(gpu: &Gpu) -> Result<CUfunction> {
    let none = std::ptr::null_mut;
    let mut library = none();
    // SAFETY: a live out-parameter, NUL-terminated PTX text, no options.
    unsafe {
        call!(
            gpu.api,
            library_load_data(
                &mut library,
                PTX.as_ptr().cast(),
                none().cast(),
                none().cast(),
                0,
                none().cast(),
                none().cast(),
                0
            )
        )
    }?;
    let mut kernel = std::ptr::null_mut();
    // SAFETY: a live out-parameter, a loaded library, a NUL-terminated name.
    unsafe {
        call!(
            gpu.api,
            library_get_kernel(&mut kernel, library, c"fcsp_work".as_ptr())
        )
    }?;
    // cuLaunchKernel takes such a handle in place of a function's (cuda.h 13.0).
    Ok(kernel.cast())
}

fn attribute(id: CUlaunchAttributeID) -> CUlaunchAttribute {
    CUlaunchAttribute {
        id,
        ..Default::default()
    }
}

fn priority() -> CUlaunchAttribute {
    let mut it = attribute(CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PRIORITY);
    it.value.priority = -1;
    it
}

fn programmatic() -> CUlaunchAttribute {
    let id = CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    let mut it = attribute(id);
    it.value.programmaticStreamSerializationAllowed = 1;
    it
}

fn cluster_of_two() -> CUlaunchAttribute {
    let mut it = attribute(CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
    it.value.clusterDim.x = 2;
    it.value.clusterDim.y = 1;
    it.value.clusterDim.z = 1;
    it
}

/// The block's shape and the size of the arguments, for launches of before CUDA 4.
fn shape(gpu: &Gpu) -> Result<()> {
    // SAFETY: a loaded function; three arguments as work.ptx declares them, padded to 24 bytes.
    unsafe {
        call!(
            gpu.api,
            func_set_block_shape(gpu.kernel, BLOCK_THREADS as i32, 1, 1)
        )?;
        call!(gpu.api, param_set_size(gpu.kernel, 24))
    }
}

/// Launches as programs did before CUDA 4.
pub fn launch_old(gpu: &Gpu, blocks: u32, stream: CUstream, work: Work) -> Result<()> {
    let (mut counter, mut add) = (gpu.counter().device, work.nominal_ns);
    let api = &gpu.api;
    // SAFETY: a loaded function whose arguments lie at 0, 8 and 16; the driver copies them.
    unsafe {
        call!(api, param_set_i(gpu.kernel, 0, work.iters))?;
        let counter: *mut c_void = (&raw mut counter).cast();
        call!(api, param_set_v(gpu.kernel, 8, counter, 8))?;
        call!(api, param_set_v(gpu.kernel, 16, (&raw mut add).cast(), 8))?;
        call!(api, launch_grid_async(gpu.kernel, blocks as i32, 1, stream))
    }
}

/// Memory that is moved in place of computing. What is done is written to the counter in stream order,
/// since no kernel does: so there is one stream only.
pub struct Memory {
    to: CUdeviceptr,
    from: Option<CUdeviceptr>,
    done_ns: Cell<u64>,
    stream: Cell<Option<CUstream>>,
}

impl Memory {
    fn new(gpu: &Gpu, copies: bool) -> Result<Self> {
        let alloc = || -> Result<CUdeviceptr> {
            let mut address = 0;
            // SAFETY: a live out-parameter and a current context.
            unsafe { call!(gpu.api, mem_alloc(&mut address, BUFFER_BYTES)) }?;
            Ok(address)
        };
        Ok(Self {
            to: alloc()?,
            from: copies.then(alloc).transpose()?,
            done_ns: Cell::new(0),
            stream: Cell::new(None),
        })
    }

    /// Moves what takes about as long as the work would.
    pub fn submit(&self, gpu: &Gpu, stream: CUstream, work: Work) -> Result<()> {
        if *self.stream.take().get_or_insert(stream) != stream {
            bail!("fills and copies go to one stream: use `--stream created`");
        }
        self.stream.set(Some(stream));
        let us = work.nominal_ns as f64 / 1000.0;
        let api = &gpu.api;
        match self.from {
            None => {
                let bytes = bytes_of(us, FILL_BYTES_PER_US);
                // SAFETY: a buffer of `BUFFER_BYTES`, a live stream of the current context.
                unsafe { call!(api, mem_set_async(self.to, 1, bytes, stream)) }
            }
            Some(from) => {
                let bytes = bytes_of(us, COPY_BYTES_PER_US);
                // SAFETY: as above, for both buffers.
                unsafe { call!(api, mem_copy_async(self.to, from, bytes, stream)) }
            }
        }?;
        self.done_ns.set(self.done_ns.get() + work.nominal_ns);
        let (counter, done) = (gpu.counter().device, self.done_ns.get());
        // SAFETY: the counter is mapped pinned memory, aligned; nobody else writes it.
        unsafe { call!(api, stream_write_value(stream, counter, done, 0)) }
    }
}

fn bytes_of(us: f64, bytes_per_us: f64) -> usize {
    ((us * bytes_per_us) as usize).clamp(4, BUFFER_BYTES) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fit_the_buffer() {
        assert_eq!(bytes_of(100.0, FILL_BYTES_PER_US), 320_000_000);
        assert_eq!(bytes_of(1e9, COPY_BYTES_PER_US), BUFFER_BYTES);
        assert_eq!(bytes_of(0.0, COPY_BYTES_PER_US), 4);
    }
}
