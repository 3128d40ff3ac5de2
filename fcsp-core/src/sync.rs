//! The only door to atomics.
//!
//! Everything shared between threads or processes takes its atomics from here, so that the models
//! under `--cfg loom` explore the very code that ships. Loom's types are larger than the machine's,
//! so under loom the region is an ordinary allocation and its layout assertions are off.
//!
//! A pair of fences is here too of which one side costs nothing ([`light_fence`]) and the other a system
//! call ([`heavy_fence`]): together they order as two sequentially consistent fences do.

#[cfg(loom)]
pub use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(not(loom))]
pub use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(not(loom))]
pub use machine::{can_fence, heavy_fence, light_fence, prepare_fences};
#[cfg(loom)]
pub use models::{can_fence, heavy_fence, light_fence};

/// A thread, by a number that no other living thread of the process has, nor one that is nearer to it than
/// [`ThreadId::APART`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadId(pub usize);

impl ThreadId {
    /// Least distance between the numbers of two threads.
    pub const APART: usize = 64;

    /// The calling thread: where its control block lies. An instruction; the C library's own way to a
    /// thread-local variable of a library is a call.
    #[cfg(not(loom))]
    #[inline]
    pub fn current() -> Self {
        #[cfg(target_arch = "x86_64")]
        let pointer = {
            let pointer;
            // SAFETY: the first word of a thread's control block is its own address (System V ABI for
            // x86-64, thread-local storage, variant II).
            unsafe {
                core::arch::asm!("mov {}, fs:0", out(reg) pointer, options(pure, readonly, nostack, preserves_flags));
            }
            pointer
        };
        #[cfg(target_arch = "aarch64")]
        let pointer = {
            let pointer;
            // SAFETY: reads the register that points to the thread's control block.
            unsafe {
                core::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(pure, nomem, nostack, preserves_flags));
            }
            pointer
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let pointer = {
            #[repr(align(64))]
            struct Place(u8);
            thread_local! {
                static PLACE: Place = const { Place(0) };
            }
            PLACE.with(|place| core::ptr::from_ref(&place.0).addr())
        };
        Self(pointer)
    }
}

/// Waits a little for another thread, longer once one has looked often.
pub fn nap(looks: u32) {
    #[cfg(loom)]
    {
        let _ = looks;
        loom::thread::yield_now();
    }
    #[cfg(not(loom))]
    if looks < 100 {
        std::hint::spin_loop();
    } else {
        std::thread::sleep(std::time::Duration::from_micros(20));
    }
}

#[cfg(not(loom))]
mod machine {
    use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
    use std::time::Duration;

    static PREPARED: AtomicBool = AtomicBool::new(false);

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call touches no memory of the program.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Tells the kernel that this process is going to use [`heavy_fence`]. May take some milliseconds in a
    /// process with several threads: call it where nobody waits. Linux 4.14 and later; elsewhere, and where
    /// it is forbidden, [`can_fence`] stays false.
    pub fn prepare_fences() {
        PREPARED.store(
            membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED),
            Ordering::Release,
        );
    }

    /// True if [`heavy_fence`] works. It is asked before anything is built on it.
    #[inline]
    pub fn can_fence() -> bool {
        PREPARED.load(Ordering::Acquire)
    }

    /// The side that is passed often: keeps the compiler from moving loads before stores. The processor may,
    /// unless a [`heavy_fence`] comes between.
    #[inline]
    pub fn light_fence() {
        compiler_fence(Ordering::SeqCst);
    }

    /// The side that is passed rarely: every other thread of the process passes a full fence meanwhile. Some
    /// microseconds.
    pub fn heavy_fence() {
        if !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
            // The program has forbidden itself the call since. No processor holds a store back for so long,
            // and what it would not do is never asked for again.
            PREPARED.store(false, Ordering::Release);
            std::thread::sleep(Duration::from_millis(1));
        }
        fence(Ordering::SeqCst);
    }
}

/// In a model both sides are what they stand for.
#[cfg(loom)]
mod models {
    use loom::sync::atomic::{Ordering, fence};

    /// Always.
    pub fn can_fence() -> bool {
        true
    }

    /// A full fence.
    pub fn light_fence() {
        fence(Ordering::SeqCst);
    }

    /// A full fence.
    pub fn heavy_fence() {
        fence(Ordering::SeqCst);
    }
}

/// Tells the processor that this thread is waiting for another.
#[inline]
pub fn spin_hint() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}
