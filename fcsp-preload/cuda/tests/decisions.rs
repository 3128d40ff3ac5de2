//! Is there a decision for every function a real driver exports?

#[path = "../../decisions.rs"]
mod decisions;

use decisions::{Library, Subject, matches};

const CUDA: Subject = Subject {
    package: "fcsp-preload-cuda",
    directory: env!("CARGO_MANIFEST_DIR"),
    libraries: &[
        Library {
            name: "libcuda",
            exports: &["../../backends/sys/cuda/exports/libcuda-580.159.txt"],
            signatures: "../../backends/sys/cuda/src/generated/cuda_signatures.rs",
        },
        Library {
            name: "libnvidia-ml",
            exports: &["../../backends/sys/cuda/exports/libnvidia-ml-580.159.txt"],
            signatures: "../../backends/sys/cuda/src/generated/nvml_signatures.rs",
        },
    ],
    known_rows: &["cuMemAlloc_v2", "nvmlDeviceGetMemoryInfo"],
};

#[test]
fn every_function_of_the_libraries_has_a_decision() {
    CUDA.check_exports();
}

#[test]
fn every_function_of_the_headers_has_a_decision() {
    CUDA.check_headers();
}

#[test]
fn every_row_names_a_function_that_a_driver_exports() {
    CUDA.check_rows();
}

#[test]
fn nothing_is_left_undone() {
    CUDA.check_gaps(&[]);
}

#[test]
fn the_table_that_is_shown_is_up_to_date() {
    CUDA.check_table();
}

#[test]
fn patterns_match_whole_names() {
    assert!(matches("cuMem*", "cuMemAlloc_v2") && matches("cu*Async*", "cuMemcpyAsync_ptsz"));
    assert!(matches("cuInit", "cuInit") && matches("cuGL*", "cuGL"));
    assert!(!matches("cuMem", "cuMemAlloc_v2") && !matches("cu*Async", "cuMemcpyAsync_ptsz"));
}
