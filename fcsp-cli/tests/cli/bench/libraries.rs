//! Metrics that need a library of the vendor's or a second device, with libraries that stand for the vendor's: they have its
//! functions, and copy or fill instead of computing.

use super::preloads::compile;
use super::{alone, metric, reason, report_of};
use crate::node::stderr;

/// What both begin with: functions of the driver, which are looked up when the library is first used.
const DRIVER: &str = r#"
typedef unsigned long long address;
static int (*copy)(address, address, size_t, void *);
static int (*fill)(address, unsigned char, size_t, void *);
static int find_driver(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    copy = (int (*)(address, address, size_t, void *))dlsym(driver, "cuMemcpyDtoDAsync_v2");
    fill = (int (*)(address, unsigned char, size_t, void *))dlsym(driver, "cuMemsetD8Async");
    return !copy || !fill;
}
"#;

const NCCL: &str = r#"
int ncclCommInitAll(void **comms, int count, const int *devices) {
    for (int i = 0; i < count; ++i) comms[i] = (void *)(devices + i);
    return find_driver();
}
int ncclGroupStart(void) { return 0; }
int ncclGroupEnd(void) { return 0; }
int ncclAllReduce(address from, address to, size_t count, int type, int op, void *comm, void *stream) {
    return type != 7 || op != 0 || !comm || copy(to, from, count * 4, stream);
}
int ncclAllGather(address from, address to, size_t count, int type, void *comm, void *stream) {
    return type != 7 || !comm || copy(to, from, count * 4, stream);
}
int ncclBroadcast(address from, address to, size_t count, int type, int root, void *comm, void *stream) {
    return type != 7 || root != 0 || !comm || copy(to, from, count * 4, stream);
}
int ncclSend(address from, size_t count, int type, int peer, void *comm, void *stream) {
    return !from || !count || type != 7 || peer != 1 || !comm || !stream;
}
int ncclRecv(address to, size_t count, int type, int peer, void *comm, void *stream) {
    return type != 7 || peer != 0 || !comm || fill(to, 1, count * 4, stream);
}
"#;

const CUBLAS: &str = r#"
static void *used;
int cublasCreate_v2(void **handle) { *handle = &used; return find_driver(); }
int cublasSetStream_v2(void *handle, void *stream) { used = stream; return handle != &used; }
int cublasGemmEx(void *handle, int ta, int tb, int m, int n, int k, const float *alpha, address a, int a_type, int lda,
                 address b, int b_type, int ldb, const float *beta, address c, int c_type, int ldc, int compute, int algo) {
    if (handle != &used || ta || tb || *alpha != 1 || *beta != 0 || !a || !b || a_type != b_type || a_type != c_type
        || lda != m || ldb != k || ldc != m || compute != 68 || algo != -1) return 1;
    return fill(c, 0, (size_t)m * n * (a_type == 2 ? 2 : 4), used);
}
"#;

/// All that need a clock or a cache that kernels can see, or a library.
const IDS: [&str; 11] = [
    "LLM-008",
    "LLM-010",
    "NCCL-001",
    "NCCL-002",
    "NCCL-003",
    "NCCL-004",
    "CACHE-001",
    "CACHE-002",
    "CACHE-003",
    "CACHE-004",
    "SCHED-001",
];

#[test]
fn what_needs_libraries_or_two_devices_is_measured_where_they_are() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = |name: &str, body: &str| {
        compile(directory.path(), name, &format!("{DRIVER}{body}"))
            .display()
            .to_string()
    };
    let (nccl, cublas) = (library("nccl", NCCL), library("cublas", CUBLAS));
    let (output, report) = report_of(
        directory.path(),
        &[
            "--system",
            "fcsp-strict",
            "--nccl",
            &nccl,
            "--cublas",
            &cublas,
            "--only",
            &IDS.join(","),
        ],
        &[("FCSP_SIM_DEVICES", "2")],
    );
    assert_eq!(report["gpu"]["count"], 2);
    for system in ["native", "fcsp-strict"] {
        for id in IDS {
            assert_eq!(
                metric(&report, system, id)["success"],
                true,
                "{id} of {system}: {:?}: {}",
                reason(&report, system, id),
                stderr(&output)
            );
        }
    }
    let value = |id| {
        metric(&report, "native", id)["value"]
            .as_f64()
            .expect("a number")
    };
    // Half the bytes of single precision.
    assert!(
        (1.2..6.0).contains(&value("LLM-008")),
        "{}",
        value("LLM-008")
    );
    // The simulated cache is each process's own.
    assert_eq!((value("CACHE-001"), value("CACHE-002")), (100.0, 0.0));
    // The simulated device takes 233 us to preempt a program.
    let gap = value("SCHED-001");
    assert!((100.0..500.0).contains(&gap), "{gap} us");
}

#[test]
fn what_is_lacking_is_named_and_no_file_that_is_not_there_is_taken() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "empty", "int nothing;\n");
    let library = library.display().to_string();
    let (_, report) = report_of(
        directory.path(),
        &[
            "--system",
            "native",
            "--nccl",
            &library,
            "--only",
            "NCCL-001,LLM-008",
        ],
        &[("FCSP_SIM_DEVICES", "2")],
    );
    let (state, why) = reason(&report, "native", "NCCL-001");
    assert!(
        state == "failed" && why.contains("NCCL lacks a function"),
        "{state} {why}"
    );
    let (state, why) = reason(&report, "native", "LLM-008");
    assert!(
        state == "not_run" && why.contains("runs no code of cuBLAS"),
        "{state} {why}"
    );
    let output = super::bench(&["--simulated", "--nccl", "/nowhere/libnccl.so.2"])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--nccl"), "{}", stderr(&output));
}
