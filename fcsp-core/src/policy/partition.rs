//! How large the partition of a program must be, where partitions are fixed when a program starts.
//!
//! Where programs run together, each runs inside a partition of the device. It cannot grow while the program
//! runs, so it has the size of the tenant's *ceiling*: all it may ever have. What it may have now is the
//! arbiter's to enforce.
//!
//! Some drivers are told how large it is, and place it ([`percent`]); others are told which units of the device it has
//! ([`stretch`]).
//!
//! Asked before the program has a device, so one answer has to serve for all of them: the largest.

use super::{EnvSettings, Limited, Limits, Mode, Policy, Share, Sharing, resolve};
use std::collections::BTreeSet;
use std::ops::Range;

impl Limits {
    /// What the tenant may not pass even if nobody else wants the device: the formula of
    /// [`crate::sched::shares`].
    pub fn ceiling(&self) -> Share {
        match self.mode {
            Mode::Strict => self.entitlement,
            Mode::None => Share::WHOLE,
            Mode::Balanced | Mode::Adaptive => {
                let burst = self.pools.burst.min(self.burst_max);
                let sum = self.pools.floor.ppm() + self.pools.shared.ppm() + burst.ppm();
                Share::from_ppm(sum.min(Share::WHOLE.ppm()))
            }
        }
    }
}

/// Percent of the device, 1 to 99, that the partition of a program of `tenant` must have on whatever
/// device it uses, rounded up; `None` if that is the whole device. A device whose programs take turns
/// needs the whole: a turn on a part of it would be wasted. Pure.
pub fn percent(tenant: &str, policy: Option<&Policy>, env: &EnvSettings) -> Option<u32> {
    let ceilings = devices(policy, env).into_iter().map(|(id, ordinal)| {
        let number = ordinal.to_string();
        let sharing = policy.map(|policy| policy.sharing_on(&[id, &number]));
        if sharing == Some(Sharing::Exclusive) {
            return Share::WHOLE;
        }
        let device = Limited {
            id,
            ordinal,
            // Compute does not depend on it.
            total_bytes: 0,
        };
        resolve(tenant, device, policy, env).limits.ceiling()
    });
    let largest = ceilings.max().unwrap_or(Share::WHOLE);
    let percent = largest.ppm().div_ceil(10_000).max(1);
    (percent < 100).then_some(percent)
}

/// Which percent of the device, from and to, are the tenant's alone, for devices on which a partition names units: those of
/// two tenants must not lie on one another while others' units rest. So the ceilings of all tenants of the policy are laid one
/// after another, in the file's order. `None` if they do not fit, if the tenant is not among them, or if its own environment
/// says something else. Pure.
pub fn stretch(tenant: &str, policy: Option<&Policy>, env: &EnvSettings) -> Option<Range<u32>> {
    let mut from = 0;
    let mut found = None;
    for other in &policy?.tenants {
        let to = from + percent(&other.name, policy, &EnvSettings::default())?;
        if other.name == tenant {
            found = Some(from..to);
        }
        from = to;
    }
    let found = found.filter(|_| from <= 100)?;
    (percent(tenant, policy, env)? as usize == found.len()).then_some(found)
}

/// One device that nobody says anything particular about, and each that somebody does: identity and
/// number, of which one is empty or belongs to no device.
fn devices<'a>(policy: Option<&'a Policy>, env: &EnvSettings) -> BTreeSet<(&'a str, u32)> {
    /// The number of no device.
    const NONE: u32 = u32::MAX;
    let keys = policy.into_iter().flat_map(|policy| {
        let of_tenants = policy.tenants.iter().flat_map(|it| it.devices.keys());
        policy.devices.keys().chain(of_tenants)
    });
    let named = keys.map(|key| match key.parse() {
        Ok(ordinal) => ("", ordinal),
        Err(_) => (key.as_str(), NONE),
    });
    let numbered = env.numbered_for_compute().map(|ordinal| ("", ordinal));
    named.chain(numbered).chain([("", NONE)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Pools;
    use crate::sched::shares::{Promise, shares};
    use proptest::prelude::*;
    use std::path::Path;

    fn env(variables: &[(&str, &str)]) -> EnvSettings {
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let (settings, errors) = EnvSettings::read(variables);
        assert_eq!(errors, []);
        settings
    }

    fn policy(text: &str) -> Policy {
        Policy::parse(Path::new("p.toml"), text).expect("valid")
    }

    #[test]
    fn a_strict_tenant_has_its_entitlement_and_others_what_they_may_borrow() {
        let strict = ("BUD_ISOLATION_MODE", "strict");
        let of = |variables: &[_]| percent("a", None, &env(variables));
        assert_eq!(of(&[]), None);
        assert_eq!(
            of(&[("BUD_SM_LIMIT", "25")]),
            None,
            "balanced borrows everything"
        );
        assert_eq!(of(&[("BUD_SM_LIMIT", "25"), strict]), Some(25));
        assert_eq!(
            of(&[("BUD_SM_LIMIT", "12.5"), strict]),
            Some(13),
            "never too small"
        );
        assert_eq!(of(&[("BUD_SM_LIMIT", "0.1%"), strict]), Some(1));
        assert_eq!(of(&[("BUD_SM_LIMIT", "100"), strict]), None);
        assert_eq!(of(&[("BUD_BURST_MAX_PCT", "0")]), Some(60));
        assert_eq!(
            of(&[("BUD_BURST_MAX_PCT", "0"), ("BUD_ISOLATION_MODE", "none")]),
            None
        );
    }

    #[test]
    fn the_device_on_which_it_may_have_most_decides() {
        let text = "[[tenant]]\nname = \"a\"\nmode = \"strict\"\ncompute = 20\n\
                    [tenant.device.\"1\"]\ncompute = 40\n[tenant.device.\"GPU-x\"]\ncompute = 60\n";
        let file = policy(text);
        assert_eq!(percent("a", Some(&file), &env(&[])), Some(60));
        assert_eq!(
            percent("b", Some(&file), &env(&[])),
            None,
            "nobody limits it"
        );
        let variables = [
            ("BUD_ISOLATION_MODE", "strict"),
            ("BUD_SM_LIMIT", "10"),
            ("BUD_SM_LIMIT_DEV3", "30"),
        ];
        assert_eq!(percent("c", None, &env(&variables)), Some(30));
    }

    #[test]
    fn stretches_lie_one_after_another_if_all_fit() {
        let strict = |name: &str, percent: u32| {
            format!("[[tenant]]\nname = \"{name}\"\nmode = \"strict\"\ncompute = {percent}\n")
        };
        let fits = policy(&(strict("a", 25) + &strict("b", 40) + &strict("c", 35)));
        let of = |tenant: &str, policy: &Policy| stretch(tenant, Some(policy), &env(&[]));
        assert_eq!(of("a", &fits), Some(0..25));
        assert_eq!(of("c", &fits), Some(65..100));
        assert_eq!(of("d", &fits), None, "the file does not know it");
        let own = env(&[("BUD_SM_LIMIT", "10"), ("BUD_ISOLATION_MODE", "strict")]);
        assert_eq!(
            stretch("a", None, &own),
            None,
            "nobody knows who else there is"
        );
        let borrows = strict("a", 25) + "[[tenant]]\nname = \"b\"\ncompute = 75\n";
        assert_eq!(of("a", &policy(&borrows)), None, "b may have all of it");
        let may_have_60 =
            |name| format!("[[tenant]]\nname = \"{name}\"\ncompute = 50\nburst_max = 0\n");
        let more = policy(&(may_have_60("a") + &may_have_60("b")));
        assert_eq!(
            of("a", &more),
            None,
            "together they may have more than there is"
        );
    }

    #[test]
    fn where_programs_take_turns_a_part_would_be_wasted() {
        let tenant = "[[tenant]]\nname = \"a\"\nmode = \"strict\"\ncompute = 20\n";
        let of = |head: &str| percent("a", Some(&policy(&format!("{head}{tenant}"))), &env(&[]));
        assert_eq!(of("sharing = \"concurrent\"\n"), Some(20));
        assert_eq!(of("sharing = \"exclusive\"\n"), None);
        assert_eq!(of("[device.\"1\"]\nsharing = \"exclusive\"\n"), None);
    }

    proptest! {
        #[test]
        fn a_ceiling_is_the_schedulers(
            mode in 0_u32..4, entitlement in 1_u32..=1_000_000, floor in 0_u32..=1_000_000,
            part in 0_u32..=1_000_000, burst_max in 0_u32..=1_000_000,
        ) {
            let floor = Share::from_ppm(floor);
            let shared = Share::from_ppm(part.min(floor.rest().ppm()));
            let limits = Limits {
                mode: Mode::from_number(mode),
                entitlement: Share::from_ppm(entitlement),
                pools: Pools::complete(Some(floor), Some(shared), None).expect("a whole"),
                burst_max: Share::from_ppm(burst_max),
                ..Limits::default()
            };
            let pools = [limits.pools.floor, limits.pools.shared, limits.pools.burst];
            let promise = Promise {
                mode: limits.mode,
                entitlement_ppm: entitlement,
                pools_ppm: pools.map(Share::ppm),
                burst_max_ppm: burst_max,
                ..Promise::default()
            };
            prop_assert_eq!(limits.ceiling().ppm(), shares(&[promise])[0].ceiling_ppm);
        }
    }
}
