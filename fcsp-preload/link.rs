// How a preload library is linked. Included by the build scripts of the libraries; not part of any crate.

/// C library functions whose symbol version moved after glibc 2.17, and which `src/old_glibc.rs` binds to the old one.
pub const OLD_GLIBC: &[&str] = &[
    "_dl_find_object",
    "fstat",
    "fstat64",
    "fstatat",
    "fstatat64",
    "gettid",
    "lstat",
    "lstat64",
    "pthread_attr_getguardsize",
    "pthread_attr_getstack",
    "pthread_attr_setstacksize",
    "pthread_create",
    "pthread_detach",
    "pthread_getattr_np",
    "pthread_getspecific",
    "pthread_join",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_once",
    "pthread_setname_np",
    "pthread_setspecific",
    "pthread_sigmask",
    "stat",
    "stat64",
];

/// Functions newer than glibc 2.17 that are used where they exist, through weak references. Nothing stands behind these
/// names, so they do not exist, and no newer version is asked for.
const WITHOUT: &[&str] = &[
    "__cxa_thread_atexit_impl",
    "__pthread_key_create",
    "getrandom",
    "statx",
];

/// Prints the instructions that make cargo link a cdylib as a preload library.
#[allow(dead_code)]
pub fn preload_library(soname: &str) {
    let mut arguments = vec![
        // Programs and other libraries know it by this name, whatever cargo calls the file.
        format!("-Wl,-soname,{soname}"),
        // Our own references mean our own functions, whoever else is preloaded before us.
        "-Wl,-Bsymbolic-functions".into(),
        // Other threads may be inside a wrapper when somebody closes the library.
        "-Wl,-z,nodelete".into(),
        // Before glibc 2.34 threads and the dynamic linker had libraries of their own, which programs may not load.
        "-Wl,--push-state,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,--pop-state".into(),
    ];
    arguments.extend(
        OLD_GLIBC
            .iter()
            .chain(WITHOUT)
            .map(|name| format!("-Wl,--wrap={name}")),
    );
    for argument in arguments {
        println!("cargo:rustc-cdylib-link-arg={argument}");
    }
    // The unwinder comes with us: a container without a compiler has no libgcc_s.
    if let Some(directory) = unwinder_directory() {
        println!("cargo:rustc-link-search=native={directory}");
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
    println!("cargo:rerun-if-changed=build.rs");
}

/// Where the compiler keeps its static unwinder; none where the toolchain has another one.
fn unwinder_directory() -> Option<String> {
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = std::process::Command::new(cc)
        .arg("-print-file-name=libgcc_eh.a")
        .output()
        .ok()?;
    let file = String::from_utf8(output.stdout).ok()?;
    let directory = std::path::Path::new(file.trim()).parent()?;
    directory
        .is_absolute()
        .then(|| directory.display().to_string())
}
