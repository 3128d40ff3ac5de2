//! The runtime's dispatch table: the functions that exported ones hand their calls on to, since version 6.
//!
//! `HipDispatchTable` in hip_api_trace.hpp 7.2.4: a size in bytes, then a pointer for each function. New ones come at its
//! end, and none is ever moved (the header's own rule, which 6.4.3 and 7.2.4 keep to). A library hands its table to
//! `rocprofiler_register_library_api_table` (rocprofiler-register.h) when it is called for the first time, so that tools
//! replace pointers in it.

use core::ffi::{c_char, c_void};

const TEXT: &str = include_str!("../exports/dispatch-7.2.4.txt");

/// How many functions the table has.
pub const COUNT: usize = lines(TEXT);

/// The exported functions whose calls go through the table, in its order.
pub const NAMES: [&str; COUNT] = split(TEXT);

/// By what name the table is handed over.
pub const NAME: &core::ffi::CStr = c"hip";

/// `rocprofiler_register_library_api_table`: the table's name, a function of its library, the library's version as a
/// number (10000 times the major one), tables and their number, and a place for an identifier. Its answer is for whoever
/// asks.
pub type Register = unsafe extern "C" fn(
    name: *const c_char,
    import: *const c_void,
    version: u32,
    tables: *mut *mut c_void,
    count: u64,
    identifier: *mut u64,
) -> u32;

/// `ROCP_REG_NO_TOOLS`: nobody wants the table.
pub const NO_TOOLS: u32 = 1;

/// The place of a function in the table.
pub const fn place(name: &str) -> Option<usize> {
    let mut at = 0;
    while at < COUNT {
        if same(NAMES[at].as_bytes(), name.as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
    None
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

const fn lines(text: &str) -> usize {
    let (bytes, mut at, mut count) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        count += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    count
}

const fn split<const COUNT: usize>(text: &'static str) -> [&'static str; COUNT] {
    let (mut names, mut rest, mut count) = ([""; COUNT], text, 0);
    while count < COUNT {
        let mut end = 0;
        while rest.as_bytes()[end] != b'\n' {
            end += 1;
        }
        let (line, behind) = rest.split_at(end);
        (names[count], rest) = (line, behind.split_at(1).1);
        count += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lie_where_the_header_has_them() {
        assert_eq!(place("hipApiName"), Some(0));
        assert_eq!(place("hipArray3DCreate"), Some(1));
        assert_eq!(place(NAMES[COUNT - 1]), Some(COUNT - 1));
        assert_eq!(place("hip"), None);
        assert!(NAMES.iter().all(|name| name.starts_with("hip")));
    }
}
