//! How a device can be divided: by masks of compute units, which are a process's own, and by partitions, which are the
//! operator's.

use crate::error::if_supported;
use crate::smi::Smi;
use fcsp_core::backend::BackendError;
use std::fmt;

/// The variable by which the runtime restricts the queues of a process to some compute units (ROCr: `HSA_CU_MASK`).
/// FCSP does not set it.
pub const MASK_VARIABLE: &str = "HSA_CU_MASK";

/// Into how many devices a device's compute units are partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComputePartition {
    /// One device.
    Spx,
    /// Two.
    Dpx,
    /// Three.
    Tpx,
    /// Four.
    Qpx,
    /// One for each die.
    Cpx,
    /// Something that is not known here, as the vendor writes it.
    Other(String),
}

impl ComputePartition {
    /// Of the vendor's text.
    pub fn of(text: &str) -> Self {
        match text {
            "SPX" => Self::Spx,
            "DPX" => Self::Dpx,
            "TPX" => Self::Tpx,
            "QPX" => Self::Qpx,
            "CPX" => Self::Cpx,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for ComputePartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spx => "SPX",
            Self::Dpx => "DPX",
            Self::Tpx => "TPX",
            Self::Qpx => "QPX",
            Self::Cpx => "CPX",
            Self::Other(text) => text,
        })
    }
}

/// How a device is set up, as far as sharing is concerned. `None` where the device does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How its compute units are partitioned.
    pub compute: Option<ComputePartition>,
    /// Into how many parts its memory is partitioned: 1 for NPS1.
    pub memory_parts: Option<u32>,
}

pub(crate) fn setup(smi: &dyn Smi, index: u32) -> Result<Setup, BackendError> {
    let compute = if_supported(smi.compute_partition(index))?;
    let memory = if_supported(smi.memory_partition(index))?;
    Ok(Setup {
        compute: compute.as_deref().map(ComputePartition::of),
        memory_parts: memory.as_deref().and_then(memory_parts),
    })
}

/// `NPS4` as 4.
fn memory_parts(text: &str) -> Option<u32> {
    text.strip_prefix("NPS")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_as_the_vendor_writes_them() {
        for text in ["SPX", "DPX", "TPX", "QPX", "CPX", "XPX"] {
            assert_eq!(ComputePartition::of(text).to_string(), text);
        }
        assert_eq!(ComputePartition::of("CPX"), ComputePartition::Cpx);
        assert_eq!(memory_parts("NPS4"), Some(4));
        assert_eq!(memory_parts("UNKNOWN"), None);
    }
}
