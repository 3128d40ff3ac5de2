//! Memory of another process, and a device beside another.

use crate::support::{CONTEXT_MIB, Library, Program, TENANT};
use cuda_sys::{CUcontext, CUipcMemHandle};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

const ROLE: &str = "FCSP_TEST_ROLE";

/// Allocates, prints a handle of it, and waits.
fn export(cuda: &Library) {
    let address = cuda.alloc_mib(100);
    let mut handle = CUipcMemHandle::default();
    ok!(cuda, cuIpcGetMemHandle(&mut handle, address));
    let hex: String = handle
        .reserved
        .iter()
        .map(|byte| format!("{:02x}", *byte as u8))
        .collect();
    println!("\nhandle {hex}");
    assert_eq!(std::io::stdin().read(&mut [0]).expect("a pipe"), 0);
}

#[test]
fn memory_of_another_process_is_not_charged_twice() {
    TENANT.run(crate::here!(), |cuda| {
        if std::env::var_os(ROLE).is_some() {
            return export(cuda);
        }
        let mut exporter = Command::new(std::env::current_exe().expect("own path"))
            .args(std::env::args().skip(1))
            .env(ROLE, "exporter")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut said = BufReader::new(exporter.stdout.take().expect("piped"));
        let hex = loop {
            let mut line = String::new();
            assert_ne!(
                said.read_line(&mut line).expect("text"),
                0,
                "it ended early"
            );
            if let Some(hex) = line.trim().strip_prefix("handle ") {
                break hex.to_owned();
            }
        };
        let mut handle = CUipcMemHandle::default();
        for (at, byte) in handle.reserved.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex") as _;
        }
        assert_eq!(
            cuda.charged_mib(),
            CONTEXT_MIB + 100,
            "the exporter's, of the same tenant"
        );
        let mut address = 0;
        ok!(cuda, cuIpcOpenMemHandle_v2(&mut address, handle, 1));
        assert_eq!(cuda.charged_mib(), CONTEXT_MIB + 100);
        ok!(cuda, cuIpcCloseMemHandle(address));
        assert_eq!(cuda.charged_mib(), CONTEXT_MIB + 100);
        drop(exporter.stdin.take());
        exporter.wait().expect("ends");
    });
}

#[test]
fn each_device_has_its_own_account() {
    let two_devices = Program {
        env: &[
            ("FCSP_TENANT", "tester"),
            ("FCSP_SIM_DEVICES", "2"),
            ("BUD_MEMORY_LIMIT_DEV1", "1024MiB"),
        ],
        ..TENANT
    };
    two_devices.run(crate::here!(), |cuda| {
        let mut first: CUcontext = null_mut();
        ok!(cuda, cuCtxGetCurrent(&mut first));
        let here = cuda.alloc_mib(100);
        let mut second: CUcontext = null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut second, 1));
        ok!(cuda, cuCtxSetCurrent(second));
        assert_eq!(cuda.charged_mib(), 0);
        let there = cuda.alloc_mib(200);
        assert_eq!(cuda.charged_mib(), 200);
        refused!(cuda, cuMemAlloc_v2(&mut 0, 512 << 20));
        ok!(cuda, cuCtxSetCurrent(first));
        assert_eq!(cuda.charged_mib(), 100);
        // A free goes to the device of the allocation, whatever the current context.
        ok!(cuda, cuMemFree_v2(there));
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuCtxSetCurrent(second));
        assert_eq!(cuda.charged_mib(), 0);
        cuda.alloc_mib(64);
        // What ends on one device leaves the other alone.
        ok!(cuda, cuDevicePrimaryCtxReset_v2(1));
        ok!(cuda, cuCtxSetCurrent(first));
        assert_eq!(cuda.charged_mib(), 100);
        ok!(cuda, cuMemFree_v2(here));
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut second, 1));
        ok!(cuda, cuCtxSetCurrent(second));
        assert_eq!(cuda.charged_mib(), 0);
    });
}
