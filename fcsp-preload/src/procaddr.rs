//! Vendor lookups such as `cuGetProcAddress`: which row has the address the driver returned?
//!
//! The driver alone knows which version of a function a caller is to get: it depends on the requested version, on
//! flags, and on the driver. So its own answer is taken, errors and status included, and only then replaced if it is
//! the address of a row's function. Guessing from the name gives old callers a new ABI, or per-thread-stream callers
//! the legacy stream.

use core::ffi::{CStr, c_void};

use crate::table::{Hook, Table};

/// The row whose driver function lives at `address`; `requested` is the name asked for, which decides between rows when
/// several symbols share one address.
///
/// Compares with every row: programs do this a few hundred times at start-up.
pub fn row_at(
    table: &Table,
    address: *mut c_void,
    requested: Option<&CStr>,
) -> Option<&'static Hook> {
    if address.is_null() {
        return None;
    }
    let mut first = None;
    for hook in table.rows.iter().filter(|hook| hook.wrapper.is_some()) {
        if hook.real.and_then(|real| real.address_if_loaded()) != Some(address) {
            continue;
        }
        // `cuMemAlloc_v2` is a variant of the requested `cuMemAlloc`, `cuMemcpy_ptds` of `cuMemcpy`.
        let variant = |requested: &CStr| {
            let rest = hook.name.to_bytes().strip_prefix(requested.to_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"_"))
        };
        if requested.is_some_and(variant) {
            return Some(hook);
        }
        first = first.or(Some(hook));
    }
    first
}

/// What to hand out instead of `address`: the wrapper of the row that lives there, else the address itself.
pub fn substitute(table: &Table, address: *mut c_void, requested: Option<&CStr>) -> *mut c_void {
    match row_at(table, address, requested).and_then(|hook| hook.wrapper) {
        Some(wrapper) => wrapper.address().cast_mut(),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Library, Real, Verb, table};

    static LIBC: Library = Library::new(&[c"libc.so.6"]);
    type Remove = unsafe extern "C" fn(i32) -> i64;
    // SAFETY: never called. `fputc` and `putc` share an address in glibc, as driver functions may.
    static PUTC: Real<Remove> = unsafe { Real::new(c"putc", &LIBC) };
    // SAFETY: never called.
    static IO_PUTC: Real<Remove> = unsafe { Real::new(c"_IO_putc", &LIBC) };

    unsafe extern "C" fn first(_: i32) {}
    unsafe extern "C" fn second(_: i32) -> i32 {
        1
    }

    static ROWS: &[Hook] = &[
        Hook {
            name: c"putc",
            verb: Verb::Virtualize,
            reason: "test",
            wrapper: Some(table::Wrapper::new(first as *const ())),
            real: Some(PUTC.symbol()),
        },
        Hook {
            name: c"_IO_putc",
            verb: Verb::Virtualize,
            reason: "test",
            wrapper: Some(table::Wrapper::new(second as *const ())),
            real: Some(IO_PUTC.symbol()),
        },
    ];
    static TABLE: Table = Table::new(
        &LIBC,
        ROWS,
        &table::index::<{ table::slots(2) }>(&["putc", "_IO_putc"]),
    );

    #[test]
    fn the_requested_name_decides_between_symbols_that_share_an_address() {
        let address = PUTC.symbol().address().expect("putc exists");
        assert_eq!(
            IO_PUTC.symbol().address(),
            Some(address),
            "glibc has one function under both names"
        );
        let found = |requested| row_at(&TABLE, address, requested).map(|hook| hook.name);
        assert_eq!(found(Some(c"putc")), Some(c"putc"));
        assert_eq!(found(Some(c"_IO_putc")), Some(c"_IO_putc"));
        assert_eq!(
            found(Some(c"_IO")),
            Some(c"_IO_putc"),
            "a variant of what was asked for"
        );
        assert_eq!(found(Some(c"other")), Some(c"putc"), "else the first row");
        assert_eq!(found(None), Some(c"putc"));
    }

    #[test]
    fn an_address_of_no_row_is_left_alone() {
        let stranger = libc::abs as *mut c_void;
        assert_eq!(substitute(&TABLE, stranger, Some(c"putc")), stranger);
        assert!(row_at(&TABLE, core::ptr::null_mut(), Some(c"putc")).is_none());
    }
}
