//! What a kernel's time counts as, by its name: attention, matrix products, or moving memory. What is in none of the lists
//! is the rest. Names are read once and kept by [`crate::kernels`].
//!
//! The lists are of what the libraries call their kernels as of 2026, mangled or not: cuBLAS, cuDNN, CUTLASS, FlashAttention,
//! FlashInfer, PyTorch, Triton's tutorials, vLLM, and rocBLAS's Tensile.

use fcsp_core::sched::class::Class;

/// What names of a class hold, in lower case; the first list that has a part of the name decides.
const PARTS: &[(Class, &[&[u8]])] = &[
    (
        Class::Attention,
        &[
            b"attention",
            b"attn",
            b"flash_fwd",
            b"flash_bwd",
            b"flash_fprop",
            b"flash_bprop",
            b"fmha",
            b"sdpa",
            b"pagedkv",
        ],
    ),
    (
        Class::FeedForward,
        &[
            b"gemm",
            b"gemv",
            b"matmul",
            b"nvjet",
            b"xmma",
            b"splitkreduce",
            b"cijk_",
            b"fused_moe",
        ],
    ),
    (
        Class::Copy,
        &[b"memcpy", b"memset", b"copy", b"fill", b"transpose"],
    ),
];

/// Longest name that is read; template arguments say nothing of use after that.
const NAME_MAX: usize = 512;

/// The class of kernels of that name.
pub fn class(name: &[u8]) -> Class {
    let name = &name[..name.len().min(NAME_MAX)];
    let holds = |part: &&[u8]| {
        name.windows(part.len())
            .any(|window| window.eq_ignore_ascii_case(part))
    };
    PARTS
        .iter()
        .find(|(_, parts)| parts.iter().any(holds))
        .map_or(Class::Other, |(class, _)| *class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_classed_by_name() {
        for (name, expected) in [
            (
                "_ZN13pytorch_flash16flash_fwd_kernelI23Flash_fwd_kernel_traits",
                Class::Attention,
            ),
            ("fmha_cutlassF_bf16_aligned_64x64_rf_sm80", Class::Attention),
            (
                "_ZN4vllm25paged_attention_v1_kernelIttLi64EEEvPT_",
                Class::Attention,
            ),
            ("_attn_fwd", Class::Attention),
            (
                "cudnn_generated_fort_native_sdpa_sm90_flash_fprop_wgmma_f16",
                Class::Attention,
            ),
            (
                "ampere_bf16_s16816gemm_bf16_128x64_ldg8_f2f_stages_64x3_tn",
                Class::FeedForward,
            ),
            ("nvjet_hsh_128x256_64x4_2x1_v_bz_TNT", Class::FeedForward),
            ("sm80_xmma_gemm_f32f32_tf32f32_f32_tn_n", Class::FeedForward),
            (
                "Cijk_Alik_Bljk_HHS_BH_MT128x128x32_MI32x32x8x1",
                Class::FeedForward,
            ),
            ("matmul_kernel", Class::FeedForward),
            (
                "_ZN2at6native40CatArrayBatchedCopy_aligned16_contig",
                Class::Copy,
            ),
            (
                "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_11FillFunctor",
                Class::Copy,
            ),
            (
                "_ZN2at6native29vectorized_elementwise_kernelILi4ENS0_15CUDAFunctor_add",
                Class::Other,
            ),
            ("triton_poi_fused_gelu_0", Class::Other),
            ("fcsp_work", Class::Other),
            ("", Class::Other),
        ] {
            assert_eq!(class(name.as_bytes()), expected, "{name}");
        }
    }
}
