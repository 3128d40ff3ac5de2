//! What the library exports: for each table of every interface the function that fills it.
//!
//! A loader hands over a table as long as it knew when it was built, so only what that version had is written.

use crate::border::rc;
use crate::functions::address;
use level_zero_sys::{ddi_tables, ze_api_version_t, ze_result_t};
use std::ffi::c_void;

macro_rules! exports {
    ($(table $table:ident from $getter:ident {
        $($field:ident $function:ident since $major:literal $minor:literal;)*
    })*) => {
        $(
            /// Fills the table of this name.
            ///
            /// # Safety
            /// `table` is null or as long as a table of `version` is.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn $getter(
                version: ze_api_version_t,
                table: *mut level_zero_sys::$table,
            ) -> ze_result_t {
                if table.is_null() {
                    return rc::NULL_POINTER;
                }
                if version.0 >> 16 != level_zero_sys::version(1, 0).0 >> 16 {
                    return rc::UNSUPPORTED_VERSION;
                }
                $(if version.0 >= level_zero_sys::version($major, $minor).0 {
                    // SAFETY: a table of this version has the field. Every field is a function's address or null.
                    unsafe {
                        (&raw mut (*table).$field)
                            .cast::<*const c_void>()
                            .write(address(stringify!($function)));
                    }
                })*
                rc::SUCCESS
            }
        )*
    };
}
ddi_tables! { exports, }

#[cfg(test)]
mod tests {
    use crate::functions::FUNCTIONS;
    use level_zero_sys::TABLES;
    use std::collections::BTreeSet;
    use std::path::Path;

    const HEAD: &str = "# What the simulated Level Zero driver lacks

Functions of the tables of Level Zero 1.17 that are null in this driver, which the loader answers with \"unsupported\".
Written by `FCSP_BLESS=1 cargo test -p fcsp-sim-ze`, checked by the same test without the variable.

By design: sub-devices (the device has one tile), samplers, ray tracing, metrics and debugging, external memory and
semaphores, graphs and mutable command lists, global variables and function pointers of modules, fabric, and of Sysman
whatever would need a sensor or change the hardware.

";

    #[test]
    fn every_function_stands_in_a_table() {
        let known: BTreeSet<&str> = TABLES
            .iter()
            .flat_map(|table| table.entries)
            .map(|entry| entry.function)
            .collect();
        let names = FUNCTIONS.iter().map(|(name, _)| *name);
        let stray: Vec<_> = names.filter(|name| !known.contains(name)).collect();
        assert!(stray.is_empty(), "{stray:?}");
    }

    #[test]
    fn what_is_missing_is_listed() {
        let here: BTreeSet<&str> = FUNCTIONS.iter().map(|(name, _)| *name).collect();
        let all: Vec<&str> = TABLES
            .iter()
            .flat_map(|table| table.entries)
            .map(|entry| entry.function)
            .collect();
        let missing: Vec<_> = all.iter().filter(|name| !here.contains(*name)).collect();
        let mut text = format!("{HEAD}{} of {} functions:\n\n", missing.len(), all.len());
        for name in missing {
            text.push_str(&format!("- `{name}`\n"));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("UNSUPPORTED.md");
        if std::env::var_os("FCSP_BLESS").is_some() {
            std::fs::write(&path, &text).expect("list written");
        }
        let listed = std::fs::read_to_string(&path).expect("UNSUPPORTED.md");
        assert!(
            listed == text,
            "run FCSP_BLESS=1 cargo test -p fcsp-sim-ze and look at the change"
        );
    }

    #[test]
    fn an_older_loader_gets_only_what_it_knows() {
        let mut table = level_zero_sys::ze_command_list_dditable_t::default();
        let old = level_zero_sys::version(1, 3);
        // SAFETY: a whole table, longer than the version asks for.
        let code = unsafe { super::zeGetCommandListProcAddrTable(old, &mut table) };
        assert_eq!(code, crate::border::rc::SUCCESS);
        assert!(table.pfnAppendLaunchKernel.is_some());
        assert!(table.pfnHostSynchronize.is_none() && table.pfnAppendHostFunction.is_none());
    }
}
