//! The driver's ABI, called as a program calls it: devices, names, handles, contexts, fork.

#[path = "support/driver.rs"]
mod driver;
mod support;

use cuda_sys::{CUdevice_attribute_enum, CUresult};
use driver::driver;
use std::collections::HashMap;
use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_int;
use std::ffi::c_void;
use std::ptr::dangling_mut;
use std::ptr::null;
use std::ptr::null_mut;

type R = CUresult;

const ATTRIBUTES: &str = include_str!("../oracle/device-attributes.csv");
const ADDRESSES: &str = include_str!("../oracle/cuGetProcAddress.csv");

#[test]
fn devices_answer_like_the_recorded_one() {
    let (cuda, _alone) = driver();
    let mut devices = 0;
    ok!(cuda, cuDeviceGetCount(&mut devices));
    assert_eq!(devices, 2);
    assert_eq!(
        cu!(cuda, cuDeviceGet(&mut 0, 2)),
        R::CUDA_ERROR_INVALID_DEVICE
    );
    assert_eq!(
        cu!(cuda, cuDeviceGet(&mut 0, -1)),
        R::CUDA_ERROR_INVALID_DEVICE
    );
    assert_eq!(
        cu!(cuda, cuDeviceGet(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    let mut name = [0; 64];
    ok!(cuda, cuDeviceGetName(name.as_mut_ptr(), 64, 0));
    // SAFETY: ended by the driver.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) }
        .to_str()
        .expect("text");
    assert!(name.contains("simulated"), "{name}");
    let mut version = 0;
    ok!(cuda, cuDriverGetVersion(&mut version));
    assert_eq!(version, 13000);
    // The PCI address is the device's own, MPS a matter of the environment.
    let own = [33, 34, 50, 133];
    for line in ATTRIBUTES.lines().skip(1) {
        let row: Vec<c_int> = line
            .split(',')
            .map(|n| n.parse().expect("a number"))
            .collect();
        if own.contains(&row[0]) {
            continue;
        }
        let mut value = 0;
        let attribute = CUdevice_attribute_enum(row[0] as u32);
        let code = cu!(cuda, cuDeviceGetAttribute(&mut value, attribute, 0));
        assert_eq!(
            (code.0 as c_int, value),
            (row[1], row[2]),
            "attribute {}",
            row[0]
        );
    }
    let (mut a, mut b) = (cuda_sys::CUuuid::default(), cuda_sys::CUuuid::default());
    ok!(cuda, cuDeviceGetUuid_v2(&mut a, 0));
    ok!(cuda, cuDeviceGetUuid_v2(&mut b, 1));
    assert_ne!(a.bytes, b.bytes);
}

#[test]
fn procedure_addresses_are_the_recorded_ones() {
    let (cuda, _alone) = driver();
    let real: HashMap<&str, *mut c_void> = ADDRESSES
        .lines()
        .skip(1)
        .flat_map(|line| line.rsplit(',').next().unwrap_or("").split('|'))
        .map(|symbol| (symbol, cuda.symbol(symbol)))
        .collect();
    let mut checked = 0;
    for line in ADDRESSES.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let name = CString::new(fields[0]).expect("no NUL");
        let (flags, version) = (
            fields[1].parse().expect("flags"),
            fields[2].parse().expect("version"),
        );
        let (mut address, mut status) = (
            dangling_mut::<c_void>(),
            cuda_sys::CUdriverProcAddressQueryResult(9),
        );
        ok!(
            cuda,
            cuGetProcAddress_v2(name.as_ptr(), &mut address, version, flags, &mut status)
        );
        let symbol = fields[4].split('|').next().unwrap_or("");
        let wanted = real.get(symbol).copied().unwrap_or(null_mut());
        match fields[3] {
            "0/0" => {
                assert_eq!(address, wanted, "{line}");
                assert_eq!(status.0, u32::from(wanted.is_null()), "{line}");
            }
            answer => {
                assert!(address.is_null(), "{line}");
                assert_eq!(format!("0/{}", status.0), answer, "{line}");
            }
        }
        checked += 1;
    }
    assert!(checked > 2900);
    let mut address = null_mut();
    let missing = cu!(
        cuda,
        cuGetProcAddress(c"cuNothing".as_ptr(), &mut address, 12000, 0)
    );
    assert_eq!(missing, R::CUDA_ERROR_NOT_FOUND);
    let null_status = null_mut();
    let code = cu!(
        cuda,
        cuGetProcAddress_v2(null(), &mut address, 12000, 0, null_status)
    );
    assert_eq!(code, R::CUDA_ERROR_INVALID_VALUE);
}

#[test]
fn null_and_unknown_handles_are_refused() {
    let (cuda, _alone) = driver();
    for odd in [0x10_usize, 0x1234, 0x7fff_ffff_fff2, usize::MAX] {
        let handle = odd as *mut c_void;
        assert_eq!(
            cu!(cuda, cuStreamSynchronize(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuStreamDestroy_v2(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuEventQuery(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuEventDestroy_v2(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuModuleUnload(handle.cast())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuGraphLaunch(handle.cast(), null_mut())),
            R::CUDA_ERROR_INVALID_HANDLE
        );
        assert_eq!(
            cu!(cuda, cuCtxSetCurrent(handle.cast())),
            R::CUDA_ERROR_INVALID_CONTEXT
        );
        assert_eq!(
            cu!(cuda, cuMemFree_v2(odd as u64)),
            R::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            cu!(cuda, cuMemRelease(odd as u64)),
            R::CUDA_ERROR_INVALID_VALUE
        );
        assert_eq!(
            cuda.work(handle.cast(), 1, 0, null_mut()),
            R::CUDA_ERROR_INVALID_HANDLE
        );
    }
    assert_eq!(
        cu!(cuda, cuStreamCreate(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuStreamCreate(&mut null_mut(), 8)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuEventCreate(null_mut(), 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(null_mut(), 1)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuMemAlloc_v2(&mut 0, 0)),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert_eq!(
        cu!(cuda, cuModuleLoadData(&mut null_mut(), null())),
        R::CUDA_ERROR_INVALID_VALUE
    );
    ok!(cuda, cuMemGetInfo_v2(null_mut(), null_mut()));
    let binary = *b"\x7fELF\x02\x01\x01\0";
    let code = cu!(
        cuda,
        cuModuleLoadData(&mut null_mut(), binary.as_ptr().cast())
    );
    assert_eq!(code, R::CUDA_ERROR_NO_BINARY_FOR_GPU);
    let nonsense = c"not PTX";
    let code = cu!(
        cuda,
        cuModuleLoadData(&mut null_mut(), nonsense.as_ptr().cast())
    );
    assert_eq!(code, R::CUDA_ERROR_INVALID_PTX);
    let mut text = null();
    assert_eq!(
        cu!(
            cuda,
            cuGetErrorName(cuda_sys::cudaError_enum(31_337), &mut text)
        ),
        R::CUDA_ERROR_INVALID_VALUE
    );
    assert!(text.is_null());
    ok!(cuda, cuGetErrorName(R::CUDA_ERROR_OUT_OF_MEMORY, &mut text));
    // SAFETY: a text of the driver's.
    assert_eq!(unsafe { CStr::from_ptr(text) }, c"CUDA_ERROR_OUT_OF_MEMORY");
}

#[test]
fn contexts_take_and_give_back_their_overhead() {
    let (cuda, _alone) = driver();
    let (mut before, mut during, mut after) = (0, 0, 0);
    ok!(cuda, cuMemGetInfo_v2(&mut before, null_mut()));
    let mut context = null_mut();
    ok!(cuda, cuCtxCreate_v4(&mut context, null_mut(), 0, 0));
    let mut left_behind = 0;
    ok!(cuda, cuMemAlloc_v2(&mut left_behind, 32 << 20));
    ok!(cuda, cuMemGetInfo_v2(&mut during, null_mut()));
    assert_eq!(before - during, (518 + 32) << 20);
    ok!(cuda, cuCtxDestroy_v2(context));
    ok!(cuda, cuMemGetInfo_v2(&mut after, null_mut()));
    assert_eq!(before, after);
    assert_eq!(
        cu!(cuda, cuCtxDestroy_v2(context)),
        R::CUDA_ERROR_INVALID_CONTEXT
    );
}

#[test]
fn a_forked_child_cannot_use_the_driver() {
    let (cuda, _alone) = driver();
    // SAFETY: the child only calls the driver, which refuses at once, and leaves.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let init = cu!(cuda, cuInit(0));
        let alloc = cu!(cuda, cuMemAlloc_v2(&mut 0, 1));
        let refused = [init, alloc]
            .iter()
            .all(|code| *code == R::CUDA_ERROR_NOT_INITIALIZED);
        // SAFETY: leaves without running what belongs to the parent.
        unsafe { libc::_exit(c_int::from(!refused)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child just made.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0);
    ok!(cuda, cuCtxSynchronize());
}
