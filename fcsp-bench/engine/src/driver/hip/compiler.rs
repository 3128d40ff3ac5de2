//! The runtime's compiler, hiprtc, which makes code for the device that is current.

use super::super::api::{Status, call, functions, open, text};
use super::super::{Done, Trouble};
use hip_sys::{fn_types, hiprtcResult};
use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

/// Its names, newest first. Older runtimes have it in themselves.
const COMPILERS: [&str; 6] = [
    "libhiprtc.so.7",
    "libhiprtc.so.6",
    "libhiprtc.so.5",
    "libamdhip64.so.7",
    "libamdhip64.so.6",
    "libamdhip64.so.5",
];

/// The kernels, for the compiler.
const SOURCE: &CStr = match CStr::from_bytes_with_nul(
    concat!(include_str!("../../kernels/kernels.cu"), "\0").as_bytes(),
) {
    Ok(text) => text,
    Err(_) => panic!("kernels.cu contains a NUL byte"),
};

functions! { hip_sys:
    create = hiprtcCreateProgram,
    compile = hiprtcCompileProgram,
    code_size = hiprtcGetCodeSize,
    code = hiprtcGetCode,
    log_size = hiprtcGetProgramLogSize,
    log = hiprtcGetProgramLog,
}

/// The kernels for the device that is current.
pub(super) fn compiled() -> Done<Vec<u8>> {
    let names = COMPILERS
        .into_iter()
        .filter(|name| {
            open(&[name]).is_ok_and(|library| {
                // SAFETY: only looked for.
                unsafe { library.get::<fn_types::hiprtcCompileProgram>(b"hiprtcCompileProgram\0") }
                    .is_ok()
            })
        })
        .collect::<Vec<_>>();
    let api = Api::load(&names)
        .map_err(|_| Trouble::lacking("needs the runtime's compiler, hiprtc, which is nowhere"))?;
    let mut program = null_mut();
    let name = c"kernels.cu".as_ptr();
    let mut options = [c"-O3".as_ptr()];
    // SAFETY: live out-parameters, texts that end with a NUL, one option, and room for what sizes were told.
    unsafe {
        let (none, also_none) = (null_mut(), null_mut());
        call!(
            api,
            create(&mut program, SOURCE.as_ptr(), name, 0, none, also_none)
        )?;
        if let Err(trouble) = call!(api, compile(program, 1, options.as_mut_ptr())) {
            let mut bytes = 0;
            call!(api, log_size(program, &mut bytes))?;
            let mut log = vec![0 as c_char; bytes];
            call!(api, log(program, log.as_mut_ptr()))?;
            return Err(Trouble::new(format!("{}: {}", trouble.message, text(&log))));
        }
        let mut bytes = 0;
        call!(api, code_size(program, &mut bytes))?;
        let mut code = vec![0_u8; bytes];
        call!(api, code(program, code.as_mut_ptr().cast()))?;
        Ok(code)
    }
}

impl Status for hiprtcResult {
    fn check(self, name: &str) -> Done<()> {
        match self {
            hiprtcResult::HIPRTC_SUCCESS => Ok(()),
            other => Err(Trouble::new(format!(
                "{name} failed with status {}",
                other.0
            ))),
        }
    }
}
