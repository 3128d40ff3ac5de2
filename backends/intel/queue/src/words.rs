//! A driver's ways with words in memory, and the proof that they are what they seem: [`Words`].

use core::ffi::{CStr, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fcsp_core::region::layout::PAGE_BYTES;
use fcsp_gate::Handle;
use level_zero_sys::intel::{
    ZEX_MEM_ACTION_SCOPE_FLAG_HOST, ZEX_WAIT_ON_MEMORY_FLAG_GREATER_THAN_EQUAL,
    zex_wait_on_mem_desc_t, zex_write_to_mem_desc_t, zexCommandListAppendWaitOnMemory,
    zexCommandListAppendWriteToMemory, zexDriverImportExternalPointer,
    zexDriverReleaseImportedPointer,
};
use level_zero_sys::{
    fn_types, ze_command_list_handle_t, ze_command_queue_desc_t, ze_command_queue_mode_t,
    ze_driver_handle_t, ze_result_t, ze_structure_type_t,
};

use crate::functions::Functions;
use crate::parts::succeeded;
use crate::target::Target;

/// How long a device may take to write a word when it is tried, and how often the host looks meanwhile.
const TRIAL: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_micros(20);
/// What is written then, all 64 bits of it.
const TRIAL_WORD: u64 = 0x5afe_c0de;

const UNTRIED: u8 = 0;
const WORKS: u8 = 1;
const FAILS: u8 = 2;

/// How queues of one driver wait for words in memory and write them.
#[derive(Debug)]
pub struct Words {
    driver: u64,
    wait: zexCommandListAppendWaitOnMemory,
    write: zexCommandListAppendWriteToMemory,
    import: zexDriverImportExternalPointer,
    release: zexDriverReleaseImportedPointer,
    tried: AtomicU8,
}

impl Words {
    /// What a driver has, if it has all of it.
    ///
    /// # Safety
    ///
    /// `ask` is the driver's own function, and `driver` its handle, not a loader's.
    pub unsafe fn find(
        ask: fn_types::zeDriverGetExtensionFunctionAddress,
        driver: ze_driver_handle_t,
    ) -> Option<Self> {
        let find = |name: &CStr| {
            let mut found = ptr::null_mut::<c_void>();
            // SAFETY: a C string, and a place for an address.
            succeeded(unsafe { ask(driver, name.as_ptr(), &mut found) })?;
            (!found.is_null()).then_some(found)
        };
        let wait = find(c"zexCommandListAppendWaitOnMemory")?;
        let write = find(c"zexCommandListAppendWriteToMemory")?;
        let import = find(c"zexDriverImportExternalPointer")?;
        let release = find(c"zexDriverReleaseImportedPointer")?;
        // SAFETY: what has these names has these types (`level_zero_sys::intel`).
        unsafe {
            Some(Self {
                driver: driver.number(),
                wait: core::mem::transmute::<*mut c_void, zexCommandListAppendWaitOnMemory>(wait),
                write: core::mem::transmute::<*mut c_void, zexCommandListAppendWriteToMemory>(
                    write,
                ),
                import: core::mem::transmute::<*mut c_void, zexDriverImportExternalPointer>(import),
                release: core::mem::transmute::<*mut c_void, zexDriverReleaseImportedPointer>(
                    release,
                ),
                tried: AtomicU8::new(UNTRIED),
            })
        }
    }

    /// Makes memory of the host known to the driver.
    ///
    /// # Safety
    ///
    /// It stays mapped until it is released, or for ever.
    pub(crate) unsafe fn import(&self, address: *mut c_void, bytes: usize) -> ze_result_t {
        // SAFETY: by the caller's contract.
        unsafe { (self.import)(Handle::from_number(self.driver), address, bytes) }
    }

    /// Appends a wait for a word to be at least `value`, both without a sign.
    ///
    /// # Safety
    ///
    /// The word is in memory that was imported.
    pub(crate) unsafe fn append_wait(
        &self,
        list: ze_command_list_handle_t,
        address: u64,
        value: u32,
    ) -> Option<()> {
        let mut desc = zex_wait_on_mem_desc_t {
            actionFlag: ZEX_WAIT_ON_MEMORY_FLAG_GREATER_THAN_EQUAL,
            waitScope: ZEX_MEM_ACTION_SCOPE_FLAG_HOST,
        };
        let word = Handle::from_number(address);
        // SAFETY: by the caller's contract.
        succeeded(unsafe { (self.wait)(list, &mut desc, word, value, ptr::null_mut()) })
    }

    /// Appends a write of `value` to a word, and of zero to the 32 bits behind it.
    ///
    /// # Safety
    ///
    /// Both are in memory that was imported.
    pub(crate) unsafe fn append_write(
        &self,
        list: ze_command_list_handle_t,
        address: u64,
        value: u32,
    ) -> Option<()> {
        let mut desc = zex_write_to_mem_desc_t {
            writeScope: ZEX_MEM_ACTION_SCOPE_FLAG_HOST,
        };
        let word = Handle::from_number(address);
        // SAFETY: by the caller's contract.
        succeeded(unsafe { (self.write)(list, &mut desc, word, value.into()) })
    }

    /// Whether a device writes where the host sees it. Tried once, on a queue of our own; takes some microseconds then, and
    /// some milliseconds if it fails.
    pub fn work(&self, functions: &impl Functions, target: &Target) -> bool {
        match self.tried.load(Ordering::Relaxed) {
            WORKS => true,
            FAILS => false,
            _ => {
                let works = self.try_out(functions, target).is_some();
                // Relaxed: whoever does not see it tries again.
                self.tried
                    .store(if works { WORKS } else { FAILS }, Ordering::Relaxed);
                works
            }
        }
    }

    #[cold]
    fn try_out(&self, functions: &impl Functions, target: &Target) -> Option<()> {
        let page = SharedPage::new()?;
        // SAFETY: mapped until it is released below.
        succeeded(unsafe { self.import(page.0.cast(), PAGE_BYTES) })?;
        let written = self.write_by_device(functions, target, &page);
        // SAFETY: what was imported above. A driver that keeps it keeps pages of the kernel's, not addresses.
        let _kept_by_the_driver =
            unsafe { (self.release)(Handle::from_number(self.driver), page.0.cast()) };
        if written.is_none() {
            // The device may still come to write.
            core::mem::forget(page);
        }
        written
    }

    fn write_by_device(
        &self,
        functions: &impl Functions,
        target: &Target,
        page: &SharedPage,
    ) -> Option<()> {
        let desc = ze_command_queue_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
            ordinal: target.group,
            mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS,
            ..Default::default()
        };
        let create = functions.zeCommandListCreateImmediate()?;
        let mut list = ptr::null_mut();
        // SAFETY: the program's context and device; a list of ours, and a word of the page.
        unsafe {
            succeeded(create(target.context(), target.device(), &desc, &mut list))?;
            let appended = self.append_write(list, page.0.addr() as u64, TRIAL_WORD as u32);
            let seen = appended.filter(|()| page.comes_to(TRIAL_WORD));
            let _left_to_the_context = functions.zeCommandListDestroy().map(|it| it(list));
            seen
        }
    }
}

/// A page that is mapped as those of a region are.
struct SharedPage(*mut AtomicU64);

impl SharedPage {
    fn new() -> Option<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        (page != libc::MAP_FAILED).then_some(Self(page.cast()))
    }
}

impl SharedPage {
    fn comes_to(&self, value: u64) -> bool {
        let began = Instant::now();
        loop {
            // SAFETY: mapped while `self` lives. Acquire pairs with the device's write.
            if unsafe { &*self.0 }.load(Ordering::Acquire) == value {
                return true;
            }
            if began.elapsed() > TRIAL {
                return false;
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for SharedPage {
    fn drop(&mut self) {
        // SAFETY: mapped above, and in use by nobody.
        unsafe { libc::munmap(self.0.cast(), PAGE_BYTES) };
    }
}
