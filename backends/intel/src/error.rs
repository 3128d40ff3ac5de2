//! From Level Zero's result codes to [`BackendError`].

use fcsp_core::backend::{BackendError, Vendor};
use level_zero_sys::{result_name, ze_result_t};

/// Success, or which call failed and how.
pub(crate) fn check(call: &'static str, result: ze_result_t) -> Result<(), BackendError> {
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        return Ok(());
    }
    Err(BackendError::Call {
        vendor: Vendor::Intel,
        call,
        code: result.0.into(),
        name: result_name(result.0).to_owned(),
    })
}

/// The answer, or `None` where the device or the driver does not have what was asked for, or does not show it to everybody.
pub(crate) fn if_supported<T>(answer: Result<T, BackendError>) -> Result<Option<T>, BackendError> {
    const NOT_THERE: [ze_result_t; 3] = [
        ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_FEATURE,
        ze_result_t::ZE_RESULT_ERROR_INSUFFICIENT_PERMISSIONS,
        ze_result_t::ZE_RESULT_ERROR_NOT_AVAILABLE,
    ];
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(BackendError::Absent { .. }) => Ok(None),
        Err(BackendError::Call { code, .. })
            if NOT_THERE.iter().any(|it| i64::from(it.0) == code) =>
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
        let failed = check("zeInit", ze_result_t::ZE_RESULT_ERROR_UNINITIALIZED);
        let text = failed.expect_err("not a success").to_string();
        assert!(
            text.starts_with("intel: zeInit failed with") && text.contains("UNINITIALIZED"),
            "{text}"
        );
        assert!(check("zeInit", ze_result_t::ZE_RESULT_SUCCESS).is_ok());
    }

    #[test]
    fn what_is_not_there_is_no_failure() {
        let of = |code| if_supported(check("call", code)).map(|it| it.is_some());
        assert!(matches!(of(ze_result_t::ZE_RESULT_SUCCESS), Ok(true)));
        assert!(matches!(
            of(ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_FEATURE),
            Ok(false)
        ));
        assert!(of(ze_result_t::ZE_RESULT_ERROR_DEVICE_LOST).is_err());
    }
}
