//! What one program can see of another's memory.

use super::gpu::Gpu;
use crate::driver::{Address, Done};
use crate::protocol::Answer;

/// Memory with a pattern in it.
pub(crate) struct Marked {
    address: Address,
}

/// Allocates and writes the pattern.
pub(crate) fn mark(gpu: &Gpu, marked: &mut Option<Marked>, bytes: u64, word: u32) -> Done<Answer> {
    unmark(gpu, marked)?;
    let address = gpu.allocate(bytes)?;
    *marked = Some(Marked { address });
    gpu.driver.fill(address, word, bytes / 4)?;
    gpu.synchronize()?;
    // What cannot be shared cannot leak that way; a handle of nothing opens nothing.
    let text = gpu
        .driver
        .share(address)
        .unwrap_or_default()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    Ok(Answer::default()
        .with_text("address", address.to_string())
        .with_text("handle", text))
}

/// Frees it.
pub(crate) fn unmark(gpu: &Gpu, marked: &mut Option<Marked>) -> Done<Answer> {
    if let Some(marked) = marked.take() {
        gpu.free(marked.address)?;
    }
    Ok(Answer::default())
}

/// Counts the pattern in fresh memory.
pub(crate) fn search(gpu: &Gpu, bytes: u64, word: u32) -> Done<Answer> {
    let address = gpu.allocate(bytes)?;
    let mut words = vec![0_u32; (bytes / 4) as usize];
    let room = words.len() as u64 * 4;
    // SAFETY: that many bytes, and the call returns when the copy is done.
    let copied = unsafe {
        gpu.driver
            .copy_out(words.as_mut_ptr().cast(), address, room, None)
    };
    gpu.free(address)?;
    copied?;
    let found = words.iter().filter(|found| **found == word).count();
    Ok(Answer::default()
        .with("found", found as f64)
        .with("words", words.len() as f64))
}

/// Tries to read what is another's: by its address, and by a handle whose owner has freed the memory.
pub(crate) fn peek(gpu: &Gpu, address: u64, handle: &str, word: u32) -> Done<Answer> {
    let stale: Vec<u8> = handle
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).unwrap_or_default();
            u8::from_str_radix(digits, 16).unwrap_or_default()
        })
        .collect();
    let mut seen = false;
    if let Ok(opened) = gpu.driver.open_shared(&stale) {
        seen = reads(gpu, opened, word);
        gpu.driver.close_shared(opened)?;
    }
    Ok(Answer::default()
        .with("by_address", f64::from(u8::from(reads(gpu, address, word))))
        .with("by_handle", f64::from(u8::from(seen))))
}

/// Whether the pattern can be read there.
fn reads(gpu: &Gpu, address: u64, word: u32) -> bool {
    let mut found = 0_u32;
    let place = (&raw mut found).cast();
    // SAFETY: the host's side is one live word; whether the device's side may be read is what is tested, and a copy that
    // the driver refuses ends nothing.
    let copied = unsafe {
        gpu.driver
            .copy_out(place, address, size_of::<u32>() as u64, None)
    };
    copied.is_ok() && found == word
}
