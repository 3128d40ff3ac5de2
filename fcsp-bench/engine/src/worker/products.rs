//! Matrix products by the vendor's library, which is opened if it is there and never linked.

use super::gpu::Gpu;
use super::libraries;
use crate::driver::{Address, Queue, Trouble, Vendor};
use crate::protocol::Answer;
use fcsp_measure::clock::now_ns;
use std::ffi::{c_int, c_void};

/// `CUDA_R_32F` and `CUDA_R_16F` of library_types.h.
const SINGLE: c_int = 0;
const HALF: c_int = 2;
/// `CUBLAS_COMPUTE_32F` of cublas_api.h; both kinds sum in single precision.
const COMPUTE_SINGLE: c_int = 68;
/// `CUBLAS_GEMM_DEFAULT`.
const DEFAULT_ALGORITHM: c_int = -1;
/// Products submitted before one waits.
const BATCH: u32 = 8;

type Create = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
type SetStream = unsafe extern "C" fn(*mut c_void, Queue) -> c_int;
/// `cublasGemmEx` of cublas_api.h.
type Gemm = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_void,
    *const c_void,
    c_int,
    c_int,
    *const c_void,
    c_int,
    c_int,
    *const c_void,
    *mut c_void,
    c_int,
    c_int,
    c_int,
    c_int,
) -> c_int;

/// The library with a handle on this device.
pub(crate) struct Library {
    handle: *mut c_void,
    gemm: Gemm,
    // Last: the function above points into it.
    _library: libloading::Library,
}

impl Library {
    fn open(gpu: &Gpu) -> Result<Self, Trouble> {
        if gpu.vendor != Vendor::Nvidia {
            return Err(Trouble::lacking(format!(
                "is measured with cuBLAS, which {} does not have",
                gpu.vendor.interface()
            )));
        }
        let library = libraries::CUBLAS.open(gpu.simulated)?;
        let lacks =
            |error: libloading::Error| Trouble::new(format!("cuBLAS lacks a function: {error}"));
        // SAFETY: the types are those of cublas_api.h.
        let (create, set_stream, gemm) = unsafe {
            (
                *library.get::<Create>(b"cublasCreate_v2\0").map_err(lacks)?,
                *library
                    .get::<SetStream>(b"cublasSetStream_v2\0")
                    .map_err(lacks)?,
                *library.get::<Gemm>(b"cublasGemmEx\0").map_err(lacks)?,
            )
        };
        let mut handle = std::ptr::null_mut();
        // SAFETY: a live out-parameter; the device's primary context is current.
        ok("cublasCreate", unsafe { create(&mut handle) })?;
        // SAFETY: a live handle and a stream of the current context.
        ok("cublasSetStream", unsafe { set_stream(handle, gpu.queue) })?;
        Ok(Self {
            handle,
            gemm,
            _library: library,
        })
    }

    fn multiply(&self, kind: c_int, size: u32, operands: [Address; 3]) -> Result<(), Trouble> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let n = size as c_int;
        let [a, b, c] = operands.map(|address| address as *mut c_void);
        // SAFETY: three matrices of n by n on the device, two live factors, 0 is "not transposed".
        ok("cublasGemmEx", unsafe {
            (self.gemm)(
                self.handle,
                0,
                0,
                n,
                n,
                n,
                (&raw const one).cast(),
                a,
                kind,
                n,
                b,
                kind,
                n,
                (&raw const zero).cast(),
                c,
                kind,
                n,
                COMPUTE_SINGLE,
                DEFAULT_ALGORITHM,
            )
        })
    }
}

fn ok(name: &str, status: c_int) -> Result<(), Trouble> {
    match status {
        0 => Ok(()),
        status => Err(Trouble::new(format!("{name} failed with status {status}"))),
    }
}

/// Products of both kinds, in turns.
pub(crate) fn measure(
    gpu: &Gpu,
    library: &mut Option<Library>,
    size: u32,
    count: u32,
) -> Result<Answer, Trouble> {
    if library.is_none() {
        *library = Some(Library::open(gpu)?);
    }
    let library = library
        .as_ref()
        .ok_or_else(|| Trouble::new("cuBLAS was opened and is not there"))?;
    let bytes = u64::from(size) * u64::from(size) * 4;
    let mut operands = [0; 3];
    for operand in &mut operands {
        *operand = gpu.allocate(bytes)?;
        gpu.driver.fill(*operand, 0, bytes / 4)?;
    }
    let pass = |kind| -> Result<f64, Trouble> {
        let began_ns = now_ns();
        for _ in 0..BATCH {
            library.multiply(kind, size, operands)?;
        }
        gpu.wait(gpu.queue)?;
        Ok((now_ns() - began_ns) as f64 / 1e3 / f64::from(BATCH))
    };
    pass(HALF)?;
    pass(SINGLE)?;
    let mut answer = Answer::default();
    for _ in 0..count {
        answer = answer
            .with("half_us", pass(HALF)?)
            .with("single_us", pass(SINGLE)?);
    }
    for operand in operands {
        gpu.free(operand)?;
    }
    Ok(answer)
}
