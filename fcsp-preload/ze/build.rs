//! Gives the library the name and the links that cargo cannot.

#[path = "../link.rs"]
mod link;

fn main() {
    println!("cargo:rerun-if-changed=../link.rs");
    link::preload_library("libfcsp-ze.so");
}
