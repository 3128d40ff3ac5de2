//! Which kernels wait for other devices: those of collective libraries, known by their names.
//!
//! Such a kernel runs on every device of a job at once or on none. It is never held back, and nothing
//! is put into its queue in front of it but the end of the segment before, so that no turn waits for
//! it ([`crate::turn`], and "Work that waits for others" in docs/ARCHITECTURE.md). Names are read once and
//! kept by [`crate::kernels`].

/// Kernels whose (mangled) names hold this: all-reduce of vLLM and SGLang, and of PyTorch's symmetric
/// memory.
const PARTS: &[&[u8]] = &[
    b"cross_device_reduce",
    b"_shot_all_reduce_kernel",
    b"multimem_all_reduce_kernel",
];

/// Whether a kernel of that name waits for other devices; `beginnings` are what names of the vendor's own begin with in
/// the source.
pub fn communicates(beginnings: &[&[u8]], name: &[u8]) -> bool {
    let holds = |part: &&[u8]| name.windows(part.len()).any(|window| window == *part);
    let source_name = source_name(name);
    beginnings.iter().any(|it| source_name.starts_with(it)) || PARTS.iter().any(holds)
}

/// A name as it stands in the source, up to its parameters; the name itself if it is not that of a C++
/// function or type in no namespace (Itanium C++ ABI, 5.1.3: `_Z`, the length in decimal, the name). SYCL calls kernels by
/// the names of types (5.1.4.1: `_ZTS`), which may be those of functions within a function (5.1.6: a `Z` for each).
fn source_name(name: &[u8]) -> &[u8] {
    let rest = name.strip_prefix(b"_ZTS").map(|rest| {
        let within = rest.iter().take_while(|byte| **byte == b'Z').count();
        &rest[within..]
    });
    rest.or(name.strip_prefix(b"_Z")).map_or(name, |rest| {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        &rest[digits..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLLECTIVES: &[&[u8]] = &[b"ccl", b"shmem"];

    #[test]
    fn collectives_are_known_by_name() {
        for name in [
            "ccl_AllReduce_Sum_f32",
            "_Z17ccl_AllReduce_f3224cclArgsStorageILm4096EE",
            "shmem_barrier_all",
            "_ZTS17ccl_allreduce_pcieIN4sycl3_V16detail4halfEE",
            "_ZTSZZ15shmem_barrier_xSt10shared_ptrI4commEENKUlRT_E_clES4_E",
            "_ZN4vllm26cross_device_reduce_1stageIfLi2EEEvPNS_8RankDataE",
            "_ZN4c10d24two_shot_all_reduce_kernelIfEEvv",
        ] {
            assert!(communicates(COLLECTIVES, name.as_bytes()), "{name}");
        }
        for name in [
            "fcsp_work",
            "",
            "_Z",
            "_Z9my_cclKerv",
            "_ZTS6my_ccl",
            "_ZTSZ",
            "my_ccl_AllReduce",
            "warpAllReduce",
            "cc",
        ] {
            assert!(!communicates(COLLECTIVES, name.as_bytes()), "{name}");
        }
    }
}
