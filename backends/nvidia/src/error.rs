//! From NVIDIA's status codes to [`BackendError`].

use cuda_sys::nvmlReturn_t;
use fcsp_core::backend::{BackendError, Vendor};

/// Success, or which NVML call failed and how.
pub(crate) fn nvml(call: &'static str, status: nvmlReturn_t) -> Result<(), BackendError> {
    if status == nvmlReturn_t::NVML_SUCCESS {
        return Ok(());
    }
    Err(BackendError::Call {
        vendor: Vendor::Nvidia,
        call,
        code: i64::from(status.0),
        name: cuda_sys::nvml_return_name(status.0).to_owned(),
    })
}

/// The answer, or `None` where the device or the driver does not have what was asked for.
pub(crate) fn if_supported<T>(answer: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    let unsupported = i64::from(nvmlReturn_t::NVML_ERROR_NOT_SUPPORTED.0);
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(BackendError::Absent { .. }) => Ok(None),
        Err(BackendError::Call { code, .. }) if code == unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_named_with_its_code() {
        let error = nvml("nvmlInit_v2", nvmlReturn_t::NVML_ERROR_DRIVER_NOT_LOADED)
            .expect_err("not a success");
        assert_eq!(
            error.to_string(),
            "nvidia: nvmlInit_v2 failed with 9 (NVML_ERROR_DRIVER_NOT_LOADED)"
        );
    }

    #[test]
    fn what_a_device_does_not_have_is_no_error() {
        let unsupported = nvml(
            "nvmlDeviceGetMigMode",
            nvmlReturn_t::NVML_ERROR_NOT_SUPPORTED,
        );
        assert!(matches!(if_supported(unsupported), Ok(None)));
        let absent = BackendError::Absent {
            vendor: Vendor::Nvidia,
            call: "nvmlDeviceGetMigMode",
        };
        assert!(matches!(if_supported::<()>(Err(absent)), Ok(None)));
        let lost = nvml("nvmlDeviceGetName", nvmlReturn_t::NVML_ERROR_GPU_IS_LOST);
        assert!(if_supported(lost).is_err());
    }
}
