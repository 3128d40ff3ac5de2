//! Work that takes a known time: [`Work`].

use super::api::{Cuda, call};
use crate::pace;
use cuda_sys::{CUfunction, CUstream};
use std::ffi::CStr;
use std::time::{Duration, Instant};

/// The load program's kernel, which does so many rounds of arithmetic. Simulated devices know it.
const PTX: &CStr = match CStr::from_bytes_with_nul(
    concat!(
        include_str!("../../../../hw-tests/src/bin/fcsp-load/work.ptx"),
        "\0"
    )
    .as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("work.ptx contains a NUL byte"),
};
/// One warp: what counts is how long it takes, not how much of the device.
const THREADS: u32 = 32;

/// The kernel on one device, and how long its rounds take there.
pub struct Work<'a> {
    cuda: &'a Cuda,
    kernel: CUfunction,
    rounds_per_ns: f64,
}

impl<'a> Work<'a> {
    /// Loads the kernel into the current context and measures it in `stream`, which must be idle.
    pub fn measure(cuda: &'a Cuda, stream: CUstream) -> Result<Self, String> {
        let mut module = std::ptr::null_mut();
        // SAFETY: the driver writes one handle; the image is text with its end.
        unsafe { call!(cuda, cuModuleLoadData(&mut module, PTX.as_ptr().cast())) }?;
        let (mut kernel, name) = (std::ptr::null_mut(), c"fcsp_work");
        // SAFETY: the driver writes one handle; a loaded module, a name with its end.
        unsafe {
            call!(
                cuda,
                cuModuleGetFunction(&mut kernel, module, name.as_ptr())
            )
        }?;
        let mut work = Self {
            cuda,
            kernel,
            rounds_per_ns: 0.0,
        };
        work.rounds_per_ns = pace::rounds_per_ns(|rounds| work.time(stream, rounds))?;
        Ok(work)
    }

    /// Puts work of `ns` into `stream`, and a quarter more: clocks may have risen since they were
    /// measured.
    pub fn put(&self, stream: CUstream, ns: u64) -> Result<(), String> {
        self.launch(stream, (ns as f64 * 1.25 * self.rounds_per_ns) as u32)
    }

    fn time(&self, stream: CUstream, rounds: u32) -> Result<Duration, String> {
        let began = Instant::now();
        self.launch(stream, rounds)?;
        // SAFETY: a live stream.
        unsafe { call!(self.cuda, cuStreamSynchronize(stream)) }?;
        Ok(began.elapsed())
    }

    fn launch(&self, stream: CUstream, mut rounds: u32) -> Result<(), String> {
        // No counter to add to.
        let (mut counter, mut add) = (0_u64, 0_u64);
        let mut params = [
            std::ptr::from_mut(&mut rounds).cast(),
            std::ptr::from_mut(&mut counter).cast(),
            std::ptr::from_mut(&mut add).cast(),
        ];
        // SAFETY: a loaded kernel and pointers to values of the types of its three parameters, which
        // the driver reads before it returns.
        unsafe {
            call!(
                self.cuda,
                cuLaunchKernel(
                    self.kernel,
                    1,
                    1,
                    1,
                    THREADS,
                    1,
                    1,
                    0,
                    stream,
                    params.as_mut_ptr(),
                    std::ptr::null_mut(),
                )
            )
        }
    }
}
