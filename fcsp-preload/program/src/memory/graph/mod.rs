//! Graphs that allocate: what their allocation nodes may take is charged when a graph is
//! instantiated.
//!
//! The memory of such nodes becomes physical when the executable graph is first launched or uploaded,
//! and the driver then keeps it. A launch cannot say "out of memory" in a way programs expect, so the
//! charge is made where they do expect it, for as long as the executable graph lives, and for all its
//! nodes at once: conservative, because nodes may come to share memory. What the driver keeps beyond
//! that, until it is trimmed, it tells ([`charge`]); it is charged too, and trimmed before anything is
//! refused. A program that never makes such a node pays for none of this.

pub mod charge;

use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use fcsp_core::ledger::live::Live;

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver};
use crate::memory::NO_CONTEXT;
use crate::memory::charge::{remember, reserve};
use crate::memory::graph::charge::{Change, settle};

/// True once the process made a node that allocates.
static ANY: AtomicBool = AtomicBool::new(false);

/// A node that allocates was made, or is about to be.
pub fn note_node() {
    // Relaxed: whoever instantiates a graph has ordered that after its nodes.
    ANY.store(true, Ordering::Relaxed);
}

/// Bytes that the allocation nodes of a graph take, by device.
struct Needs(Vec<(&'static Device, u64)>);

impl Needs {
    fn of<D: Driver>(graph: u64) -> Self {
        let mut needs = Self(Vec::new());
        if ANY.load(Ordering::Relaxed) {
            D::allocation_nodes(graph, &mut |ordinal, bytes| {
                // What cannot be limited is not charged.
                if let Some(device) = device::at::<D>(ordinal) {
                    needs.add(device, bytes);
                }
            });
        }
        needs
    }

    fn add(&mut self, device: &'static Device, bytes: u64) {
        match self.0.iter_mut().find(|(it, _)| ptr::eq(*it, device)) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => self.0.push((device, bytes)),
        }
    }

    /// Reserves all or nothing.
    fn reserve<D: Driver>(&self) -> Result<(), CodeOf<D>> {
        for (at, (device, bytes)) in self.0.iter().enumerate() {
            if let Err(refusal) = reserve::<D>(device, *bytes) {
                for (device, bytes) in &self.0[..at] {
                    device.ledger().release(*bytes);
                }
                return Err(refusal);
            }
        }
        Ok(())
    }
}

/// Instantiates `graph` as the driver does, within the quota.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
pub unsafe fn instantiate<D: Driver, T>(
    place: *mut *mut T,
    graph: u64,
    make: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let needs = Needs::of::<D>(graph);
    if let Err(refusal) = needs.reserve::<D>() {
        return refusal;
    }
    let result = make();
    for (device, bytes) in needs.0 {
        if result == D::SUCCESS {
            // It comes to the device with the first launch.
            device.activity.note_lazy();
            settle::<D>(device, &Change::Instantiated(bytes));
            // SAFETY: the driver accepted and filled the pointer.
            let key = unsafe { *place } as u64;
            let kind = NO_CONTEXT;
            remember(device, &device.allocations, key, Live { bytes, kind });
        } else {
            device.ledger().release(bytes);
        }
    }
    result
}

/// Makes a call that destroys the executable graph with that handle.
pub fn destroy<D: Driver>(exec: u64, call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    // Taken out first: once destroyed, its handle may come back for another.
    let taken: Vec<_> = if ANY.load(Ordering::Relaxed) {
        device::attached()
            .filter_map(|device| Some((device, device.allocations.remove(exec)?)))
            .collect()
    } else {
        Vec::new()
    };
    let result = call();
    for (device, live) in taken {
        if result == D::SUCCESS {
            // The driver keeps the memory for other graphs.
            settle::<D>(device, &Change::Destroyed(live.bytes));
            device.ledger().release(live.bytes);
        } else {
            remember(device, &device.allocations, exec, live);
        }
    }
    result
}

/// The driver's answer to a call that makes it give back what no graph needs, on the device with that ordinal.
pub fn trimmed<D: Driver>(ordinal: i32, result: CodeOf<D>) -> CodeOf<D> {
    if result == D::SUCCESS
        && let Some(device) = device::attached_at(ordinal)
    {
        settle::<D>(device, &Change::Trimmed);
    }
    result
}
