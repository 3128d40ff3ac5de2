//! Lets a library that was built on a new system load in an old container.
//!
//! The dynamic linker refuses a library that asks for a symbol version the container's C library does not have, and a
//! link on a new system always asks for the newest. The functions below have not changed, only moved (threads went from
//! libpthread into libc in glibc 2.32 to 2.34) or were inline functions over an exported one (`stat64`). The libraries'
//! build scripts (`link.rs`) send every use of them, the standard library's included, to these jumps, which name the old
//! version. `cargo xtask build` refuses a preload library that still asks for more than glibc 2.17.
//!
//! A few newer functions are used only where they exist, by weak reference, but the reference alone would bring the
//! newer version in. `link.rs` renames those references, so that they find nothing and their users take the way they
//! take on an old system.

use core::ffi::{c_int, c_void};
use core::ops::ControlFlow;
use core::ptr;

use crate::elf;

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    ($($to:literal),+) => {
        concat!("jmp ", $($to,)+ "@PLT")
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    ($($to:literal),+) => {
        concat!("b ", $($to),+)
    };
}

/// A function in a section of its own, so that an unused one vanishes, reached through the linker's `--wrap`.
macro_rules! wrap {
    ($name:literal, $($line:expr),+) => {
        core::arch::global_asm!(
            concat!(".section .text.__wrap_", $name, ",\"ax\",@progbits"),
            concat!(".globl __wrap_", $name),
            concat!(".hidden __wrap_", $name),
            concat!(".type __wrap_", $name, ",@function"),
            concat!("__wrap_", $name, ":"),
            $($line,)+
            ".text",
        );
    };
}

/// A function that moved: the same one by its old version.
macro_rules! moved {
    ($($name:literal since $version:literal),+ $(,)?) => {
        $( wrap!(
            $name,
            concat!(".symver __fcsp_old_", $name, ",", $name, "@", $version),
            jump!("__fcsp_old_", $name)
        ); )+
    };
}

#[cfg(target_arch = "x86_64")]
moved! {
    "pthread_attr_getguardsize" since "GLIBC_2.2.5",
    "pthread_attr_getstack" since "GLIBC_2.2.5",
    "pthread_attr_setstacksize" since "GLIBC_2.2.5",
    "pthread_create" since "GLIBC_2.2.5",
    "pthread_detach" since "GLIBC_2.2.5",
    "pthread_getattr_np" since "GLIBC_2.2.5",
    "pthread_getspecific" since "GLIBC_2.2.5",
    "pthread_join" since "GLIBC_2.2.5",
    "pthread_key_create" since "GLIBC_2.2.5",
    "pthread_key_delete" since "GLIBC_2.2.5",
    "pthread_once" since "GLIBC_2.2.5",
    "pthread_setname_np" since "GLIBC_2.12",
    "pthread_setspecific" since "GLIBC_2.2.5",
    "pthread_sigmask" since "GLIBC_2.2.5",
}

#[cfg(target_arch = "aarch64")]
moved! {
    "pthread_attr_getguardsize" since "GLIBC_2.17",
    "pthread_attr_getstack" since "GLIBC_2.17",
    "pthread_attr_setstacksize" since "GLIBC_2.17",
    "pthread_create" since "GLIBC_2.17",
    "pthread_detach" since "GLIBC_2.17",
    "pthread_getattr_np" since "GLIBC_2.17",
    "pthread_getspecific" since "GLIBC_2.17",
    "pthread_join" since "GLIBC_2.17",
    "pthread_key_create" since "GLIBC_2.17",
    "pthread_key_delete" since "GLIBC_2.17",
    "pthread_once" since "GLIBC_2.17",
    "pthread_setname_np" since "GLIBC_2.17",
    "pthread_setspecific" since "GLIBC_2.17",
    "pthread_sigmask" since "GLIBC_2.17",
}

// The stat functions take the version of their structure as an additional first argument in the exported form:
// `_STAT_VER` in <bits/stat.h> of glibc before 2.33, 1 on x86-64 and 0 on AArch64.
#[cfg(target_arch = "x86_64")]
macro_rules! stat {
    ($name:literal is $exported:literal of path) => {
        wrap!(
            $name,
            "mov rdx, rsi",
            "mov rsi, rdi",
            "mov edi, 1",
            jump!($exported)
        );
    };
    ($name:literal is $exported:literal of descriptor) => {
        wrap!(
            $name,
            "mov rdx, rsi",
            "mov esi, edi",
            "mov edi, 1",
            jump!($exported)
        );
    };
    ($name:literal is $exported:literal of descriptor and path) => {
        wrap!(
            $name,
            "mov r8d, ecx",
            "mov rcx, rdx",
            "mov rdx, rsi",
            "mov esi, edi",
            "mov edi, 1",
            jump!($exported)
        );
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! stat {
    ($name:literal is $exported:literal of path) => {
        wrap!(
            $name,
            "mov x2, x1",
            "mov x1, x0",
            "mov w0, #0",
            jump!($exported)
        );
    };
    ($name:literal is $exported:literal of descriptor) => {
        wrap!(
            $name,
            "mov x2, x1",
            "mov w1, w0",
            "mov w0, #0",
            jump!($exported)
        );
    };
    ($name:literal is $exported:literal of descriptor and path) => {
        wrap!(
            $name,
            "mov w4, w3",
            "mov x3, x2",
            "mov x2, x1",
            "mov w1, w0",
            "mov w0, #0",
            jump!($exported)
        );
    };
}

stat!("stat" is "__xstat" of path);
stat!("stat64" is "__xstat64" of path);
stat!("lstat" is "__lxstat" of path);
stat!("lstat64" is "__lxstat64" of path);
stat!("fstat" is "__fxstat" of descriptor);
stat!("fstat64" is "__fxstat64" of descriptor);
stat!("fstatat" is "__fxstatat" of descriptor and path);
stat!("fstatat64" is "__fxstatat64" of descriptor and path);

// A system call since Linux 2.4.11, a function since glibc 2.30.
#[cfg(target_arch = "x86_64")]
wrap!("gettid", "mov eax, 186", "syscall", "ret");
#[cfg(target_arch = "aarch64")]
wrap!("gettid", "mov x8, #178", "svc #0", "ret");

/// `struct dl_find_object` of <dlfcn.h> since glibc 2.35, on targets without a base register for data.
#[repr(C)]
#[derive(Clone, Copy)]
struct FoundObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

/// `_dl_find_object` for the unwinder that is linked into the library: which object holds a code address, and where are
/// its unwind tables? Used when a panic unwinds, and never else.
unsafe extern "C" fn find_object(address: *mut c_void, result: *mut FoundObject) -> c_int {
    let found = elf::visit(|object| match object.contains(address) {
        true => ControlFlow::Break(object.unwind_table()),
        false => ControlFlow::Continue(()),
    });
    let Some(Some(eh_frame)) = found else {
        return -1;
    };
    let found = FoundObject {
        flags: 0,
        map_start: ptr::null_mut(),
        map_end: ptr::null_mut(),
        link_map: ptr::null_mut(),
        eh_frame,
        reserved: [0; 7],
    };
    // SAFETY: the unwinder passes a place for the answer, of which it reads the table's address.
    unsafe { result.write(found) };
    0
}

core::arch::global_asm!(
    ".section .text.__wrap__dl_find_object,\"ax\",@progbits",
    ".globl __wrap__dl_find_object",
    ".hidden __wrap__dl_find_object",
    ".type __wrap__dl_find_object,@function",
    "__wrap__dl_find_object:",
    jump!("{find}"),
    ".text",
    find = sym find_object,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwind_tables_are_found_by_code_address() {
        let mut found = core::mem::MaybeUninit::<FoundObject>::zeroed();
        let code = unwind_tables_are_found_by_code_address as *mut c_void;
        // SAFETY: a place for the answer.
        assert_eq!(unsafe { find_object(code, found.as_mut_ptr()) }, 0);
        // SAFETY: written by the call above.
        let table = unsafe { found.assume_init() }.eh_frame.cast::<u8>();
        // SAFETY: the table begins with its version, which has always been 1.
        assert_eq!(unsafe { table.read() }, 1);
        let nowhere = ptr::without_provenance_mut(16);
        // SAFETY: a place for the answer.
        assert_eq!(unsafe { find_object(nowhere, found.as_mut_ptr()) }, -1);
    }

    mod link {
        include!("../link.rs");
    }

    #[test]
    fn everything_the_linker_is_told_to_send_here_is_here() {
        let source = include_str!("old_glibc.rs");
        for name in link::OLD_GLIBC {
            let count = |text: String| source.matches(&text).count();
            let moved = count(format!("\"{name}\" since"));
            let written_out = count(format!("stat!(\"{name}\" is"))
                + count(format!("\"__wrap_{name}:\""))
                + count(format!("wrap!(\"{name}\", ")) / 2;
            assert!(
                moved == 2 || written_out == 1,
                "{name}: for each architecture"
            );
        }
    }
}
