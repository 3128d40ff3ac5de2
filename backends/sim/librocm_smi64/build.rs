//! Gives the simulated management library its real name and keeps it loaded.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for arg in [
        "-Wl,-soname,librocm_smi64.so.1",
        // The library's own references stay its own when a preload library exports the same names.
        "-Wl,-Bsymbolic",
        // Callers keep pointers into it.
        "-Wl,-z,nodelete",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
}
