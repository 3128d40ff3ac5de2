//! From AMD's status codes to [`BackendError`].

use fcsp_core::backend::{BackendError, Vendor};
use rocm_smi_sys::{amdsmi_status_name, amdsmi_status_t, rsmi_status_name, rsmi_status_t};

/// A status code of either management library. Both have the same names under different numbers.
pub(crate) trait Status: Copy {
    /// The number; 0 is success.
    fn code(self) -> i64;

    /// The name in the vendor's header.
    fn name(self) -> &'static str;
}

impl Status for rsmi_status_t {
    fn code(self) -> i64 {
        i64::from(self.0)
    }

    fn name(self) -> &'static str {
        rsmi_status_name(self.0)
    }
}

impl Status for amdsmi_status_t {
    fn code(self) -> i64 {
        i64::from(self.0)
    }

    fn name(self) -> &'static str {
        amdsmi_status_name(self.0)
    }
}

/// Success, or which call failed and how.
pub(crate) fn check(call: &'static str, status: impl Status) -> Result<(), BackendError> {
    if status.code() == 0 {
        return Ok(());
    }
    Err(BackendError::Call {
        vendor: Vendor::Amd,
        call,
        code: status.code(),
        name: status.name().to_owned(),
    })
}

/// The answer, or `None` where the device or the driver does not have what was asked for.
pub(crate) fn if_supported<T>(answer: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    match answer {
        Err(BackendError::Absent { .. }) => Ok(None),
        other => unless_named(other, &["_NOT_SUPPORTED", "_NOT_YET_IMPLEMENTED"]),
    }
}

/// The answer, or `None` where there is nothing of the kind.
pub(crate) fn if_found<T>(answer: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    unless_named(answer, &["_STATUS_NOT_FOUND"])
}

/// The answer, or `None` for a failure whose name ends in one of `endings`.
fn unless_named<T>(
    answer: Result<T, BackendError>,
    endings: &[&str],
) -> Result<Option<T>, BackendError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(BackendError::Call { name, .. })
            if endings.iter().any(|ending| name.ends_with(ending)) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_named_with_its_code() {
        let failed = check("rsmi_init", rsmi_status_t::RSMI_STATUS_INIT_ERROR);
        assert_eq!(
            failed.expect_err("not a success").to_string(),
            "amd: rsmi_init failed with 8 (RSMI_STATUS_INIT_ERROR)"
        );
        assert!(check("rsmi_init", rsmi_status_t::RSMI_STATUS_SUCCESS).is_ok());
        assert!(check("amdsmi_init", amdsmi_status_t::AMDSMI_STATUS_SUCCESS).is_ok());
    }

    #[test]
    fn what_a_device_does_not_have_is_no_error() {
        let name = "rsmi_dev_compute_partition_get";
        let rocm = check(name, rsmi_status_t::RSMI_STATUS_NOT_SUPPORTED);
        assert!(matches!(if_supported(rocm), Ok(None)));
        let amd = check(name, amdsmi_status_t::AMDSMI_STATUS_NOT_YET_IMPLEMENTED);
        assert!(matches!(if_supported(amd), Ok(None)));
        let absent = BackendError::Absent {
            vendor: Vendor::Amd,
            call: name,
        };
        assert!(matches!(if_supported::<()>(Err(absent)), Ok(None)));
        let gone = || check(name, rsmi_status_t::RSMI_STATUS_NOT_FOUND);
        assert!(if_supported(gone()).is_err());
        assert!(matches!(if_found(gone()), Ok(None)));
    }
}
