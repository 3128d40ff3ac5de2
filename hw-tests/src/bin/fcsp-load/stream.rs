//! Which streams the work goes to.

use anyhow::{Result, bail};
use cuda_sys::{CU_STREAM_PER_THREAD, CUstream, CUstream_flags};
use std::str::FromStr;

use crate::api::{DefaultStream, call};
use crate::gpu::Gpu;

/// The streams a mode submits to, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// The legacy default stream: the null handle.
    Default,
    /// One stream made with `cuStreamCreate`.
    Created,
    /// The calling thread's default stream: the null handle given to `_ptsz` functions.
    PerThread,
    /// The same stream by its special handle, given to ordinary functions.
    PerThreadHandle,
    /// Several created streams, one after another.
    Multi(usize),
}

impl StreamKind {
    /// Which variants of the driver's functions this kind calls for.
    pub fn default_stream(self) -> DefaultStream {
        match self {
            StreamKind::PerThread => DefaultStream::PerThread,
            _ => DefaultStream::Legacy,
        }
    }

    /// The handles, made in the current context.
    pub fn open(self, gpu: &Gpu) -> Result<Vec<CUstream>> {
        match self {
            StreamKind::Default | StreamKind::PerThread => Ok(vec![std::ptr::null_mut()]),
            StreamKind::PerThreadHandle => Ok(vec![CU_STREAM_PER_THREAD]),
            StreamKind::Created => Ok(vec![create(gpu)?]),
            StreamKind::Multi(count) => (0..count).map(|_| create(gpu)).collect(),
        }
    }
}

/// A new stream that does not synchronize with the default stream.
pub fn create(gpu: &Gpu) -> Result<CUstream> {
    let mut stream = std::ptr::null_mut();
    let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
    // SAFETY: `stream` is a live out-parameter and a context is current.
    unsafe { call!(gpu.api, stream_create(&mut stream, flags)) }?;
    Ok(stream)
}

/// Waits until everything submitted to `stream` is done.
pub fn synchronize(gpu: &Gpu, stream: CUstream) -> Result<()> {
    // SAFETY: the stream is a special handle or was created by this program and never destroyed.
    unsafe { call!(gpu.api, stream_synchronize(stream)) }
}

impl FromStr for StreamKind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "default" => StreamKind::Default,
            "created" => StreamKind::Created,
            "per-thread" => StreamKind::PerThread,
            "per-thread-handle" => StreamKind::PerThreadHandle,
            other => match other.strip_prefix("multi:").map(str::parse) {
                Some(Ok(count)) if count > 0 => StreamKind::Multi(count),
                _ => bail!(
                    "`{other}` is no stream kind; one of default, created, per-thread, \
                     per-thread-handle, multi:<count> is"
                ),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_parse_and_nonsense_does_not() {
        assert_eq!(
            "multi:4".parse::<StreamKind>().ok(),
            Some(StreamKind::Multi(4))
        );
        assert_eq!(
            "default".parse::<StreamKind>().ok(),
            Some(StreamKind::Default)
        );
        for wrong in ["multi:0", "multi:", "multi:x", "own", ""] {
            assert!(wrong.parse::<StreamKind>().is_err(), "{wrong}");
        }
    }
}
