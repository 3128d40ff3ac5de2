//! Copies and fills: what they do and how long they take.

use fcsp_sim::calibration::{COPY_NS_MIN, HBM_BYTES_PER_US, PCIE_BYTES_PER_US};
use fcsp_sim::{Effect, Op};

/// A copy or fill of a box of bytes. Addresses have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// What to write.
    pub source: Source,
    /// Where to.
    pub target: u64,
    /// Distance between rows of the target.
    pub target_pitch: u64,
    /// Distance between slices of the target.
    pub target_slice: u64,
    /// Bytes in a row.
    pub width_bytes: u64,
    /// Rows in a slice.
    pub height: u64,
    /// Slices.
    pub depth: u64,
    /// Whether host memory takes part.
    pub crosses_bus: bool,
}

/// Where the bytes come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// Other memory.
    Memory {
        /// Its address.
        address: u64,
        /// Distance between rows.
        pitch: u64,
        /// Distance between slices.
        slice: u64,
    },
    /// A value of 1, 2 or 4 bytes, over and over.
    Value {
        /// The value.
        value: u32,
        /// Its size.
        bytes: u64,
    },
}

impl Transfer {
    /// A plain copy.
    pub fn copy(target: u64, source: u64, bytes: u64, crosses_bus: bool) -> Self {
        Self {
            source: Source::Memory {
                address: source,
                pitch: bytes,
                slice: bytes,
            },
            target,
            target_pitch: bytes,
            target_slice: bytes,
            width_bytes: bytes,
            height: 1,
            depth: 1,
            crosses_bus,
        }
    }

    /// A fill of rows.
    pub fn fill(target: u64, pitch: u64, value: u32, bytes: u64, width: u64, height: u64) -> Self {
        Self {
            source: Source::Value { value, bytes },
            target,
            target_pitch: pitch,
            target_slice: pitch * height,
            width_bytes: width * bytes,
            height,
            depth: 1,
            crosses_bus: false,
        }
    }

    /// Whether it writes a value rather than other memory.
    pub fn is_fill(&self) -> bool {
        matches!(self.source, Source::Value { .. })
    }

    /// The operation for a stream.
    pub fn op(self) -> Op {
        Op::Work {
            duration_ns: self.duration_ns(),
            effect: Effect::Run(Box::new(move || self.run())),
        }
    }

    /// Device time it takes.
    pub fn duration_ns(&self) -> u64 {
        let bytes = self
            .width_bytes
            .saturating_mul(self.height)
            .saturating_mul(self.depth);
        let rate = if self.crosses_bus {
            PCIE_BYTES_PER_US
        } else {
            HBM_BYTES_PER_US
        };
        COPY_NS_MIN + bytes.saturating_mul(1000) / rate
    }

    fn run(&self) {
        for z in 0..self.depth {
            for y in 0..self.height {
                let target = self.target + z * self.target_slice + y * self.target_pitch;
                match self.source {
                    Source::Memory {
                        address,
                        pitch,
                        slice,
                    } => {
                        let source = address + z * slice + y * pitch;
                        // SAFETY: device ranges were checked when the call was made, host ranges
                        // are the program's promise, as with the real driver. `copy` allows overlap.
                        unsafe {
                            std::ptr::copy(
                                source as *const u8,
                                target as *mut u8,
                                self.width_bytes as usize,
                            );
                        }
                    }
                    Source::Value { value, bytes } => {
                        fill_row(target, value, bytes, self.width_bytes)
                    }
                }
            }
        }
    }
}

fn fill_row(target: u64, value: u32, value_bytes: u64, width_bytes: u64) {
    let pattern = value.to_le_bytes();
    if pattern[..value_bytes as usize]
        .iter()
        .all(|byte| *byte == pattern[0])
    {
        // SAFETY: a device range that was checked when the call was made.
        unsafe { std::ptr::write_bytes(target as *mut u8, pattern[0], width_bytes as usize) };
        return;
    }
    for at in (0..width_bytes).step_by(value_bytes as usize) {
        // SAFETY: as above; the width is a multiple of the value's size.
        unsafe {
            std::ptr::copy_nonoverlapping(
                pattern.as_ptr(),
                (target + at) as *mut u8,
                value_bytes as usize,
            );
        }
    }
}
