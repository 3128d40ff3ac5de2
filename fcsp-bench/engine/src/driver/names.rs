//! What vendors call the same things, and what they lack.

use crate::protocol::{Cheap, Way};

/// Whose devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// NVIDIA's, through CUDA.
    Nvidia,
    /// AMD's, through HIP.
    Amd,
    /// Intel's, through Level Zero.
    Intel,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nvidia, Self::Amd, Self::Intel];

    /// One word: `nvidia`, `amd`, `intel`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nvidia => "nvidia",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }

    /// The vendor of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.word() == word)
    }

    /// The interface that programs use.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Nvidia => "CUDA",
            Self::Amd => "HIP",
            Self::Intel => "Level Zero",
        }
    }

    /// The call that asks for memory in that way; none where the interface has no such way.
    pub(crate) fn way(self, way: Way) -> Option<&'static str> {
        let [nvidia, amd, intel] = match way {
            Way::Plain => [
                Some("cuMemAlloc"),
                Some("hipMalloc"),
                Some("zeMemAllocDevice"),
            ],
            Way::Pitch => [Some("cuMemAllocPitch"), Some("hipMemAllocPitch"), None],
            Way::Pool => [Some("cuMemAllocAsync"), Some("hipMallocAsync"), None],
            Way::Virtual => [
                Some("cuMemCreate"),
                Some("hipMemCreate"),
                Some("zePhysicalMemCreate"),
            ],
            Way::Array => [
                Some("cuArrayCreate"),
                Some("hipArrayCreate"),
                Some("zeImageCreate"),
            ],
            Way::Managed => [
                Some("cuMemAllocManaged"),
                Some("hipMallocManaged"),
                Some("zeMemAllocShared"),
            ],
        };
        self.of(nvidia, amd, intel)
    }

    /// The cheap call of that kind; none where the interface has none.
    pub(crate) fn cheap(self, call: Cheap) -> Option<&'static str> {
        let [nvidia, amd, intel] = match call {
            Cheap::CurrentDevice => [Some("cuCtxGetDevice"), Some("hipGetDevice"), None],
            Cheap::SetCurrent => [Some("cuCtxSetCurrent"), Some("hipSetDevice"), None],
            Cheap::EventQuery => [
                Some("cuEventQuery"),
                Some("hipEventQuery"),
                Some("zeEventQueryStatus"),
            ],
            Cheap::QueueQuery => [
                Some("cuStreamQuery"),
                Some("hipStreamQuery"),
                Some("zeCommandQueueSynchronize"),
            ],
            Cheap::MemoryInfo => [
                Some("cuMemGetInfo"),
                Some("hipMemGetInfo"),
                Some("zesMemoryGetState"),
            ],
        };
        self.of(nvidia, amd, intel)
    }

    /// The call that tells a device's memory by its properties.
    pub(crate) fn stated(self) -> &'static str {
        match self {
            Self::Nvidia => "cuDeviceTotalMem",
            Self::Amd => "hipDeviceTotalMem",
            Self::Intel => "zeDeviceGetMemoryProperties",
        }
    }

    fn of<T>(self, nvidia: T, amd: T, intel: T) -> T {
        match self {
            Self::Nvidia => nvidia,
            Self::Amd => amd,
            Self::Intel => intel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_vendors() {
        for vendor in Vendor::ALL {
            assert_eq!(Vendor::of_word(vendor.word()), Some(vendor));
        }
        assert_eq!(Vendor::of_word("nobody"), None);
    }

    #[test]
    fn every_vendor_has_plain_memory_and_says_how_much_is_free() {
        for vendor in Vendor::ALL {
            assert!(vendor.way(Way::Plain).is_some());
            assert!(vendor.cheap(Cheap::MemoryInfo).is_some());
        }
    }
}
