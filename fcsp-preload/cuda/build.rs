//! Gives the library the name and the links that cargo cannot.

fn main() {
    for argument in [
        // Programs and other libraries know it by this name, whatever cargo calls the file.
        "-Wl,-soname,libfcsp-cuda.so",
        // Our own references mean our own functions, whoever else is preloaded before us.
        "-Wl,-Bsymbolic-functions",
    ] {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
