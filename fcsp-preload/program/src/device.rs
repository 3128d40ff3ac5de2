//! The devices this process uses: found when a context is made, attached to their region, kept for
//! the life of the process.
//!
//! A device is attached once, by whichever thread first makes a context on it (or first asks for
//! something that needs it). From then on handlers find it by two loads. What fails here fails
//! open: the program runs unlimited and the log says why, unless the policy demands otherwise.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;

use fcsp_core::ledger::Ledger;
use fcsp_core::ledger::live::LiveMap;
use fcsp_core::region::Attachment;
use fcsp_core::sched::clock::now_ns;
use fcsp_core::sched::producer::Producer;
use fcsp_gate::Pages;
use fcsp_preload::{fork, log};

use crate::activity::Activity;
use crate::attach;
use crate::driver::{Driver, Undescribed};
use crate::line::LINE;
use crate::memory::graph::charge::GraphCharge;
use crate::memory::pool;
use crate::policy_watch;
use crate::steps::Steps;

/// Most devices one process can use.
pub const DEVICES_MAX: usize = 64;

/// A device this process uses.
pub struct Device {
    /// The driver's ordinal of it in this process.
    pub ordinal: i32,
    /// Vendor's identity of it.
    pub id: String,
    /// The region's slot of this process.
    pub attachment: &'static Attachment,
    /// Turns submissions into segments.
    pub producer: Producer,
    /// The gate page as the device sees it.
    pub pages: Pages,
    /// What the tenant is charged for memory outside this process's allocations: contexts, code.
    pub overhead_bytes: AtomicU64,
    /// What is charged for memory that was freed and may not have left the device yet.
    pub leaving_bytes: AtomicU64,
    /// What is charged for memory of graphs.
    pub graphs: Mutex<GraphCharge>,
    /// Whether the account can be compared with the driver's figure now.
    pub activity: Activity,
    /// Whether there ever was a context, which may have left something behind.
    pub had_context: AtomicBool,
    /// Live allocations by device address or handle, with what each ends with.
    pub allocations: LiveMap,
}

impl Device {
    /// The process's account on this device.
    #[inline]
    pub fn ledger(&self) -> Ledger<'_> {
        self.attachment.ledger()
    }

    /// The tenant's quota; `None` if it has none.
    #[inline]
    pub fn quota_bytes(&self) -> Option<u64> {
        Some(self.ledger().quota_bytes()).filter(|quota| *quota != u64::MAX)
    }

    /// How much a pool may be charged beyond what it has, to be settled later: less than a hundredth of the
    /// quota, and nothing once seven eighths of it are used.
    #[inline]
    pub fn slack_bytes(&self) -> u64 {
        const MOST_BYTES: u64 = 256 << 20;
        let quota_bytes = self.ledger().quota_bytes();
        if self.ledger().free_bytes() < quota_bytes / 8 {
            return 0;
        }
        (quota_bytes / 128).min(MOST_BYTES)
    }
}

static DEVICES: [AtomicPtr<Device>; DEVICES_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; DEVICES_MAX];
/// The attached devices once more, without gaps, for loops; how many there are and the first of them is in the
/// [line](LINE) as well.
static ATTACHED: [AtomicPtr<Device>; DEVICES_MAX] =
    [const { AtomicPtr::new(ptr::null_mut()) }; DEVICES_MAX];

/// Where a process that uses not just one device looks: whether it passes takes more than one word to say.
pub(crate) const fn ask() -> *mut AtomicU32 {
    static NOT_ZERO: AtomicU32 = AtomicU32::new(1);
    (&raw const NOT_ZERO).cast_mut()
}

/// Held while a device is attached. Not a mutex: a fork must be able to clear it in the child.
static ATTACHING: AtomicBool = AtomicBool::new(false);
static WATCHES_FORKS: AtomicBool = AtomicBool::new(false);

/// Stands for "attaching failed, do not try again".
fn failed() -> *mut Device {
    static MARK: u8 = 0;
    ptr::from_ref(&MARK).cast_mut().cast()
}

/// Devices attached so far.
pub fn attached() -> impl Iterator<Item = &'static Device> {
    let count = LINE.attached.load(Ordering::Acquire);
    // SAFETY: the first `count` places hold devices, which live for ever.
    ATTACHED[..count]
        .iter()
        .map(|place| unsafe { &*place.load(Ordering::Relaxed) })
}

/// True if the process uses one device, which lets submissions pass: the fast path of a launch. A process
/// without a device has none to pass to, so its first launch takes the slow path, and one of several asks
/// [`all_pass`] there.
#[inline(always)]
pub fn passes() -> bool {
    // Acquire pairs with the Release in `publish`. SAFETY: a static, or a word of a device's, which live for ever.
    let gated = unsafe { &*LINE.gated.load(Ordering::Acquire) };
    // Relaxed: as in `Producer::gated`.
    gated.load(Ordering::Relaxed) == 0
}

/// True if there are devices and each of them lets submissions pass.
#[inline]
pub fn all_pass() -> bool {
    // Acquire pairs with the Release in `publish`: the places below `count` are filled.
    match LINE.attached.load(Ordering::Acquire) {
        0 => false,
        count => ATTACHED[..count].iter().all(|place| {
            // SAFETY: as in `attached`.
            let device = unsafe { &*place.load(Ordering::Relaxed) };
            !device.producer.gated()
        }),
    }
}

/// True if the process has used one device so far: whatever it does, it does there.
#[inline]
pub fn is_only<D: Driver>() -> bool {
    LINE.attached.load(Ordering::Acquire) == 1 && !D::threads_may_differ()
}

/// The device that is attached, if just one is.
#[inline(always)]
pub fn sole() -> Option<&'static Device> {
    if LINE.attached.load(Ordering::Acquire) != 1 {
        return None;
    }
    // SAFETY: there is one, which lives for ever.
    Some(unsafe { &*LINE.first.load(Ordering::Relaxed) })
}

/// The device that the process uses, if that has been one so far: see [`is_only`].
#[inline(always)]
pub fn only<D: Driver>() -> Option<&'static Device> {
    sole().filter(|_| !D::threads_may_differ())
}

/// The device of the calling thread's current context; attaches it if it is new. `None` if there is
/// no context, or the device could not be attached.
#[inline]
pub fn current<D: Driver>() -> Option<&'static Device> {
    // One device used so far is the usual case, and contexts on others are attached as they are made.
    match only::<D>() {
        Some(device) => Some(device),
        None => current_of_several::<D>(),
    }
}

#[inline(never)]
fn current_of_several<D: Driver>() -> Option<&'static Device> {
    at::<D>(D::current_ordinal()?)
}

/// The device with that ordinal; attaches it if it is new.
pub fn at<D: Driver>(ordinal: i32) -> Option<&'static Device> {
    let place = DEVICES.get(usize::try_from(ordinal).ok()?)?;
    let device = place.load(Ordering::Acquire);
    if device.is_null() {
        return attach::<D>(ordinal).ok();
    }
    // SAFETY: neither null nor the mark, so a device, which lives for ever.
    (device != failed()).then(|| unsafe { &*device })
}

/// The device with that ordinal, if it is attached.
pub fn attached_at(ordinal: i32) -> Option<&'static Device> {
    attached().find(|device| device.ordinal == ordinal)
}

/// The attached device with that identity.
pub fn by_id(id: &str) -> Option<&'static Device> {
    attached().find(|device| device.id == id)
}

/// Why a device is not attached.
#[derive(Debug)]
pub enum Unattached {
    /// The driver has no such device, or not yet. Whatever the program wants of it the driver refuses,
    /// and the next call tries again.
    Absent,
    /// It cannot be limited, now and for as long as the process lives.
    Unlimited,
}

/// Attaches the device a context is being made on.
///
/// # Errors
/// If it cannot be attached.
pub fn attach<D: Driver>(ordinal: i32) -> Result<&'static Device, Unattached> {
    let place = usize::try_from(ordinal)
        .ok()
        .and_then(|at| DEVICES.get(at))
        .ok_or(Unattached::Absent)?;
    fork::check();
    let _attaching = Attaching::enter();
    let device = place.load(Ordering::Acquire);
    if device == failed() {
        return Err(Unattached::Unlimited);
    }
    if !device.is_null() {
        // SAFETY: neither null nor the mark, so a device, which lives for ever.
        return Ok(unsafe { &*device });
    }
    let began_ns = now_ns();
    let mut steps = Steps::begin();
    if !WATCHES_FORKS.swap(true, Ordering::AcqRel) {
        fork::install();
        fork::on_child(forget_all);
    }
    let id = match D::id(ordinal) {
        Err(Undescribed::Absent) => return Err(Unattached::Absent),
        id => id.map_err(|error| error.to_string()),
    };
    steps.done("identity");
    match id.and_then(|id| attach::make::<D>(ordinal, id, &mut steps)) {
        Ok(device) => {
            publish(place, device);
            log::info!(
                "tenant {} on {}, slot {}, attached in {} us",
                device.attachment.tenant().name.read(),
                device.id,
                device.attachment.slot_index().0,
                (now_ns() - began_ns) / 1_000
            );
            log::debug!("attached: {steps}");
            Ok(device)
        }
        Err(error) => {
            log::error!("device {ordinal} runs without limits: {error}");
            place.store(failed(), Ordering::Release);
            Err(Unattached::Unlimited)
        }
    }
}

fn publish(place: &AtomicPtr<Device>, device: &'static Device) {
    let gated = ptr::from_ref(device.producer.gated_word()).cast_mut();
    let ordinal = device.ordinal;
    let device = ptr::from_ref(device).cast_mut();
    let count = LINE.attached.load(Ordering::Relaxed);
    ATTACHED[count].store(device, Ordering::Relaxed);
    if count == 0 {
        // Relaxed: the count below publishes both.
        LINE.first.store(device, Ordering::Relaxed);
        LINE.first_ordinal.store(ordinal, Ordering::Relaxed);
    }
    // Release: what the word is in was made before.
    let word = if count == 0 { gated } else { ask() };
    LINE.gated.store(word, Ordering::Release);
    // Release publishes the place, and the device in it.
    LINE.attached.store(count + 1, Ordering::Release);
    place.store(device, Ordering::Release);
}

/// Held while a device is attached.
struct Attaching;

impl Attaching {
    fn enter() -> Self {
        // Acquire pairs with the Release below: what the last one attached is seen.
        while ATTACHING.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        Self
    }
}

impl Drop for Attaching {
    fn drop(&mut self) {
        ATTACHING.store(false, Ordering::Release);
    }
}

/// In the child of a fork: the parent's slots are not ours, and its observers did not come along.
fn forget_all() {
    let count = LINE.attached.swap(0, Ordering::AcqRel);
    LINE.gated.store(ask(), Ordering::Release);
    for place in &ATTACHED[..count] {
        // SAFETY: as in `attached`.
        let device = unsafe { &*place.swap(ptr::null_mut(), Ordering::AcqRel) };
        device.attachment.abandon_after_fork();
    }
    for place in &DEVICES {
        place.store(ptr::null_mut(), Ordering::Release);
    }
    policy_watch::forget_after_fork();
    pool::table::forget_in_child();
    ATTACHING.store(false, Ordering::Release);
}
