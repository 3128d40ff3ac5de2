//! The gate page as the device addresses it: [`Pages`].

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fcsp_core::region::layout::{GatePage, PAGE_BYTES};

use crate::driver::{NotMapped, StreamDriver};

/// No device address: the driver does not map the page, and asking costs too much to do it again.
const REFUSED: u64 = u64::MAX;

/// The gate page of one process on one device, pinned when it is first needed. Safe from any thread.
#[derive(Debug)]
pub struct Pages {
    page: &'static GatePage,
    /// Device address of the page; 0 before it is registered, [`REFUSED`] if it cannot be.
    address: AtomicU64,
}

impl Pages {
    /// A page that the device does not know yet.
    pub const fn new(page: &'static GatePage) -> Self {
        Self {
            page,
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
    #[inline]
    pub(crate) fn device_address<D: StreamDriver>(
        &self,
        word: &AtomicU32,
        driver: &D,
        not_mapped: impl FnOnce(D::Code),
    ) -> Option<u64> {
        let start = ptr::from_ref(self.page).addr();
        let offset = ptr::from_ref(word).addr().wrapping_sub(start);
        debug_assert!(offset < PAGE_BYTES, "a word outside the gate page");
        // Acquire pairs with the Release in `register`: the driver has pinned the page.
        let address = match self.address.load(Ordering::Acquire) {
            REFUSED => return None,
            0 => self.register(driver, not_mapped)?,
            address => address,
        };
        Some(address + offset as u64)
    }

    #[cold]
    fn register<D: StreamDriver>(
        &self,
        driver: &D,
        not_mapped: impl FnOnce(D::Code),
    ) -> Option<u64> {
        match driver.map_page(self.page)? {
            Ok(address) => {
                self.address.store(address, Ordering::Release);
                Some(address)
            }
            Err(NotMapped { code, for_now }) => {
                not_mapped(code);
                if !for_now {
                    self.address.store(REFUSED, Ordering::Release);
                }
                None
            }
        }
    }
}
