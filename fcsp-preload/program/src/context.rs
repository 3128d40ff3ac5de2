//! The life of contexts: where a device is attached, and what ends with them.
//!
//! Which contexts there are, and what was allocated in each, is the vendor's to keep; here is what happens when one is
//! made or gone.

use core::ptr;
use core::sync::atomic::Ordering;

use fcsp_preload::log;

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver};
use crate::memory::charge::sweep;
use crate::memory::pool::settle;
use crate::steps::Steps;
use crate::{attach, kernels, usage};

/// Attaches the device before a context is made on it. An error where the program must not go on.
pub fn admit<D: Driver>(ordinal: i32) -> Option<CodeOf<D>> {
    let attached = device::attach::<D>(ordinal);
    if matches!(attached, Err(device::Unattached::Unlimited)) && attach::fails_closed() {
        log::error!(
            "device {ordinal} is refused: it cannot be limited, and the policy says fail = \"closed\""
        );
        return Some(D::NOT_PERMITTED);
    }
    None
}

/// Makes a context on a device: attaches it, charges what a context takes unless it `exists`, and settles.
pub fn make<D: Driver>(
    ordinal: i32,
    exists: bool,
    steps: &mut Steps,
    create: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    if let Some(refusal) = admit::<D>(ordinal) {
        return refusal;
    }
    steps.done("attached");
    let Some(device) = device::at::<D>(ordinal).filter(|_| !exists) else {
        return create();
    };
    if !usage::reserve_context::<D>(device) {
        return D::OUT_OF_MEMORY;
    }
    steps.done("charged");
    let result = create();
    steps.done("by the driver");
    if result == D::SUCCESS {
        usage::changed(device);
    } else {
        usage::release_context::<D>(device);
    }
    result
}

/// There is a context on `device`, and it was made just now unless it `exists`.
pub fn made<D: Driver>(device: &Device, exists: bool) {
    // Nothing outlived the context before the first.
    if device.had_context.swap(true, Ordering::AcqRel) && !exists {
        settle::learn::<D>(device);
    }
}

/// A context is gone, and with it everything the process had in flight on `device`; on every device,
/// if it is not known which. `was_charged` if the context was known.
pub fn gone<D: Driver>(device: Option<&'static Device>, was_charged: bool) {
    // Its code went with it.
    kernels::forget();
    for device in device::attached().filter(|it| device.is_none_or(|one| ptr::eq(*it, one))) {
        device.producer.reset();
        device.pages.forget();
        if was_charged {
            usage::release_context::<D>(device);
        }
        if !D::has_context(device.ordinal) {
            without_context(device);
        }
        usage::changed(device);
    }
    if !device::attached().any(|device| D::has_context(device.ordinal)) {
        // Contexts of other devices have allocated from pools of some that never had one.
        device::attached().for_each(without_context);
    }
    // What the context had may have left pools that go on; those of devices without one are forgotten.
    settle::settle_all::<D>();
}

/// A device has no context left: what was allocated in contexts we did not know, or from pools, is gone.
fn without_context(device: &Device) {
    sweep(device, |_| true);
    settle::forget(device);
    device.activity.forget_lazy();
}
