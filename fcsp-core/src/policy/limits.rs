//! What one tenant may use on one device, and where that stands in the region.
//!
//! Every limit is a word of its own on the tenant's page, and nobody needs two of them to agree:
//! the ledger reads the quota, the arbiter reads the rest. So a change is a plain store per word
//! followed by one step of `limits_epoch`. Readers take no lock; those who change limits of live
//! tenants keep out of each other's way ([`super::live`]).

use super::{Edition, Fail, LowPriority, MemoryMode, Mode, Priority, Share, Weight};
use crate::region::layout::Tenant;
use crate::sync::Ordering::{Relaxed, Release};

/// How the device is divided in balanced mode. The three always add up to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pools {
    /// Each tenant's own, in proportion to its entitlement; lent only while it idles.
    pub floor: Share,
    /// Split among the active tenants in proportion to their entitlements.
    pub shared: Share,
    /// Split likewise, up to each tenant's `burst_max`.
    pub burst: Share,
}

impl Pools {
    /// 20 % floor, 40 % shared, 40 % burst.
    pub const DEFAULT: Self = Self {
        floor: Share::from_percent(20),
        shared: Share::from_percent(40),
        burst: Share::from_percent(40),
    };

    /// Pools of which only some are given, beside the default: [`Pools::override_with`].
    pub fn complete(
        floor: Option<Share>,
        shared: Option<Share>,
        burst: Option<Share>,
    ) -> Result<Self, String> {
        Self::DEFAULT.override_with(floor, shared, burst)
    }

    /// Pools of which only some are given. A missing one is as in `self`, or what is left if that is
    /// less; the last missing one takes all that is left. The error says what is wrong.
    pub fn override_with(
        self,
        floor: Option<Share>,
        shared: Option<Share>,
        burst: Option<Share>,
    ) -> Result<Self, String> {
        let given = [floor, shared, burst];
        let sum_ppm: u32 = given.iter().flatten().map(|share| share.ppm()).sum();
        let whole_ppm = Share::WHOLE.ppm();
        if sum_ppm > whole_ppm || (sum_ppm < whole_ppm && given.iter().all(Option::is_some)) {
            return Err(format!(
                "the pools add up to {}%, not to 100%",
                f64::from(sum_ppm) / 10_000.0
            ));
        }
        let mut left_ppm = whole_ppm - sum_ppm;
        let mut missing = given.iter().filter(|share| share.is_none()).count();
        let mut complete = |share: Option<Share>, default: Share| {
            share.unwrap_or_else(|| {
                missing -= 1;
                let ppm = if missing == 0 {
                    left_ppm
                } else {
                    default.ppm().min(left_ppm)
                };
                left_ppm -= ppm;
                Share::from_ppm(ppm)
            })
        };
        Ok(Self {
            floor: complete(floor, self.floor),
            shared: complete(shared, self.shared),
            burst: complete(burst, self.burst),
        })
    }
}

impl Default for Pools {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What one tenant may use on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How compute is shared.
    pub mode: Mode,
    /// Its part of the device; [`Share::ZERO`] if none was given: it shares what others leave.
    pub entitlement: Share,
    /// Division of the device in balanced mode.
    pub pools: Pools,
    /// Most it may take from the burst pool, as a share of the device.
    pub burst_max: Share,
    /// When it gets its part.
    pub priority: Priority,
    /// What a low priority means.
    pub low_priority: LowPriority,
    /// Its part of what tenants with an entitlement leave, if it has none.
    pub weight: Weight,
    /// Memory quota; `None` if there is none. Zero is a real quota of nothing.
    pub quota_bytes: Option<u64>,
    /// What happens to an allocation over the quota.
    pub memory_mode: MemoryMode,
    /// What happens when FCSP cannot do its work.
    pub fail: Fail,
    /// A policy file names this tenant, so its environment may lower these but not raise them.
    pub named_in_policy: bool,
    /// Which policy file they come from.
    pub edition: Edition,
}

impl Default for Limits {
    /// No entitlement, no quota, balanced.
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            entitlement: Share::ZERO,
            pools: Pools::DEFAULT,
            burst_max: Pools::DEFAULT.burst,
            priority: Priority::default(),
            low_priority: LowPriority::default(),
            weight: Weight::default(),
            quota_bytes: None,
            memory_mode: MemoryMode::default(),
            fail: Fail::default(),
            named_in_policy: false,
            edition: Edition::NONE,
        }
    }
}

/// `quota_bytes` in the region when there is no quota.
const NO_QUOTA: u64 = u64::MAX;

impl Limits {
    /// Writes the limits to the tenant's page and raises `limits_epoch`. The caller rings the
    /// doorbell if the tenant was live before. Never blocks.
    pub fn store(&self, tenant: &Tenant) {
        tenant.mode.store(self.mode.number(), Relaxed);
        tenant
            .entitlement_ppm
            .store(self.entitlement.ppm(), Relaxed);
        let pools = [self.pools.floor, self.pools.shared, self.pools.burst];
        for (word, share) in tenant.pools_ppm.iter().zip(pools) {
            word.store(share.ppm(), Relaxed);
        }
        tenant.burst_max_ppm.store(self.burst_max.ppm(), Relaxed);
        tenant.priority.store(self.priority.number(), Relaxed);
        tenant
            .low_priority
            .store(self.low_priority.number(), Relaxed);
        tenant.weight.store(self.weight.number(), Relaxed);
        tenant
            .quota_bytes
            .store(self.quota_bytes.unwrap_or(NO_QUOTA), Relaxed);
        tenant.memory_mode.store(self.memory_mode.number(), Relaxed);
        tenant.fail.store(self.fail.number(), Relaxed);
        tenant
            .named_in_policy
            .store(u32::from(self.named_in_policy), Relaxed);
        tenant.policy_edition.store(self.edition.number(), Relaxed);
        // Release: publishes the words above to whoever reads the new epoch with Acquire.
        tenant.limits_epoch.fetch_add(1, Release);
    }

    /// Reads the limits from the tenant's page. While somebody changes them, some words may be of
    /// before and others of after.
    pub fn load(tenant: &Tenant) -> Self {
        let pool = |index: usize| Share::from_ppm(tenant.pools_ppm[index].load(Relaxed));
        let quota_bytes = tenant.quota_bytes.load(Relaxed);
        Self {
            mode: Mode::from_number(tenant.mode.load(Relaxed)),
            entitlement: Share::from_ppm(tenant.entitlement_ppm.load(Relaxed)),
            pools: Pools {
                floor: pool(0),
                shared: pool(1),
                burst: pool(2),
            },
            burst_max: Share::from_ppm(tenant.burst_max_ppm.load(Relaxed)),
            priority: Priority::from_number(tenant.priority.load(Relaxed)),
            low_priority: LowPriority::from_number(tenant.low_priority.load(Relaxed)),
            weight: Weight::from_number(tenant.weight.load(Relaxed)),
            quota_bytes: (quota_bytes != NO_QUOTA).then_some(quota_bytes),
            memory_mode: MemoryMode::from_number(tenant.memory_mode.load(Relaxed)),
            fail: Fail::from_number(tenant.fail.load(Relaxed)),
            named_in_policy: tenant.named_in_policy.load(Relaxed) != 0,
            edition: Edition::from_number(tenant.policy_edition.load(Relaxed)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn empty_page() -> Box<Tenant> {
        // SAFETY: a tenant page is made of atomics only, for which zero is a valid value.
        Box::new(unsafe { std::mem::MaybeUninit::zeroed().assume_init() })
    }

    fn percent(percent: u32) -> Option<Share> {
        Some(Share::from_percent(percent))
    }

    #[test]
    fn missing_pools_take_what_is_left() {
        let pools = |floor, shared, burst| {
            let pools = Pools::complete(floor, shared, burst).expect("valid");
            [pools.floor, pools.shared, pools.burst].map(|share| share.ppm() / 10_000)
        };
        assert_eq!(pools(None, None, None), [20, 40, 40]);
        assert_eq!(pools(percent(10), percent(30), None), [10, 30, 60]);
        assert_eq!(pools(percent(100), None, None), [100, 0, 0]);
        assert_eq!(pools(percent(70), None, None), [70, 30, 0]);
        assert_eq!(pools(None, None, percent(50)), [20, 30, 50]);
    }

    #[test]
    fn pools_that_do_not_make_a_whole_are_refused() {
        let error = Pools::complete(percent(60), percent(60), None).expect_err("120 %");
        assert_eq!(error, "the pools add up to 120%, not to 100%");
        assert!(Pools::complete(percent(20), percent(20), percent(20)).is_err());
    }

    #[test]
    fn every_change_raises_the_epoch() {
        let page = empty_page();
        let limits = Limits::default();
        limits.store(&page);
        limits.store(&page);
        assert_eq!(page.limits_epoch.load(Relaxed), 2);
    }

    prop_compose! {
        fn any_pools()(floor in 0_u32..=1_000_000, part in 0_u32..=1_000_000) -> Pools {
            let floor = Share::from_ppm(floor);
            let shared = Share::from_ppm(part.min(floor.rest().ppm()));
            Pools::complete(Some(floor), Some(shared), None).expect("at most the whole")
        }
    }

    prop_compose! {
        fn any_limits()(
            mode in 0_u32..4, entitlement in 0_u32..=1_000_000, pools in any_pools(),
            burst_max in 0_u32..=1_000_000, quota_bytes in proptest::option::of(0..u64::MAX),
            memory_mode in 0_u32..2, fail in 0_u32..2, named_in_policy: bool,
            priority in 0_u32..3, low_priority in 0_u32..2, weight in 1_u32..=Weight::MAX,
            edition: u64,
        ) -> Limits {
            Limits {
                mode: Mode::from_number(mode),
                entitlement: Share::from_ppm(entitlement),
                pools,
                burst_max: Share::from_ppm(burst_max),
                priority: Priority::from_number(priority),
                low_priority: LowPriority::from_number(low_priority),
                weight: Weight::from_number(weight),
                quota_bytes,
                memory_mode: MemoryMode::from_number(memory_mode),
                fail: Fail::from_number(fail),
                named_in_policy,
                edition: Edition::from_number(edition),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_what_is_loaded(limits in any_limits()) {
            let page = empty_page();
            limits.store(&page);
            prop_assert_eq!(Limits::load(&page), limits);
        }

        #[test]
        fn pools_always_make_a_whole(pools in any_pools()) {
            let sum = pools.floor.ppm() + pools.shared.ppm() + pools.burst.ppm();
            prop_assert_eq!(sum, Share::WHOLE.ppm());
        }
    }
}
