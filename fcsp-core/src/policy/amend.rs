//! A policy file that comes to tenants that live already.

use super::{Limits, Policy, Priority};
use crate::backend::DeviceInfo;

impl Policy {
    /// What becomes of the limits of a live tenant when this file is put in force. `ordinal` is the
    /// device's number, for what the file says by number; `None` if it has none here. Pure.
    ///
    /// What the file says about a tenant that it names holds now, also where the tenant's own
    /// environment had asked for less: nobody remembers that. What it leaves open stays. A tenant
    /// that it does not name keeps everything but the division of the device, which is everybody's.
    pub fn amend(
        &self,
        tenant: &str,
        ordinal: Option<u32>,
        device: &DeviceInfo,
        live: Limits,
    ) -> Limits {
        let ordinal_key = ordinal.map(|ordinal| ordinal.to_string());
        let keys: Vec<&str> = [Some(device.id.as_str()), ordinal_key.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let named = self.tenant(tenant);
        let pools = self.pools_of(named, &keys).unwrap_or(live.pools);
        // A tenant without a maximum of its own may take all of the burst pool, whatever its size.
        let burst_max = if live.burst_max == live.pools.burst {
            pools.burst
        } else {
            live.burst_max
        };
        let mut limits = Limits {
            pools,
            burst_max,
            low_priority: self.low_priority.unwrap_or(live.low_priority),
            named_in_policy: named.is_some(),
            // Another file that is put in force once is not the one the tenant goes by.
            edition: if self.edition.same_file(live.edition) {
                self.edition
            } else {
                live.edition
            },
            ..live
        };
        limits.fail = self.fail.unwrap_or(live.fail);
        let Some(named) = named else {
            return limits;
        };
        limits.mode = self.mode_of(Some(named), &keys).unwrap_or(live.mode);
        limits.entitlement = named.compute_on(&keys).unwrap_or(live.entitlement);
        if let Some(memory) = named.memory_on(&keys) {
            limits.quota_bytes = memory.quota_bytes(device.total_bytes);
        }
        limits.burst_max = named.burst_max.unwrap_or(burst_max);
        // Nobody is high by its own environment any more once the file names it.
        let open = if live.named_in_policy {
            live.priority
        } else {
            live.priority.max(Priority::Normal)
        };
        limits.priority = named.priority.unwrap_or(open);
        limits.weight = named.weight.unwrap_or(live.weight);
        limits.memory_mode = named
            .memory_mode
            .or(self.memory_mode)
            .unwrap_or(live.memory_mode);
        limits.fail = named.fail.unwrap_or(limits.fail);
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{SharingMode, Vendor};
    use crate::policy::{MemoryMode, Mode, Share};
    use std::path::Path;

    fn device() -> DeviceInfo {
        DeviceInfo {
            vendor: Vendor::Nvidia,
            id: "GPU-1".into(),
            name: "some".into(),
            total_bytes: 100,
            sharing: SharingMode::Exclusive,
            simulated: true,
        }
    }

    fn policy() -> Policy {
        let text = "[pools]\nfloor = 40\nshared = 30\n\
                    [[tenant]]\nname = \"a\"\ncompute = 25\nmemory = \"50%\"\n\
                    [tenant.device.\"1\"]\ncompute = 10\n";
        Policy::parse(Path::new("p.toml"), text).expect("valid")
    }

    #[test]
    fn a_named_tenant_gets_what_the_file_says_and_keeps_the_rest() {
        let live = Limits {
            mode: Mode::Strict,
            memory_mode: MemoryMode::Soft,
            priority: Priority::High,
            ..Limits::default()
        };
        let amended = policy().amend("a", Some(0), &device(), live);
        assert_eq!(amended.entitlement, Share::from_percent(25));
        assert_eq!(amended.quota_bytes, Some(50));
        assert_eq!(amended.pools.burst, Share::from_percent(30));
        assert_eq!(amended.burst_max, Share::from_percent(30));
        assert_eq!(
            (amended.mode, amended.memory_mode),
            (Mode::Strict, MemoryMode::Soft)
        );
        assert!(amended.named_in_policy);
        assert_eq!(
            amended.priority,
            Priority::Normal,
            "a file that names it bounds it"
        );
        let named = Limits {
            named_in_policy: true,
            ..live
        };
        let amended = policy().amend("a", Some(0), &device(), named);
        assert_eq!(amended.priority, Priority::High, "the operator set it");
        let on_the_other = policy().amend("a", Some(1), &device(), live);
        assert_eq!(on_the_other.entitlement, Share::from_percent(10));
        let unnumbered = policy().amend("a", None, &device(), live);
        assert_eq!(unnumbered.entitlement, Share::from_percent(25));
    }

    #[test]
    fn another_tenant_keeps_all_but_the_division_of_the_device() {
        let live = Limits {
            entitlement: Share::from_percent(70),
            quota_bytes: Some(7),
            burst_max: Share::from_percent(5),
            ..Limits::default()
        };
        let amended = policy().amend("b", Some(0), &device(), live);
        assert_eq!(
            amended,
            Limits {
                pools: amended.pools,
                ..live
            }
        );
        assert_eq!(amended.pools.floor, Share::from_percent(40));
    }
}
