//! `cuGetProcAddress`: names, versions and modes to exported functions.
//!
//! The answers are those a real driver gave, recorded in `oracle/cuGetProcAddress.csv`: per name and
//! mode, from which requested CUDA version which symbol holds. What that driver has and this library
//! has not is not found.

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::exports::EXPORTS;
use cuda_sys::{CUdriverProcAddressQueryResult, cuuint64_t};
use fcsp_sim::Config;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

const RECORDED: &str = include_str!("../oracle/cuGetProcAddress.csv");

/// `CU_GET_PROC_ADDRESS_LEGACY_STREAM` and `CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM`.
const MODES: u64 = 2;
/// The oldest version the recording asked for.
const VERSION_MIN: c_int = 2000;

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Symbol(&'static str),
    Unknown,
    TooOld,
}

type Rows = HashMap<(&'static str, u64), Vec<(c_int, Answer)>>;

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut rows = Rows::new();
        for line in RECORDED.lines().skip(1) {
            let fields: Vec<&'static str> = line.split(',').collect();
            let [name, flags, version, status, symbol] = fields[..] else {
                continue;
            };
            let (Ok(flags), Ok(version)) = (flags.parse(), version.parse()) else {
                continue;
            };
            let answer = match status {
                "0/0" => Answer::Symbol(symbol.split('|').next().unwrap_or(symbol)),
                "0/2" => Answer::TooOld,
                _ => Answer::Unknown,
            };
            rows.entry((name, flags))
                .or_default()
                .push((version, answer));
        }
        for answers in rows.values_mut() {
            answers.sort_by_key(|(version, _)| *version);
        }
        rows
    })
}

fn exported(symbol: &str) -> Option<*mut c_void> {
    static INDEX: OnceLock<HashMap<&'static str, usize>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let hidden = Config::from_env().hidden;
        EXPORTS
            .iter()
            .enumerate()
            .filter(|(_, export)| !hidden.iter().any(|name| name == export.name))
            .map(|(at, export)| (export.name, at))
            .collect()
    });
    index
        .get(symbol)
        .map(|at| (EXPORTS[*at].address)().cast_mut())
}

fn answer(name: &str, version: c_int, flags: u64) -> Answer {
    let Some(answers) = rows().get(&(name, flags)) else {
        return Answer::Unknown;
    };
    let holding = answers.iter().rev().find(|(from, _)| *from <= version);
    holding.map_or(Answer::TooOld, |(_, answer)| *answer)
}

/// `cuGetProcAddress_v2`.
pub unsafe fn get_v2(
    name: *const c_char,
    place: *mut *mut c_void,
    version: c_int,
    flags: cuuint64_t,
    status: *mut CUdriverProcAddressQueryResult,
) -> Outcome {
    type S = CUdriverProcAddressQueryResult;
    require(!name.is_null() && !place.is_null(), rc::INVALID_VALUE)?;
    require(flags <= MODES && version >= VERSION_MIN, rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) }
        .to_str()
        .map_err(|_| rc::INVALID_VALUE)?;
    let (address, found) = match answer(name, version, flags) {
        Answer::Symbol(symbol) => match exported(symbol) {
            Some(address) => (address, S::CU_GET_PROC_ADDRESS_SUCCESS),
            None => (
                std::ptr::null_mut(),
                S::CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND,
            ),
        },
        Answer::TooOld => (
            std::ptr::null_mut(),
            S::CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT,
        ),
        Answer::Unknown => (
            std::ptr::null_mut(),
            S::CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND,
        ),
    };
    // SAFETY: checked above; the status may be null.
    unsafe {
        put(place, address)?;
        put_optional(status, found);
    }
    // Whoever asks for the status learns from it; who does not, from the result.
    require(!address.is_null() || !status.is_null(), rc::NOT_FOUND)
}

/// `cuGetProcAddress`, the form of CUDA 11.
pub unsafe fn get(
    name: *const c_char,
    place: *mut *mut c_void,
    version: c_int,
    flags: cuuint64_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { get_v2(name, place, version, flags, std::ptr::null_mut()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_mode_choose_the_symbol() {
        assert_eq!(answer("cuMemAlloc", 3010, 0), Answer::Symbol("cuMemAlloc"));
        assert_eq!(
            answer("cuMemAlloc", 12000, 0),
            Answer::Symbol("cuMemAlloc_v2")
        );
        assert_eq!(
            answer("cuLaunchKernel", 13000, 2),
            Answer::Symbol("cuLaunchKernel_ptsz")
        );
        assert_eq!(
            answer("cuLaunchKernel", 13000, 1),
            Answer::Symbol("cuLaunchKernel")
        );
        assert_eq!(answer("cuMemcpy", 3000, 0), Answer::TooOld);
        assert_eq!(answer("cuNothing", 13000, 0), Answer::Unknown);
    }

    #[test]
    fn every_exported_function_can_be_reached_by_name_and_mode() {
        let reachable: std::collections::HashSet<&str> = rows()
            .values()
            .flatten()
            .filter_map(|(_, answer)| match answer {
                Answer::Symbol(symbol) => Some(*symbol),
                _ => None,
            })
            .collect();
        let lost: Vec<&str> = EXPORTS
            .iter()
            .map(|export| export.name)
            .filter(|name| !reachable.contains(name))
            .collect();
        assert_eq!(lost, [""; 0]);
    }
}
