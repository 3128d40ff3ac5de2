//! Is there a decision for every function the real libraries export, in all their versions?

#[path = "../../decisions.rs"]
mod decisions;

use decisions::{Library, Subject, matches};

const HIP: Subject = Subject {
    package: "fcsp-preload-hip",
    directory: env!("CARGO_MANIFEST_DIR"),
    libraries: &[
        Library {
            name: "libamdhip64",
            exports: &[
                "../../backends/sys/hip/exports/libamdhip64-5.2.3.txt",
                "../../backends/sys/hip/exports/libamdhip64-5.7.1.txt",
                "../../backends/sys/hip/exports/libamdhip64-6.4.3.txt",
                "../../backends/sys/hip/exports/libamdhip64-7.2.4.txt",
            ],
            signatures: "../../backends/sys/hip/src/generated/hip_signatures.rs",
        },
        Library {
            name: "librocm_smi64",
            exports: &[
                "../../backends/sys/rocm-smi/exports/librocm_smi64-5.2.3.txt",
                "../../backends/sys/rocm-smi/exports/librocm_smi64-6.4.1.txt",
            ],
            signatures: "../../backends/sys/rocm-smi/src/generated/rocm_smi_signatures.rs",
        },
        Library {
            name: "libamd_smi",
            exports: &["../../backends/sys/rocm-smi/exports/libamd_smi-10.1.txt"],
            signatures: "../../backends/sys/rocm-smi/src/generated/amd_smi_signatures.rs",
        },
    ],
    known_rows: &[
        "hipMalloc",
        "rsmi_dev_memory_total_get",
        "amdsmi_get_gpu_vram_usage",
    ],
};

/// What is not handled yet. The reasons are in the files.
const GAPS: &[&str] = &[];

#[test]
fn every_function_of_the_libraries_has_a_decision() {
    HIP.check_exports();
}

#[test]
fn every_function_of_the_headers_has_a_decision() {
    HIP.check_headers();
}

#[test]
fn every_row_names_a_function_that_a_library_exports() {
    HIP.check_rows();
}

#[test]
fn what_is_left_undone_is_known() {
    HIP.check_gaps(GAPS);
}

#[test]
fn the_table_that_is_shown_is_up_to_date() {
    HIP.check_table();
}

#[test]
fn patterns_match_whole_names() {
    assert!(matches("hipMem*", "hipMemcpy_spt") && !matches("hipMem", "hipMemcpy_spt"));
}
