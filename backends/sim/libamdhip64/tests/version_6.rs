//! The simulated `libamdhip64.so.6`, opened as a program opens it: what has another form than in HIP 5.

mod support;

use hip_sys::{
    HIP_STREAM_PER_THREAD, fn_types, hipDeviceAttribute_t, hipDeviceProp_tR0000,
    hipDeviceProp_tR0600, hipError_t, hipMemAllocationProp, hipMemAllocationType,
    hipMemLocationType, hipMemoryType, hipPointerAttribute_t,
};
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use support::libraries;

/// The library, opened.
struct Hip(*mut c_void);

// SAFETY: a handle of dlopen belongs to the process, not to a thread.
unsafe impl Send for Hip {}
// SAFETY: as above.
unsafe impl Sync for Hip {}

impl Hip {
    fn function<F: Copy>(&self, name: &CStr) -> F {
        // SAFETY: an open handle and a NUL-terminated name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "{name:?} is not exported");
        assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
        // SAFETY: both are pointers; the caller names the type generated for this symbol.
        unsafe { std::mem::transmute_copy(&address) }
    }
}

macro_rules! call {
    ($hip:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let name = CString::new(stringify!($name)).expect("no NUL");
        let function: fn_types::$name = $hip.function(&name);
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what hip_runtime_api.h wants of this function.
        unsafe { function($($arg),*) }
    }};
}

macro_rules! ok {
    ($hip:expr, $name:ident($($arg:expr),* $(,)?)) => {
        assert_eq!(call!($hip, $name($($arg),*)), hipError_t::hipSuccess, stringify!($name))
    };
}

/// Opens the library once, on devices of this process's own.
fn hip() -> &'static Hip {
    static HIP: OnceLock<Hip> = OnceLock::new();
    HIP.get_or_init(|| {
        let devices = tempfile::tempdir().expect("a temporary directory").keep();
        let path = libraries().join("libamdhip64.so.6");
        // SAFETY: every test comes here first, and one at a time; nothing reads the environment meanwhile.
        unsafe {
            std::env::set_var("FCSP_SIM_DIR", devices);
            std::env::set_var("FCSP_SIM_AMD_DEVICES", "1");
        }
        let path = CString::new(path.to_str().expect("plain path")).expect("no NUL");
        // SAFETY: a path; the library's initializers are the Rust runtime's.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null());
        Hip(handle)
    })
}

#[test]
fn properties_have_two_layouts_that_agree() {
    let hip = hip();
    let (mut now, mut old) = (
        hipDeviceProp_tR0600::default(),
        hipDeviceProp_tR0000::default(),
    );
    ok!(hip, hipGetDevicePropertiesR0600(&mut now, 0));
    ok!(hip, hipGetDeviceProperties(&mut old, 0));
    assert_eq!(now.name, old.name);
    assert_eq!(now.gcnArchName, old.gcnArchName);
    assert_eq!(now.totalGlobalMem, old.totalGlobalMem);
    assert_eq!(now.multiProcessorCount, old.multiProcessorCount);
    assert_eq!(now.maxThreadsDim, old.maxThreadsDim);
    let mut units = 0;
    let attribute = hipDeviceAttribute_t::hipDeviceAttributeMultiprocessorCount;
    ok!(hip, hipDeviceGetAttribute(&mut units, attribute, 0));
    assert_eq!((units, now.multiProcessorCount), (104, 104));
    let mut version: c_int = 0;
    ok!(hip, hipRuntimeGetVersion(&mut version));
    assert_eq!(version / 10_000_000, 6);
}

#[test]
fn addresses_by_name_follow_the_version_asked_for() {
    let hip = hip();
    let address = |name: &CStr, version| {
        let mut found = null_mut();
        let mut status = hip_sys::hipDriverProcAddressQueryResult(9);
        let code = call!(
            hip,
            hipGetProcAddress(name.as_ptr(), &mut found, version, 0, &mut status)
        );
        (code, found, status.0)
    };
    // SAFETY: an open handle and NUL-terminated names.
    let symbol = |name: &CStr| unsafe { libc::dlsym(hip.0, name.as_ptr()) };
    let good = hipError_t::hipSuccess;
    let asked = c"hipGetDeviceProperties";
    assert_eq!(
        address(asked, 600),
        (good, symbol(c"hipGetDevicePropertiesR0600"), 0)
    );
    assert_eq!(address(asked, 500), (good, symbol(asked), 0));
    assert_eq!(address(c"hipMalloc", 600), (good, symbol(c"hipMalloc"), 0));
    let missing = (hipError_t::hipErrorInvalidValue, null_mut(), 1);
    assert_eq!(address(c"hipNothing", 600), missing);
}

#[test]
fn pointers_that_nobody_knows_are_no_error() {
    let hip = hip();
    let own = 7_u64;
    let mut attributes = hipPointerAttribute_t::default();
    ok!(
        hip,
        hipPointerGetAttributes(&mut attributes, (&raw const own).cast())
    );
    assert_eq!(attributes.type_, hipMemoryType::hipMemoryTypeUnregistered);
    let mut device = null_mut();
    ok!(hip, hipMalloc(&mut device, 4096));
    ok!(hip, hipPointerGetAttributes(&mut attributes, device));
    assert_eq!(attributes.type_, hipMemoryType::hipMemoryTypeDevice);
    assert_eq!(
        (attributes.devicePointer, attributes.hostPointer),
        (device, null_mut())
    );
    ok!(hip, hipFree(device));
}

#[test]
fn host_functions_run_in_the_order_of_their_stream() {
    unsafe extern "C" fn note(data: *mut c_void) {
        // SAFETY: the number below, which outlives the wait.
        unsafe { *data.cast::<u32>() += 1 };
    }
    let hip = hip();
    let mut calls = 0_u32;
    for _ in 0..3 {
        let data = (&raw mut calls).cast();
        ok!(
            hip,
            hipLaunchHostFunc(HIP_STREAM_PER_THREAD, Some(note), data)
        );
    }
    ok!(hip, hipStreamSynchronize(HIP_STREAM_PER_THREAD));
    assert_eq!(calls, 3);
}

#[test]
fn physical_memory_is_described_as_this_release_does() {
    let hip = hip();
    let mut prop = hipMemAllocationProp {
        type_: hipMemAllocationType::hipMemAllocationTypePinned,
        ..hipMemAllocationProp::default()
    };
    prop.location.type_ = hipMemLocationType::hipMemLocationTypeDevice;
    let mut granularity = 0;
    let minimum = hip_sys::hipMemAllocationGranularity_flags(0);
    ok!(
        hip,
        hipMemGetAllocationGranularity(&mut granularity, &prop, minimum)
    );
    let mut handle = null_mut();
    ok!(hip, hipMemCreate(&mut handle, granularity, &prop, 0));
    let mut told = hipMemAllocationProp::default();
    ok!(
        hip,
        hipMemGetAllocationPropertiesFromHandle(&mut told, handle)
    );
    assert_eq!(told.type_, prop.type_);
    assert_eq!(told.location.type_, prop.location.type_);
    ok!(hip, hipMemRelease(handle));
}

#[test]
fn more_than_the_device_has_is_refused() {
    let hip = hip();
    let (mut free, mut total) = (0, 0);
    ok!(hip, hipMemGetInfo(&mut free, &mut total));
    let mut place = null_mut();
    assert_eq!(
        call!(hip, hipMalloc(&mut place, total + 1)),
        hipError_t::hipErrorOutOfMemory
    );
    assert_eq!(
        call!(hip, hipPeekAtLastError()),
        hipError_t::hipErrorOutOfMemory
    );
}

#[test]
fn batches_write_and_wait_for_words() {
    let hip = hip();
    let mut word: *mut c_void = null_mut();
    let signal = hip_sys::hipMallocSignalMemory;
    ok!(hip, hipExtMallocWithFlags(&mut word, 8, signal));
    let entry = |operation: u32, value: u64| {
        let mut entry = hip_sys::hipStreamBatchMemOpParams::default();
        entry.waitValue.operation.0 = operation;
        entry.waitValue.address = word;
        entry.waitValue.__bindgen_anon_1.value64 = value;
        entry
    };
    let mut batch = [entry(2, 5), entry(1, 5)];
    ok!(
        hip,
        hipStreamBatchMemOp(null_mut(), 2, batch.as_mut_ptr(), 0)
    );
    ok!(hip, hipDeviceSynchronize());
    let mut read = 0_u32;
    let to = (&raw mut read).cast();
    ok!(hip, hipMemcpyDtoH(to, word, size_of::<u32>()));
    assert_eq!(read, 5);
    let mut flush = [entry(3, 0)];
    assert_eq!(
        call!(
            hip,
            hipStreamBatchMemOp(null_mut(), 1, flush.as_mut_ptr(), 0)
        ),
        hipError_t::hipErrorNotSupported
    );
    ok!(hip, hipFree(word));
}
