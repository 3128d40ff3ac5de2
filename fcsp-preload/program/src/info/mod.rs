//! Questions about a device: the tenant's quota is the whole device, its processes are the only ones, and what it uses
//! is measured by what it may have.

pub mod lists;
pub mod tenant;
pub mod utilization;

use crate::device::Device;
use crate::driver::Driver;
use crate::memory::pool;

/// What the tenant may have and has left, if it has a quota.
pub fn quota_and_free<D: Driver>(device: &Device) -> Option<(u64, u64)> {
    let quota = device.quota_bytes()?;
    if pool::settle::in_use() {
        pool::settle::settle_all::<D>();
    }
    Some((quota, quota.saturating_sub(device.ledger().used_bytes())))
}
