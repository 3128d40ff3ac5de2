//! `cuDevice*`: what the simulated device says about itself.
//!
//! Attributes are the H200's as recorded in `oracle/device-attributes.csv`, but for the PCI address
//! and whether MPS is on. Some of them promise what is not simulated (textures, multicast); the
//! functions they speak of are then absent from the library.

use crate::border::{Outcome, put, put_optional, put_text, rc, require};
use crate::driver::{Gpu, gpu, gpus};
use cuda_sys::{CUdevice_attribute, CUdevice_attribute_enum, CUdevprop, CUuuid};
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::sync::OnceLock;

const RECORDED: &str = include_str!("../oracle/device-attributes.csv");

/// The value of an attribute, if the driver knows it.
fn attribute_value(number: c_int) -> Option<c_int> {
    static TABLE: OnceLock<Vec<(c_int, c_int)>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let rows = RECORDED.lines().skip(1).filter_map(|line| {
            let mut fields = line.split(',');
            let number = fields.next()?.parse().ok()?;
            let answered = fields.next()? == "0";
            let value = fields.next()?.parse().ok()?;
            answered.then_some((number, value))
        });
        rows.collect()
    });
    table
        .iter()
        .find(|(known, _)| *known == number)
        .map(|(_, value)| *value)
}

/// `cuDeviceGet`.
pub unsafe fn get(place: *mut c_int, ordinal: c_int) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put(place, gpu(ordinal)?.ordinal) }
}

/// `cuDeviceGetCount`.
pub unsafe fn count(place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, gpus().len() as c_int) }
}

/// The unique id in the header's type.
fn uuid_of(gpu: &Gpu) -> CUuuid {
    CUuuid {
        bytes: gpu.device.uuid().map(|byte| byte as c_char),
    }
}

/// `cuDeviceGetName`.
pub unsafe fn name(place: *mut c_char, room: c_int, device: c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(gpu(device)?.device.name(), place, room) }
}

/// `cuDeviceGetUuid` and `_v2`.
pub unsafe fn uuid(place: *mut CUuuid, device: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, uuid_of(gpu(device)?)) }
}

/// `cuDeviceTotalMem_v2`.
pub unsafe fn total_memory(place: *mut usize, device: c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, gpu(device)?.device.total_bytes() as usize) }
}

/// `cuDeviceGetAttribute`.
pub unsafe fn attribute(
    place: *mut c_int,
    attribute: CUdevice_attribute,
    device: c_int,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let gpu = gpu(device)?;
    type A = CUdevice_attribute;
    let value = match attribute {
        A::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID => Some(gpu.device.pci_bus() as c_int),
        A::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID | A::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID => Some(0),
        A::CU_DEVICE_ATTRIBUTE_MPS_ENABLED => Some(c_int::from(gpu.device.is_client())),
        CUdevice_attribute_enum(number) => attribute_value(number as c_int),
    };
    // SAFETY: checked above.
    unsafe { put(place, value.ok_or(rc::INVALID_VALUE)?) }
}

/// `cuDeviceComputeCapability`.
pub unsafe fn compute_capability(major: *mut c_int, minor: *mut c_int, device: c_int) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(major, attribute_value(75).unwrap_or(9));
        put_optional(minor, attribute_value(76).unwrap_or(0));
    }
    Ok(())
}

/// `cuDeviceGetProperties`, deprecated but exported.
pub unsafe fn properties(place: *mut CUdevprop, device: c_int) -> Outcome {
    gpu(device)?;
    let value = |number| attribute_value(number).unwrap_or(0);
    let properties = CUdevprop {
        maxThreadsPerBlock: value(1),
        maxThreadsDim: [value(2), value(3), value(4)],
        maxGridSize: [value(5), value(6), value(7)],
        sharedMemPerBlock: value(8),
        totalConstantMemory: value(9),
        SIMDWidth: value(10),
        memPitch: value(11),
        regsPerBlock: value(12),
        clockRate: value(13),
        textureAlign: value(14),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, properties) }
}

fn pci_text(device: c_int) -> Result<String, crate::types::Failure> {
    Ok(format!("0000:{:02X}:00.0", gpu(device)?.device.pci_bus()))
}

/// `cuDeviceGetPCIBusId`.
pub unsafe fn pci_bus_id(place: *mut c_char, room: c_int, device: c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(&pci_text(device)?, place, room) }
}

/// `cuDeviceGetByPCIBusId`.
pub unsafe fn by_pci_bus_id(place: *mut c_int, text: *const c_char) -> Outcome {
    require(!place.is_null() && !text.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated text.
    let wanted = unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| rc::INVALID_VALUE)?;
    // The domain may be left out or have eight digits.
    let tail = |id: &str| {
        id.rsplit(':')
            .take(2)
            .collect::<Vec<_>>()
            .join(":")
            .to_ascii_uppercase()
    };
    for gpu in gpus() {
        if tail(&pci_text(gpu.ordinal)?) == tail(wanted) {
            // SAFETY: checked above.
            return unsafe { put(place, gpu.ordinal) };
        }
    }
    Err(rc::INVALID_DEVICE)
}

/// `cuDeviceCanAccessPeer`: devices of one process share an address space here.
pub unsafe fn can_access_peer(place: *mut c_int, device: c_int, peer: c_int) -> Outcome {
    let different = gpu(device)?.ordinal != gpu(peer)?.ordinal;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, c_int::from(different)) }
}

/// `cuCtxEnablePeerAccess`.
pub unsafe fn enable_peer(context: crate::types::ContextHandle, flags: c_uint) -> Outcome {
    require(flags == 0, rc::INVALID_VALUE)?;
    let peer = crate::context::CONTEXTS
        .get(context)
        .ok_or(rc::INVALID_CONTEXT)?;
    require(
        !std::ptr::eq(peer.gpu, crate::context::current()?.gpu),
        rc::INVALID_DEVICE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_attributes_are_answered_and_unknown_ones_are_not() {
        assert_eq!(attribute_value(16), Some(132));
        assert_eq!(attribute_value(75), Some(9));
        assert_eq!(attribute_value(148), None);
        assert_eq!(attribute_value(0), None);
    }
}
