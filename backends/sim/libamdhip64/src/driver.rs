//! The library as a whole: which devices there are, which version it is, error texts, the thread's device.

use crate::border::{self, Outcome, Pass, put, put_static_text, rc, require, static_text};
use crate::own;
use fcsp_sim::calibration::AMD_CONTEXT_OVERHEAD_BYTES;
use fcsp_sim::{Comparison, Config, Vendor};
use fcsp_sim_driver::driver::{gpu, gpus, init as init_driver};
use fcsp_sim_driver::types::ContextHandle;
use fcsp_sim_driver::{Failure, Profile, context, visible};
use hip_sys::hipError_t;
use std::ffi::{c_char, c_int, c_uint};
use std::sync::Mutex;

/// Compute units of the simulated device.
pub const COMPUTE_UNITS: u32 = 104;

/// The MI210. The limits are stack, printf, malloc heap, as HIP numbers them.
static MI210: Profile = Profile {
    library: "libamdhip64",
    context_bytes: AMD_CONTEXT_OVERHEAD_BYTES,
    page_bytes: 4096,
    pitch_bytes: 256,
    multiprocessors: COMPUTE_UNITS,
    threads_per_multiprocessor: 2048,
    shared_bytes_max: 65_536,
    limits: &[1024, 4 << 20, 4 << 20],
    priorities: (1, -1),
    at_least: Comparison::NotLess,
    opens_own_handles: false,
};

/// Finds the devices, on the first call of any thread.
pub fn ensure() -> Outcome {
    if border::ready() {
        return Ok(());
    }
    let mut config = Config::of(Vendor::Amd);
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(mask) = variable("HSA_CU_MASK") {
        config.active_permille = process_permille(&mask);
    }
    init_driver(&config, &MI210, |ids| {
        // The lower layer chooses first; HIP's own variable counts what that left.
        let left = visible::select(variable("ROCR_VISIBLE_DEVICES").as_deref(), ids);
        let ids: Vec<[u8; 16]> = left.iter().map(|index| ids[*index]).collect();
        let list = variable("HIP_VISIBLE_DEVICES").or_else(|| variable("CUDA_VISIBLE_DEVICES"));
        let chosen = visible::select(list.as_deref(), &ids);
        chosen.into_iter().map(|index| left[index]).collect()
    })
    // Without a device every call but the question how many there are says so.
    .map_err(|failure| match failure {
        rc::NO_DEVICE => rc::INVALID_DEVICE,
        other => other,
    })
}

/// The share of the compute units that `HSA_CU_MASK` leaves a process, in thousandths: `0:0-51` names half of device 0's.
/// Devices that it does not name are left whole; here the first list counts for all.
fn process_permille(mask: &str) -> u32 {
    let Some((_, list)) = mask.split(';').next().and_then(|part| part.split_once(':')) else {
        return 1000;
    };
    let mut units = vec![false; COMPUTE_UNITS as usize];
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.trim().parse::<usize>(), last.trim().parse::<usize>())
        else {
            continue;
        };
        for unit in units.iter_mut().take(last.saturating_add(1)).skip(first) {
            *unit = true;
        }
    }
    let count = units.iter().filter(|unit| **unit).count() as u32;
    (count * 1000 / COMPUTE_UNITS).clamp(1, 1000)
}

/// The primary context of a device, made if need be.
pub fn primary(device: c_int) -> Result<ContextHandle, Failure> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let known = {
        let primary = gpu(device)?
            .primary
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        primary.context.as_ref().map(|context| context.handle())
    };
    if let Some(handle) = known {
        return Ok(handle);
    }
    let mut handle = std::ptr::null_mut();
    // SAFETY: a place for the handle.
    unsafe { context::primary_retain(&mut handle, device)? };
    Ok(handle)
}

/// `hipInit`.
pub unsafe fn init(flags: c_uint) -> Outcome {
    require(flags == 0, rc::INVALID_VALUE)
}

/// `hipGetDeviceCount`.
pub unsafe fn count(place: *mut c_int) -> Outcome {
    let found = ensure();
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, gpus().len() as c_int)? };
    found.map_err(|failure| match failure {
        rc::INVALID_DEVICE => rc::NO_DEVICE,
        other => other,
    })
}

/// `hipRuntimeGetVersion` and `hipDriverGetVersion`: major and minor number, and the build of the release.
pub unsafe fn version(place: *mut c_int) -> Outcome {
    let number = match own::major() {
        5 => 50_221_153,
        _ => 60_443_484,
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, number) }
}

/// `hipSetDevice`.
pub unsafe fn set_device(device: c_int) -> Outcome {
    gpu(device)?;
    border::choose_device(device);
    Ok(())
}

/// `hipGetDevice`.
pub unsafe fn get_device(place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, border::chosen_device()) }
}

/// `hipDeviceReset`: everything on the device is gone.
pub unsafe fn reset() -> Outcome {
    let device = border::chosen_device();
    // SAFETY: no pointers.
    unsafe {
        context::synchronize()?;
        crate::registry::forget_device(device);
        context::primary_reset(device)?;
    }
    border::was_reset();
    Ok(())
}

/// `hipGetErrorName` and `hipGetErrorString`: the release's texts are the names.
pub fn error_text(code: hipError_t) -> *const c_char {
    let name = match hip_sys::error_name(code.0) {
        "unknown" => "hipErrorUnknown",
        known => known,
    };
    static_text(name).map_or(std::ptr::null(), |text| text.as_ptr())
}

/// `hipDrvGetErrorName` and `hipDrvGetErrorString`.
pub unsafe fn drv_error_text(code: hipError_t, place: *mut *const c_char) -> Outcome {
    let name = hip_sys::error_name(code.0);
    require(name != "unknown", rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put_static_text(name, place) }
}

fn last(new: Option<hipError_t>) -> hipError_t {
    match ensure() {
        Ok(()) => border::exchange_last(new),
        Err(failure) => hipError_t(failure.0),
    }
}

/// `hipGetLastError`.
pub fn get_last_error() -> hipError_t {
    last(Some(hipError_t::hipSuccess))
}

/// `hipPeekAtLastError`.
pub fn peek_at_last_error() -> hipError_t {
    last(None)
}

/// `hipCtxGetDevice`.
pub unsafe fn context_device(place: *mut c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { get_device(Pass::pass(place)) }
}

#[cfg(test)]
mod tests {
    use super::process_permille;

    #[test]
    fn a_mask_of_compute_units_is_a_share_of_the_device() {
        assert_eq!(process_permille("0:0-51"), 500);
        assert_eq!(process_permille("0:0-25,52-77;1:0"), 500);
        assert_eq!(process_permille("0:0"), 9);
        assert_eq!(process_permille("0:0-200"), 1000);
        assert_eq!(process_permille("nonsense"), 1000);
    }
}
