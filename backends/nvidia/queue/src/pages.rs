//! The gate page as the device addresses it: [`Pages`].

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use cuda_sys::{CU_MEMHOSTREGISTER_DEVICEMAP, CU_MEMHOSTREGISTER_PORTABLE, CUresult};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};

use crate::driver::{Driver, succeeded};

/// No device address: the driver does not map the page, and asking costs too much to do it again.
const REFUSED: u64 = u64::MAX;

/// The gate page of one process on one device, pinned when it is first needed. Safe from any thread.
#[derive(Debug)]
pub struct Pages {
    page: &'static GatePage,
    pub(crate) driver: Driver,
    /// Device address of the page; 0 before it is registered, [`REFUSED`] if it cannot be.
    address: AtomicU64,
}

impl Pages {
    /// A page that the device does not know yet.
    pub fn new(page: &'static GatePage, driver: Driver) -> Self {
        Self {
            page,
            driver,
            address: AtomicU64::new(0),
        }
    }

    /// The context that pinned the page is gone: pin it anew when it is needed.
    pub fn forget(&self) {
        // Release: as in `register`; nothing else is published.
        self.address.store(0, Ordering::Release);
    }

    /// Device address of a word in the page; pins the page the first time. Needs a current context.
    /// `not_mapped` hears the driver's code if it does not map the page.
    pub(crate) fn device_address(
        &self,
        word: &AtomicU32,
        not_mapped: impl FnOnce(CUresult),
    ) -> Option<u64> {
        let start = ptr::from_ref(self.page).addr();
        let offset = ptr::from_ref(word).addr().wrapping_sub(start);
        debug_assert!(offset < PAGE_BYTES, "a word outside the gate page");
        // Acquire pairs with the Release in `register`: the driver has pinned the page.
        let address = match self.address.load(Ordering::Acquire) {
            REFUSED => return None,
            0 => self.register(not_mapped)?,
            address => address,
        };
        Some(address + offset as u64)
    }

    #[cold]
    fn register(&self, not_mapped: impl FnOnce(CUresult)) -> Option<u64> {
        let (register, find) = (self.driver.host_register?, self.driver.host_device_pointer?);
        let host = ptr::from_ref(self.page).cast_mut().cast();
        let flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
        let mut address = 0;
        // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to
        // its contents other than through atomics.
        let registered = unsafe { register(host, PAGE_BYTES, flags) };
        let known = succeeded(registered)
            || registered == CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
        // SAFETY: as above; the driver writes one address.
        let found = known && succeeded(unsafe { find(&mut address, host, 0) });
        if !found {
            not_mapped(registered);
            // Without a context nothing can be registered; with the next it may.
            if registered != CUresult::CUDA_ERROR_INVALID_CONTEXT
                && registered != CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
            {
                self.address.store(REFUSED, Ordering::Release);
            }
            return None;
        }
        self.address.store(address, Ordering::Release);
        Some(address)
    }
}
