//! Libraries that stand before the driver and do one thing wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What every one of them begins with: functions of the driver are looked up with `dlsym`, so that is where they stand.
const HEAD: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
typedef void *(*finder)(void *, const char *);
static void *find(void *from, const char *name) {
    static finder real;
    if (!real) real = (finder)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return real(from, name);
}
"#;

/// Says that memory ends at `CLAIMED_BYTES`, and enforces nothing.
pub const CLAIMS: &str = r#"
static size_t claimed(void) { return strtoull(getenv("CLAIMED_BYTES"), 0, 10); }
static int info(size_t *left, size_t *total) { *left = *total = claimed(); return 0; }
static int total(size_t *bytes, int device) { (void)device; *bytes = claimed(); return 0; }
void *dlsym(void *from, const char *name) {
    if (!strcmp(name, "cuMemGetInfo_v2")) return info;
    if (!strcmp(name, "cuDeviceTotalMem_v2")) return total;
    return find(from, name);
}
"#;

/// Spends 2 microseconds in every launch.
pub const DELAYS: &str = r#"
typedef int (*launcher)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                        void **);
static launcher real_launch;
static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}
static int launch(void *f, unsigned a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned g, unsigned bytes,
                  void *stream, void **arguments, void **extra) {
    long until = now() + 2000;
    while (now() < until) {}
    return real_launch(f, a, b, c, d, e, g, bytes, stream, arguments, extra);
}
void *dlsym(void *from, const char *name) {
    if (strcmp(name, "cuLaunchKernel")) return find(from, name);
    real_launch = (launcher)find(from, name);
    return real_launch ? launch : 0;
}
"#;

/// Crashes at the first allocation.
pub const CRASHES: &str = r#"
static int crash(void *place, size_t bytes) { (void)place; (void)bytes; abort(); }
void *dlsym(void *from, const char *name) {
    return strcmp(name, "cuMemAlloc_v2") ? find(from, name) : crash;
}
"#;

/// Never comes back from an allocation.
pub const HANGS: &str = r#"
static int hang(void *place, size_t bytes) { (void)place; (void)bytes; for (;;) pause(); }
void *dlsym(void *from, const char *name) {
    return strcmp(name, "cuMemAlloc_v2") ? find(from, name) : hang;
}
"#;

/// Starts a process in a session of its own with every tenant, which does not end with it.
pub const STRAYS: &str = r#"
__attribute__((constructor)) static void begin(void) {
    if (fork() == 0) {
        setsid();
        for (;;) pause();
    }
}
"#;

/// Compiles one.
pub fn compile(directory: &Path, name: &str, body: &str) -> PathBuf {
    let source = directory.join(format!("{name}.c"));
    let library = directory.join(format!("{name}.so"));
    std::fs::write(&source, format!("{HEAD}{body}")).expect("written");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status()
        .expect("a C compiler");
    assert!(status.success(), "{name} does not compile");
    library
}
