//! Links the example preload library the way the real ones are linked.

fn main() {
    // For everything this package links, because cargo has no instruction for examples that are libraries. In programs
    // it changes nothing.
    println!("cargo:rustc-link-arg=-Wl,-Bsymbolic-functions");
    println!("cargo:rerun-if-changed=build.rs");
}
