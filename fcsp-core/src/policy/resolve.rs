//! From what everybody asked for to what one tenant gets on one device.
//!
//! The order, strongest first:
//! 1. what the policy file says about the tenant, on this device before on every device;
//! 2. what the environment says, on this device before on every device, the names of FCSP before
//!    the aliases of HAMi-core;
//! 3. what the policy file says about the device, then about everyone;
//! 4. the defaults.
//!
//! For a tenant that the file names, what the file says is a bound: the environment may go below it
//! and not above. What the file leaves open for the tenant is the environment's.

use super::memory::show_bytes;
use super::{
    EnvSettings, Fail, Limits, MemoryMode, Mode, Policy, Pools, Priority, Share, Unheeded,
};
use std::fmt;

/// Limits, and what an operator should know about how they came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The limits.
    pub limits: Limits,
    /// Remarks, for a log.
    pub notes: Vec<Note>,
}

/// A remark about how limits came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The environment asked for more than the policy allows; the policy holds.
    NotRaised {
        /// Which limit.
        limit: &'static str,
        /// What the environment asked for.
        asked: String,
        /// What the policy allows.
        allowed: String,
    },
    /// The policy divides the device, so the environment's division does not count.
    PoolsFromPolicy,
    /// The quota is more than the device has.
    QuotaOverDevice {
        /// The quota.
        quota_bytes: u64,
        /// What the device has.
        total_bytes: u64,
    },
    /// Strict without compute would mean never to run; balanced holds.
    StrictWithoutCompute,
    /// `BUD_ADAPTIVE_SM_MAX_BURST_PCT` is less than what the floor and shared pools give.
    AdaptiveMaxRaised {
        /// What holds.
        least: Share,
    },
    /// A variable without an effect.
    Unheeded(Unheeded),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRaised {
                limit,
                asked,
                allowed,
            } => write!(
                f,
                "the environment asks for {limit} {asked}, the policy allows {allowed}, \
                 and {allowed} holds; ask the operator to change the policy"
            ),
            Self::PoolsFromPolicy => f.write_str(
                "the policy divides the device, so BUD_TENANT_FLOOR_PCT and BUD_SHARED_POOL_PCT \
                 do not count",
            ),
            Self::QuotaOverDevice {
                quota_bytes,
                total_bytes,
            } => write!(
                f,
                "the memory quota of {} is more than the device has ({})",
                show_bytes(*quota_bytes),
                show_bytes(*total_bytes)
            ),
            Self::StrictWithoutCompute => f.write_str(
                "strict mode without a compute limit would mean never to run, so balanced holds; \
                 set BUD_SM_LIMIT",
            ),
            Self::AdaptiveMaxRaised { least } => write!(
                f,
                "BUD_ADAPTIVE_SM_MAX_BURST_PCT is less than the floor and the shared pool together, \
                 so {least} holds; make those pools smaller, or use strict mode"
            ),
            Self::Unheeded(unheeded) => unheeded.fmt(f),
        }
    }
}

/// A device, as far as limits on it depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Limited<'a> {
    /// Its identity, as in [`DeviceInfo::id`](crate::backend::DeviceInfo::id).
    pub id: &'a str,
    /// What the program numbers it.
    pub ordinal: u32,
    /// Device memory, bytes.
    pub total_bytes: u64,
}

/// What `tenant` gets on `device`. Pure.
pub fn resolve(
    tenant: &str,
    device: Limited<'_>,
    policy: Option<&Policy>,
    env: &EnvSettings,
) -> Resolved {
    let ordinal = device.ordinal;
    let ordinal_key = ordinal.to_string();
    let keys = [device.id, ordinal_key.as_str()];
    let named = policy.and_then(|policy| policy.tenant(tenant));
    let mut notes = Vec::new();

    let pools_of_policy = policy.and_then(|policy| policy.pools_of(named, &keys));
    if pools_of_policy.is_some() && (env.floor.is_some() || env.shared.is_some()) {
        notes.push(Note::PoolsFromPolicy);
    }
    let pools = pools_of_policy.unwrap_or_else(|| {
        // `EnvSettings::read` has dropped what does not make a whole.
        Pools::complete(env.floor, env.shared, None).unwrap_or_default()
    });

    let mut bounds = Bounds { notes: &mut notes };
    let entitlement = bounds.lower(
        "compute",
        named.and_then(|named| named.compute_on(&keys)),
        // Zero means that none was given: it must not free a strict tenant of its ceiling.
        env.compute(ordinal).filter(|share| !share.is_zero()),
        |asked, allowed| asked <= allowed,
    );
    let memory = |amount: super::MemoryAmount| {
        Quota(amount.quota_bytes(device.total_bytes).unwrap_or(u64::MAX))
    };
    let quota = bounds.lower(
        "memory",
        named.and_then(|named| named.memory_on(&keys)).map(memory),
        env.memory(ordinal).map(memory),
        |asked, allowed| asked.0 <= allowed.0,
    );
    let burst_max = bounds.lower(
        "burst_max",
        named.and_then(|named| named.burst_max),
        env.burst_max,
        |asked, allowed| asked <= allowed,
    );
    let priority = bounds.lower(
        "priority",
        // Unlike the rest, what the file leaves out is not the environment's: a named tenant is
        // normal unless the operator says otherwise.
        named.map(|named| named.priority.unwrap_or_default()),
        env.priority(),
        |asked, allowed| asked >= allowed,
    );
    let memory_mode = bounds.lower(
        "memory_mode",
        named.and_then(|named| named.memory_mode.or(policy?.memory_mode)),
        env.memory_mode,
        |asked, allowed| *asked == MemoryMode::Hard || asked == allowed,
    );
    let mode = bounds.lower(
        "mode",
        named.and_then(|named| policy?.mode_of(Some(named), &keys)),
        env.mode,
        |asked, allowed| asked.rank() >= allowed.rank(),
    );
    let fail_of_policy = named
        .and_then(|named| named.fail)
        .or(policy.and_then(|p| p.fail));
    // Closed is demanded for everybody, named or not: that is what the word promises.
    let fail = bounds.lower("fail", fail_of_policy, env.fail, |asked, allowed| {
        *asked == Fail::Closed || asked == allowed
    });

    let entitlement = entitlement.unwrap_or(Share::ZERO);
    let mut mode = mode
        .or_else(|| policy?.mode_of(None, &keys))
        .unwrap_or_default();
    if mode == Mode::Strict && entitlement.is_zero() {
        notes.push(Note::StrictWithoutCompute);
        mode = Mode::Balanced;
    }
    let mut burst_max = burst_max.unwrap_or(pools.burst);
    if let Some(most) = env.adaptive_max.filter(|_| mode == Mode::Adaptive) {
        let least = pools.burst.rest();
        if most < least {
            notes.push(Note::AdaptiveMaxRaised { least });
        }
        burst_max = burst_max.min(Share::from_ppm(most.ppm().saturating_sub(least.ppm())));
    }
    notes.extend(env.unheeded.iter().cloned().map(Note::Unheeded));
    let quota_bytes = quota
        .map(|quota| quota.0)
        .filter(|bytes| *bytes != u64::MAX);
    if let Some(quota_bytes) = quota_bytes.filter(|bytes| *bytes > device.total_bytes) {
        notes.push(Note::QuotaOverDevice {
            quota_bytes,
            total_bytes: device.total_bytes,
        });
    }
    let limits = Limits {
        mode,
        entitlement,
        pools,
        burst_max,
        priority: priority.unwrap_or(Priority::Normal),
        low_priority: policy.and_then(|p| p.low_priority).unwrap_or_default(),
        weight: named.and_then(|named| named.weight).unwrap_or_default(),
        quota_bytes,
        memory_mode: memory_mode
            .or(policy.and_then(|p| p.memory_mode))
            .unwrap_or_default(),
        fail: fail.unwrap_or_default(),
        named_in_policy: named.is_some(),
        edition: policy.map(|policy| policy.edition).unwrap_or_default(),
    };
    Resolved { limits, notes }
}

/// A quota in bytes, `u64::MAX` for none, that shows as people read it.
#[derive(Clone, Copy)]
struct Quota(u64);

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => f.write_str("unlimited"),
            bytes => f.write_str(&show_bytes(bytes)),
        }
    }
}

/// Holds what is asked for to what is allowed, and remembers where it had to.
struct Bounds<'a> {
    notes: &'a mut Vec<Note>,
}

impl Bounds<'_> {
    fn lower<T: Copy + fmt::Display>(
        &mut self,
        limit: &'static str,
        allowed: Option<T>,
        asked: Option<T>,
        within: impl FnOnce(&T, &T) -> bool,
    ) -> Option<T> {
        match (allowed, asked) {
            (Some(allowed), Some(asked)) if !within(&asked, &allowed) => {
                self.notes.push(Note::NotRaised {
                    limit,
                    asked: asked.to_string(),
                    allowed: allowed.to_string(),
                });
                Some(allowed)
            }
            (allowed, asked) => asked.or(allowed),
        }
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
