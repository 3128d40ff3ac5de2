//! From limits and the set of active tenants to what each may have now. Pure.
//!
//! Formulas (pools `floor + shared + burst = 1`, entitlements `e`, sums over active tenants `A`):
//!
//! - `strict`: share = ceiling = `e`.
//! - `balanced`, `adaptive`: share = `floor·e/Σall` (its own) + `floor·(Σidle e)/Σall · e/ΣA` (lent) +
//!   `shared·e/ΣA` + `min(burst_max, burst·e/ΣA)`; what a `burst_max` leaves over goes to the active
//!   tenants that are not at theirs. ceiling = floor + shared + `min(burst_max, burst)`.
//! - `none`: never held back; takes no part.
//! - Where a policy weights classes of work, the entitlements of balanced and adaptive tenants count by what their work
//!   is, `e·w`, in proportion, so that together they have what they had.
//! - Low priority, while a tenant of a higher one is active: share = `floor·e/Σall` (strict: `e`), at
//!   least 1 % and at most what it would be at a normal priority; nothing where low means paused. The
//!   others divide the rest by the formulas above, as if the low ones were idle.
//!
//! All active with entitlements that add up to 1: everybody gets `e`. One active: everything that
//! its `burst_max` lets it have.

use crate::policy::{LowPriority, Mode, Pools, Priority};

/// One whole device.
pub const WHOLE_PPM: u32 = 1_000_000;
/// Weight of a tenant without an entitlement when the others leave nothing: 1 %.
const LEFTOVER_PPM_MIN: u32 = 10_000;
/// Least share of a tenant of low priority that is not paused: 1 %.
const LOW_MIN: f64 = 0.01;

/// What one tenant was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Mode.
    pub mode: Mode,
    /// Entitlement in millionths; 0 if none was given.
    pub entitlement_ppm: u32,
    /// Floor, shared and burst pool in millionths.
    pub pools_ppm: [u32; 3],
    /// Most it may take of the burst pool.
    pub burst_max_ppm: u32,
    /// When it gets its part.
    pub priority: Priority,
    /// What a low priority means.
    pub low_priority: LowPriority,
    /// Its part of what entitled tenants leave, relative to others without an entitlement.
    pub weight: u32,
    /// What a nanosecond of its work counts, on average, thousandths; 1000 unless a policy weights classes.
    pub class_milli: u32,
    /// True while it has work or had some a moment ago.
    pub active: bool,
}

impl Default for Promise {
    /// That of a tenant of which nothing was said, idle.
    fn default() -> Self {
        let Pools {
            floor,
            shared,
            burst,
        } = Pools::DEFAULT;
        Self {
            mode: Mode::default(),
            entitlement_ppm: 0,
            pools_ppm: [floor, shared, burst].map(|pool| pool.ppm()),
            burst_max_ppm: burst.ppm(),
            priority: Priority::default(),
            low_priority: LowPriority::default(),
            weight: 1,
            class_milli: 1000,
            active: false,
        }
    }
}

/// What a tenant may have now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Its part of the device while everybody who is active wants theirs, millionths.
    pub share_ppm: u32,
    /// What it may not pass even if nobody else wants the device, millionths.
    pub ceiling_ppm: u32,
    /// It has to wait until nobody of a higher priority is active; `share_ppm` is then 1.
    pub paused: bool,
}

/// Entitlement that counts for each tenant: its own, or by weight a part of what the others leave.
fn entitlements(promises: &[Promise]) -> Vec<f64> {
    let given: u64 = promises.iter().map(|p| u64::from(p.entitlement_ppm)).sum();
    let weights: u64 = promises
        .iter()
        .filter(|p| p.entitlement_ppm == 0)
        .map(|p| u64::from(p.weight.max(1)))
        .sum();
    let left = u64::from(WHOLE_PPM).saturating_sub(given);
    let plain = promises
        .iter()
        .map(|p| {
            if p.entitlement_ppm == 0 {
                let part = left * u64::from(p.weight.max(1)) / weights;
                part.max(u64::from(LEFTOVER_PPM_MIN)) as f64
            } else {
                f64::from(p.entitlement_ppm)
            }
        })
        .map(|ppm| ppm / f64::from(WHOLE_PPM))
        .collect();
    by_class(promises, plain)
}

/// Entitlements by what the tenants' work counts.
fn by_class(promises: &[Promise], plain: Vec<f64>) -> Vec<f64> {
    let weight = |p: &Promise| f64::from(p.class_milli) / 1_000.0;
    let pooled = || promises.iter().zip(&plain).filter(|(p, _)| p.is_pooled());
    let before: f64 = pooled().map(|(_, e)| e).sum();
    let after: f64 = pooled().map(|(p, e)| e * weight(p)).sum();
    if promises.iter().all(|p| p.class_milli == 1_000) || after <= 0.0 {
        return plain;
    }
    let counted = promises
        .iter()
        .zip(&plain)
        .map(|(p, e)| match p.is_pooled() {
            true => e * weight(p) * before / after,
            false => *e,
        });
    counted.collect()
}

/// What tenants of low priority leave to the others while one of the others is active.
struct Precedence {
    /// Whether one is.
    higher: bool,
    /// Entitlements of the active tenants that do not give way.
    firm: f64,
    /// What is left to them.
    rest: f64,
}

impl Precedence {
    fn of(promises: &[Promise], e: &[f64], all: f64, active: f64) -> Self {
        let at_work = || promises.iter().zip(e).filter(|(p, _)| p.active);
        let giving_way = at_work().filter(|(p, _)| p.gives_way());
        let kept: f64 = giving_way.map(|(p, e)| p.kept(*e, all, active)).sum();
        let firm = at_work().filter(|(p, _)| !p.gives_way());
        Self {
            higher: at_work().any(|(p, _)| p.priority < Priority::Low && p.mode != Mode::None),
            firm: firm.map(|(_, e)| e).sum(),
            rest: (1.0 - kept).max(0.0),
        }
    }
}

impl Promise {
    /// True if its share is of the pools.
    fn is_pooled(&self) -> bool {
        matches!(self.mode, Mode::Balanced | Mode::Adaptive)
    }

    /// True if it has less while a tenant of a higher priority is active.
    fn gives_way(&self) -> bool {
        self.priority == Priority::Low && (self.is_pooled() || self.pauses())
    }

    fn pauses(&self) -> bool {
        self.low_priority == LowPriority::Pause && self.mode != Mode::None
    }

    /// What it keeps while a tenant of a higher priority is active, if it gives way.
    fn kept(&self, e: f64, all: f64, active: f64) -> f64 {
        if self.pauses() {
            return 0.0;
        }
        let floor = f64::from(self.pools_ppm[0]) / f64::from(WHOLE_PPM) * e / all;
        floor.max(LOW_MIN).min(e / active)
    }
}

/// Shares of all tenants, in the order given. Idle tenants get the share they would have if they
/// alone became active beside the active ones.
pub fn shares(promises: &[Promise]) -> Vec<Share> {
    let e = entitlements(promises);
    let all: f64 = e.iter().sum();
    let active: f64 = e
        .iter()
        .zip(promises)
        .filter(|(_, p)| p.active)
        .map(|(e, _)| e)
        .sum();
    let precedence = Precedence::of(promises, &e, all, active);
    let mut out: Vec<Share> = Vec::with_capacity(promises.len());
    let mut left_over = 0.0;
    let mut uncapped = 0.0;
    let mut capped = vec![false; promises.len()];
    let mut exact = vec![0.0; promises.len()];
    for (i, p) in promises.iter().enumerate() {
        let [floor, shared, burst] = p.pools_ppm.map(|ppm| f64::from(ppm) / f64::from(WHOLE_PPM));
        let burst_max = f64::from(p.burst_max_ppm) / f64::from(WHOLE_PPM);
        let held = precedence.higher && p.gives_way();
        let contended = precedence.higher || p.priority < Priority::Low;
        let (rivals, rest) = if contended && !held {
            (precedence.firm, precedence.rest)
        } else {
            (active, 1.0)
        };
        let among = if p.active { rivals } else { rivals + e[i] };
        let paused = held && p.pauses();
        let mut push = |ceiling_ppm| {
            out.push(Share {
                share_ppm: 0,
                ceiling_ppm,
                paused,
            })
        };
        match p.mode {
            Mode::None => {
                exact[i] = 1.0;
                push(WHOLE_PPM);
            }
            Mode::Strict => {
                exact[i] = if paused { 0.0 } else { e[i].min(1.0) };
                push(ppm(e[i].min(1.0)));
            }
            Mode::Balanced | Mode::Adaptive => {
                let part = e[i] / among;
                push(ppm((floor + shared + burst.min(burst_max)).min(1.0)));
                if held {
                    exact[i] = p.kept(e[i], all, among);
                    // The others' maximum is no reason to give it more.
                    capped[i] = true;
                    continue;
                }
                let own = floor * e[i] / all;
                let lent = floor * (1.0 - among / all).max(0.0) * part;
                let wanted = rest * burst * part;
                let taken = wanted.min(burst_max);
                exact[i] = rest * (own + lent + shared * part) + taken;
                capped[i] = taken < wanted;
                if p.active {
                    left_over += wanted - taken;
                    uncapped += if capped[i] { 0.0 } else { e[i] };
                }
            }
        }
    }
    for (i, p) in promises.iter().enumerate() {
        let pooled = matches!(p.mode, Mode::Balanced | Mode::Adaptive);
        if pooled && p.active && !capped[i] && uncapped > 0.0 {
            exact[i] += left_over * e[i] / uncapped;
        }
        out[i].share_ppm = ppm(exact[i]).min(out[i].ceiling_ppm).max(1);
    }
    out
}

fn ppm(fraction: f64) -> u32 {
    (fraction * f64::from(WHOLE_PPM))
        .round()
        .clamp(0.0, f64::from(WHOLE_PPM)) as u32
}

#[cfg(test)]
#[path = "shares_priority_tests.rs"]
mod priority_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn balanced(entitlement_ppm: u32, active: bool) -> Promise {
        Promise {
            mode: Mode::Balanced,
            entitlement_ppm,
            pools_ppm: [200_000, 400_000, 400_000],
            burst_max_ppm: WHOLE_PPM,
            active,
            ..Promise::default()
        }
    }

    fn share_of(promises: &[Promise]) -> Vec<u32> {
        shares(promises).iter().map(|s| s.share_ppm).collect()
    }

    #[test]
    fn everybody_active_gets_the_entitlement() {
        let got = share_of(&[250_000, 350_000, 400_000].map(|e| balanced(e, true)));
        assert_eq!(got, [250_000, 350_000, 400_000]);
    }

    #[test]
    fn one_active_gets_the_whole_device() {
        let got = shares(&[
            balanced(250_000, true),
            balanced(350_000, false),
            balanced(400_000, false),
        ]);
        assert_eq!(
            got[0],
            Share {
                share_ppm: WHOLE_PPM,
                ceiling_ppm: WHOLE_PPM,
                paused: false,
            }
        );
    }

    #[test]
    fn what_an_idle_tenant_leaves_is_split_by_entitlement() {
        let got = share_of(&[
            balanced(200_000, true),
            balanced(300_000, true),
            balanced(500_000, false),
        ]);
        assert_eq!(got[..2], [400_000, 600_000]);
    }

    #[test]
    fn strict_is_never_more_than_the_entitlement() {
        let strict = Promise {
            mode: Mode::Strict,
            ..balanced(250_000, true)
        };
        assert_eq!(
            shares(&[strict])[0],
            Share {
                share_ppm: 250_000,
                ceiling_ppm: 250_000,
                paused: false,
            }
        );
    }

    #[test]
    fn burst_max_binds_and_its_rest_goes_to_the_others() {
        let frugal = Promise {
            burst_max_ppm: 0,
            ..balanced(500_000, true)
        };
        let got = shares(&[frugal, balanced(500_000, true)]);
        assert_eq!(got[0].share_ppm, 300_000);
        assert_eq!(got[0].ceiling_ppm, 600_000);
        assert_eq!(got[1].share_ppm, 700_000);
    }

    #[test]
    fn a_tenant_without_an_entitlement_gets_what_the_others_leave() {
        let got = share_of(&[balanced(750_000, true), balanced(0, true)]);
        assert_eq!(got, [750_000, 250_000]);
    }

    prop_compose! {
        fn tenants()(count in 1_usize..9)(
            entitlements in prop::collection::vec(1_000_u32..1_000_000, count),
            active in prop::collection::vec(any::<bool>(), count),
            floor in 0_u32..1_000_000, cut in 0.0_f64..1.0,
            bursts in prop::collection::vec(0_u32..=1_000_000, count),
        ) -> Vec<Promise> {
            let shared = (f64::from(WHOLE_PPM - floor) * cut) as u32;
            let pools_ppm = [floor, shared, WHOLE_PPM - floor - shared];
            let sum: u64 = entitlements.iter().map(|e| u64::from(*e)).sum();
            (0..entitlements.len()).map(|i| Promise {
                mode: Mode::Balanced,
                // Scaled so that they add up to at most one device.
                entitlement_ppm: ((u64::from(entitlements[i]) * 1_000_000 / sum) as u32).max(1),
                pools_ppm,
                burst_max_ppm: bursts[i],
                active: active[i],
                ..Promise::default()
            }).collect()
        }
    }

    proptest! {
        #[test]
        fn shares_of_the_active_never_pass_the_device(promises in tenants()) {
            let got = shares(&promises);
            let sum: u64 = promises.iter().zip(&got).filter(|(p, _)| p.active)
                .map(|(_, s)| u64::from(s.share_ppm)).sum();
            prop_assert!(sum <= u64::from(WHOLE_PPM) + promises.len() as u64, "{sum} {got:?}");
        }

        #[test]
        fn an_active_tenant_gets_at_least_its_floor(promises in tenants()) {
            let got = shares(&promises);
            let all: f64 = promises.iter().map(|p| f64::from(p.entitlement_ppm)).sum();
            for (p, s) in promises.iter().zip(&got).filter(|(p, _)| p.active) {
                let floor = f64::from(p.pools_ppm[0]) * f64::from(p.entitlement_ppm) / all;
                prop_assert!(f64::from(s.share_ppm) + 1.0 >= floor.floor(), "{s:?} under {floor}");
            }
        }

        #[test]
        fn no_share_passes_its_ceiling(promises in tenants()) {
            for s in shares(&promises) { prop_assert!(s.share_ppm <= s.ceiling_ppm.max(1)); }
        }

        #[test]
        fn one_more_active_neighbour_never_helps(promises in tenants()) {
            let mut promises = promises;
            for p in &mut promises { p.burst_max_ppm = WHOLE_PPM; }
            promises[0].active = true;
            let before = shares(&promises)[0].share_ppm;
            for p in &mut promises { p.active = true; }
            prop_assert!(shares(&promises)[0].share_ppm <= before + 1);
        }
    }
}
