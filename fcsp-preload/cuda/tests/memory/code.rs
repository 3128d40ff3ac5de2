//! Memory that the driver takes by itself: code and its variables.

use crate::support::{Library, Program, TENANT};
use std::ffi::CStr;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const CODE: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .global .align 8 .b8 table[67108864];
.visible .entry work(.param .u64 x) { ret; }
";

/// Waits until the tenant is charged that much.
fn await_mib(cuda: &Library, expected_mib: u64) {
    let start = Instant::now();
    loop {
        let mib = cuda.charged_mib();
        if mib == expected_mib {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{mib} MiB are charged, not {expected_mib}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_variables_of_code_are_charged_once_they_are_seen() {
    let managed = Program {
        nvml: true,
        ..TENANT
    };
    managed.run(crate::here!(), |cuda| {
        // The looks that follow a new context are over.
        std::thread::sleep(Duration::from_millis(500));
        let mut module = null_mut();
        let image = CODE.as_ptr().cast();
        ok!(cuda, cuModuleLoadData(&mut module, image));
        await_mib(cuda, 64);
        let plain = cuda.alloc_mib(1400);
        assert_eq!(cuda.charged_mib(), 1464);
        refused!(cuda, cuMemAlloc_v2(&mut 0, 128 << 20));
        ok!(cuda, cuModuleUnload(module));
        await_mib(cuda, 1400);
        ok!(cuda, cuMemFree_v2(plain));
        await_mib(cuda, 0);
    });
}
