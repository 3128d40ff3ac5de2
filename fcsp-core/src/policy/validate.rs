//! What a policy file must and should be, beyond its syntax.

use super::file::{Policy, TenantPolicy};
use super::memory::show_bytes;
use super::{MemoryAmount, Mode, Share, tenant_name};
use crate::backend::DeviceInfo;
use std::collections::BTreeSet;

/// Something in a policy file that is allowed and may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line it is about, from 1; `None` if it is about the file as a whole.
    pub line: Option<usize>,
    /// What it is.
    pub message: String,
}

/// Checks one tenant against the settings above it and the tenants before it.
pub(super) fn tenant(policy: &Policy, tenant: &TenantPolicy) -> Result<(), String> {
    tenant_name::check(&tenant.name).map_err(|error| error.to_string())?;
    if let Some(first) = policy.tenant(&tenant.name) {
        return Err(format!(
            "tenant {:?} was described before, in line {}; put everything into one [[tenant]]",
            tenant.name, first.line
        ));
    }
    if let (Some(compute), Some(weight)) =
        (tenant.compute.filter(|it| !it.is_zero()), tenant.weight)
    {
        return Err(format!(
            "tenant {:?} has compute {compute} and weight {weight}: a weight divides what tenants \
             with compute leave among those without; remove one of the two",
            tenant.name
        ));
    }
    for device in devices(policy, Some(tenant)) {
        let strict = policy.mode_of(Some(tenant), &[device]) == Some(Mode::Strict);
        if strict && tenant.compute_on(&[device]).is_none_or(Share::is_zero) {
            return Err(format!(
                "tenant {:?} is strict and has no compute{}: it could never run; \
                 give it compute or another mode",
                tenant.name,
                on(device)
            ));
        }
    }
    Ok(())
}

/// Checks that what is promised strictly is there to be given, on every device that is named.
pub(super) fn strict_sums(policy: &Policy) -> Result<(), String> {
    for device in devices(policy, None) {
        let sum_ppm = sum_ppm(policy, device, |mode| mode == Mode::Strict);
        if sum_ppm > u64::from(Share::WHOLE.ppm()) {
            return Err(format!(
                "with this tenant, strict compute adds up to {}%{}; \
                 strict shares are promises and cannot pass 100%",
                percent(sum_ppm),
                on(device)
            ));
        }
    }
    Ok(())
}

impl Policy {
    /// What is allowed and may not be meant. `devices` are those present, for the sums of memory;
    /// without any, only percentages are added up.
    pub fn warnings(&self, devices_present: &[DeviceInfo]) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut whole = |message| {
            warnings.push(Warning {
                line: None,
                message,
            })
        };
        for device in devices(self, None) {
            let sum_ppm = sum_ppm(self, device, |mode| mode != Mode::None);
            if sum_ppm > u64::from(Share::WHOLE.ppm()) {
                whole(format!(
                    "compute adds up to {}%{}: when all are active, balanced tenants get less \
                     than their numbers, in proportion to them",
                    percent(sum_ppm),
                    on(device)
                ));
            }
            let memory_ppm: u64 = self.tenants.iter().map(|t| memory_ppm(t, device)).sum();
            if devices_present.is_empty() && memory_ppm > u64::from(Share::WHOLE.ppm()) {
                whole(format!(
                    "memory adds up to {}%{}: it is oversubscribed, and the device can run out \
                     before a quota does",
                    percent(memory_ppm),
                    on(device)
                ));
            }
        }
        for (ordinal, device) in devices_present.iter().enumerate() {
            let ordinal = ordinal.to_string();
            let keys = [device.id.as_str(), ordinal.as_str()];
            let quotas = self
                .tenants
                .iter()
                .filter_map(|tenant| tenant.memory_on(&keys)?.quota_bytes(device.total_bytes));
            let sum = quotas.fold(0_u64, u64::saturating_add);
            if sum > device.total_bytes {
                whole(format!(
                    "memory adds up to {} on {} ({}), which has {}: it is oversubscribed, and \
                     the device can run out before a quota does",
                    show_bytes(sum),
                    device.id,
                    device.name,
                    show_bytes(device.total_bytes)
                ));
            }
        }
        for tenant in &self.tenants {
            let mut about = |message| {
                warnings.push(Warning {
                    line: Some(tenant.line),
                    message,
                })
            };
            if tenant.memory == Some(MemoryAmount::Bytes(0)) {
                about(format!(
                    "tenant {:?} has a memory quota of 0 and can allocate nothing; \
                     write unlimited for no quota",
                    tenant.name
                ));
            }
        }
        warnings
    }
}

/// Keys of the devices that the file, or one tenant of it, treats on their own; the empty key stands
/// for every other device.
fn devices<'a>(policy: &'a Policy, tenant: Option<&'a TenantPolicy>) -> BTreeSet<&'a str> {
    let of_tenants = policy
        .tenants
        .iter()
        .chain(tenant)
        .flat_map(|t| t.devices.keys());
    std::iter::once("")
        .chain(policy.devices.keys().map(String::as_str))
        .chain(of_tenants.map(String::as_str))
        .collect()
}

/// Sum of the compute, in millionths, of the tenants whose mode on the device is one of `modes`.
fn sum_ppm(policy: &Policy, device: &str, modes: impl Fn(Mode) -> bool) -> u64 {
    policy
        .tenants
        .iter()
        .filter(|tenant| modes(policy.mode_of(Some(tenant), &[device]).unwrap_or_default()))
        .filter_map(|tenant| tenant.compute_on(&[device]))
        .map(|share| u64::from(share.ppm()))
        .sum()
}

fn memory_ppm(tenant: &TenantPolicy, device: &str) -> u64 {
    match tenant.memory_on(&[device]) {
        Some(MemoryAmount::OfDevice(share)) => u64::from(share.ppm()),
        _ => 0,
    }
}

fn percent(ppm: u64) -> f64 {
    ppm as f64 / 10_000.0
}

/// ` on device "x"`, or nothing for every other device.
fn on(device: &str) -> String {
    if device.is_empty() {
        String::new()
    } else {
        format!(" on device {device:?}")
    }
}
