//! Attention, and the steps of a language model.

use super::copies::Lane;
use super::gpu::Gpu;
use super::load;
use crate::driver::{Address, Trouble};
use crate::protocol::Answer;
use fcsp_measure::clock::now_ns;

/// Width of a head, as the kernel has it.
const HEAD_DIM: u64 = 64;
/// Query rows of a block, as the kernel has it.
const BLOCK_ROWS: u32 = 128;
const ONE: u32 = 1.0_f32.to_bits();

/// Passes of attention over `heads` heads of `rows` rows.
///
/// All values are 1, so every result must be 1, whatever the weights are: that shows that the kernel ran, all of it.
pub(crate) fn attention(gpu: &Gpu, heads: u32, rows: u32, count: u32) -> Result<Answer, Trouble> {
    if rows == 0 || !rows.is_multiple_of(BLOCK_ROWS) {
        return Err(Trouble::new(format!("{rows} rows are no multiple of 128")));
    }
    let words = u64::from(heads) * u64::from(rows) * HEAD_DIM;
    let filled = |word: u32| -> Result<Address, Trouble> {
        let address = gpu.allocate(words * 4)?;
        gpu.driver.fill(address, word, words)?;
        Ok(address)
    };
    let tensors = [
        filled(0.5_f32.to_bits())?,
        filled(0.25_f32.to_bits())?,
        filled(ONE)?,
        filled(0)?,
    ];
    let [q, k, v, out] = tensors;
    let kernel = gpu.driver.kernel(c"fcsp_attention")?;
    let arguments = [q.into(), k.into(), v.into(), out.into(), rows.into()];
    let mut pass_us = Vec::with_capacity(count as usize);
    for pass in 0..=count {
        let began_ns = now_ns();
        gpu.launch(
            kernel,
            gpu.queue,
            [rows / BLOCK_ROWS, heads],
            BLOCK_ROWS,
            &arguments,
        )?;
        gpu.wait(gpu.queue)?;
        // The first one loads the code.
        if pass > 0 {
            pass_us.push((now_ns() - began_ns) as f64 / 1e3);
        }
    }
    let mut found = vec![0_f32; (words as usize).min(1 << 20)];
    let bytes = found.len() as u64 * 4;
    // SAFETY: the tensor has at least that many bytes, and so has the buffer; the call returns when the copy is done.
    unsafe {
        gpu.driver
            .copy_out(found.as_mut_ptr().cast(), out, bytes, None)
    }?;
    // A simulated device computes nothing.
    let wrong = if gpu.simulated {
        0
    } else {
        found.iter().filter(|x| (*x - 1.0).abs() > 1e-3).count()
    };
    for tensor in tensors {
        gpu.free(tensor)?;
    }
    let operations = 4.0 * f64::from(heads) * f64::from(rows).powi(2) * HEAD_DIM as f64;
    let tflops = pass_us.iter().map(|us| operations / us / 1e6).collect();
    Ok(Answer::default()
        .with_all("pass_us", pass_us)
        .with_all("tflops", tflops)
        .with("wrong", wrong as f64))
}

/// A prefill takes as long as so many tokens' kernels.
const PREFILL_TOKENS: u32 = 8;

/// A prefill of long kernels, then token after token: many short kernels, then the copy that sampling needs.
pub(crate) fn decode(
    gpu: &Gpu,
    kernels: u32,
    us: f64,
    tokens: u32,
    graph: bool,
) -> Result<Answer, Trouble> {
    let iters = gpu.iters(us)?;
    let prefill_iters = gpu.iters(us * f64::from(PREFILL_TOKENS))?;
    let step = match graph {
        true => Some(load::capture(gpu, kernels, us)?),
        false => None,
    };
    let lane = Lane::open(gpu, 4096, true)?;
    let began_ns = now_ns();
    for _ in 0..kernels {
        gpu.launch_work(gpu.queue, gpu.wave_blocks, prefill_iters, 0)?;
    }
    lane.copy(gpu, false)?;
    let first_us = (now_ns() - began_ns) as f64 / 1e3;
    let mut token_us = Vec::with_capacity(tokens as usize);
    for _ in 0..tokens {
        let began_ns = now_ns();
        match step {
            Some(step) => gpu.driver.launch_graph(step, gpu.queue)?,
            None => {
                for _ in 0..kernels {
                    gpu.launch_work(gpu.queue, gpu.wave_blocks, iters, 0)?;
                }
            }
        }
        lane.copy(gpu, false)?;
        token_us.push((now_ns() - began_ns) as f64 / 1e3);
    }
    lane.close(gpu)?;
    if let Some(step) = step {
        gpu.driver.end_graph(step)?;
    }
    Ok(Answer::default()
        .with("first_us", first_us)
        .with_all("token_us", token_us))
}
