//! Gives the simulated driver its real name and keeps it loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for arg in [
        "-Wl,-soname,libze_intel_gpu.so.1",
        "-Wl,-Bsymbolic",
        // Its worker thread must not lose its code to dlclose.
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
}
