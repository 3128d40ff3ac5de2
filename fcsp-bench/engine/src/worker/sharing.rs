//! What one program can see of another's memory.

use super::gpu::Gpu;
use crate::driver::{Trouble, call};
use crate::protocol::Answer;
use cuda_sys::{CUdeviceptr, CUipcMemHandle};

/// Memory with a pattern in it.
pub(crate) struct Marked {
    address: CUdeviceptr,
}

/// Allocates and writes the pattern.
pub(crate) fn mark(
    gpu: &Gpu,
    marked: &mut Option<Marked>,
    bytes: u64,
    word: u32,
) -> Result<Answer, Trouble> {
    unmark(gpu, marked)?;
    let address = gpu.allocate(bytes)?;
    *marked = Some(Marked { address });
    // SAFETY: allocated above, of that size.
    unsafe { call!(gpu.api, fill_words(address, word, (bytes / 4) as usize)) }?;
    gpu.synchronize()?;
    let mut handle = CUipcMemHandle::default();
    // SAFETY: a live out-parameter, memory allocated above.
    let shared = unsafe { call!(gpu.api, ipc_get(&mut handle, address)) };
    // What cannot be shared cannot leak that way; a handle of zeros opens nothing.
    if shared.is_err() {
        handle = CUipcMemHandle::default();
    }
    let text = handle
        .reserved
        .iter()
        .map(|byte| format!("{:02x}", *byte as u8))
        .collect::<String>();
    Ok(Answer::default()
        .with_text("address", address.to_string())
        .with_text("handle", text))
}

/// Frees it.
pub(crate) fn unmark(gpu: &Gpu, marked: &mut Option<Marked>) -> Result<Answer, Trouble> {
    if let Some(marked) = marked.take() {
        gpu.free(marked.address)?;
    }
    Ok(Answer::default())
}

/// Counts the pattern in fresh memory.
pub(crate) fn search(gpu: &Gpu, bytes: u64, word: u32) -> Result<Answer, Trouble> {
    let address = gpu.allocate(bytes)?;
    let mut words = vec![0_u32; (bytes / 4) as usize];
    // SAFETY: both have that many words.
    let copied = unsafe {
        call!(
            gpu.api,
            copy_to_host(words.as_mut_ptr().cast(), address, words.len() * 4)
        )
    };
    gpu.free(address)?;
    copied?;
    let found = words.iter().filter(|found| **found == word).count();
    Ok(Answer::default()
        .with("found", found as f64)
        .with("words", words.len() as f64))
}

/// Tries to read what is another's: by its address, and by a handle whose owner has freed the memory.
pub(crate) fn peek(gpu: &Gpu, address: u64, handle: &str, word: u32) -> Result<Answer, Trouble> {
    let mut stale = CUipcMemHandle::default();
    for (place, pair) in stale.reserved.iter_mut().zip(handle.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(pair).unwrap_or_default();
        *place = u8::from_str_radix(digits, 16).unwrap_or_default() as _;
    }
    let mut opened = 0;
    // SAFETY: a live out-parameter; a handle is data. 1 is CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS, the only flag there is.
    let by_handle = unsafe { call!(gpu.api, ipc_open(&mut opened, stale, 1)) };
    let mut seen = false;
    if by_handle.is_ok() {
        seen = reads(gpu, opened, word);
        // SAFETY: opened above.
        unsafe { call!(gpu.api, ipc_close(opened)) }?;
    }
    Ok(Answer::default()
        .with("by_address", f64::from(u8::from(reads(gpu, address, word))))
        .with("by_handle", f64::from(u8::from(seen))))
}

/// Whether the pattern can be read there.
fn reads(gpu: &Gpu, address: u64, word: u32) -> bool {
    let mut found = 0_u32;
    let mut copy = || -> Result<(), Trouble> {
        // SAFETY: the host's side is one live word; whether the device's side may be read is what is tested, and a copy that
        // the driver refuses ends nothing.
        unsafe {
            call!(
                gpu.api,
                copy_to_host((&raw mut found).cast(), address, size_of::<u32>())
            )
        }
    };
    copy().is_ok() && found == word
}
