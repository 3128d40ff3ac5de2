//! What priorities and weights do to shares.

use super::*;
use proptest::prelude::*;

fn tenant(entitlement_ppm: u32, priority: Priority) -> Promise {
    Promise {
        entitlement_ppm,
        priority,
        active: true,
        ..Promise::default()
    }
}

fn paused_when_low(promise: Promise) -> Promise {
    Promise {
        low_priority: LowPriority::Pause,
        ..promise
    }
}

fn share_of(promises: &[Promise]) -> Vec<u32> {
    shares(promises).iter().map(|s| s.share_ppm).collect()
}

#[test]
fn a_low_tenant_keeps_its_floor_while_others_are_active() {
    let mut all = [
        tenant(250_000, Priority::High),
        tenant(250_000, Priority::Normal),
        tenant(500_000, Priority::Low),
    ];
    // Half of the floor pool of 20 %; the rest is halved.
    assert_eq!(share_of(&all), [450_000, 450_000, 100_000]);
    all[0].active = false;
    assert_eq!(share_of(&all)[1..], [900_000, 100_000]);
    all[1].active = false;
    assert_eq!(share_of(&all)[2], WHOLE_PPM, "alone it has everything");
}

#[test]
fn the_ceiling_of_a_low_tenant_is_as_it_was() {
    let held = shares(&[
        tenant(500_000, Priority::High),
        tenant(500_000, Priority::Low),
    ]);
    assert_eq!(
        (held[1].share_ppm, held[1].ceiling_ppm),
        (100_000, WHOLE_PPM)
    );
}

#[test]
fn low_tenants_among_themselves_are_as_normal_ones() {
    let got = share_of(&[
        tenant(300_000, Priority::Low),
        tenant(700_000, Priority::Low),
    ]);
    assert_eq!(got, [300_000, 700_000]);
}

#[test]
fn a_paused_tenant_has_nothing_while_others_are_active() {
    let mut all = [
        tenant(250_000, Priority::Normal),
        paused_when_low(tenant(750_000, Priority::Low)),
    ];
    let got = shares(&all);
    assert_eq!((got[1].share_ppm, got[1].paused), (1, true));
    assert_eq!((got[0].share_ppm, got[0].paused), (WHOLE_PPM, false));
    all[0].active = false;
    let got = shares(&all);
    assert_eq!((got[1].share_ppm, got[1].paused), (WHOLE_PPM, false));
    assert_eq!(got[0].share_ppm, WHOLE_PPM, "what it would have if it came");
}

#[test]
fn a_strict_tenants_floor_is_its_entitlement() {
    let strict = Promise {
        mode: Mode::Strict,
        ..tenant(300_000, Priority::Low)
    };
    let got = share_of(&[tenant(700_000, Priority::High), strict]);
    assert_eq!(got, [700_000, 300_000]);
    let got = shares(&[tenant(700_000, Priority::High), paused_when_low(strict)]);
    assert_eq!(
        (got[1].share_ppm, got[1].ceiling_ppm, got[1].paused),
        (1, 300_000, true)
    );
    assert_eq!(got[0].share_ppm, WHOLE_PPM);
}

#[test]
fn a_tenant_that_is_not_held_back_by_anything_holds_nobody_back() {
    let none = Promise {
        mode: Mode::None,
        ..tenant(500_000, Priority::High)
    };
    let got = shares(&[none, paused_when_low(tenant(500_000, Priority::Low))]);
    assert!(!got[1].paused);
}

#[test]
fn what_entitled_tenants_leave_is_split_by_weight() {
    let weighing = |weight| Promise {
        weight,
        ..tenant(0, Priority::Normal)
    };
    let got = share_of(&[tenant(400_000, Priority::Normal), weighing(1), weighing(2)]);
    assert_eq!(got, [400_000, 200_000, 400_000]);
    let nobody_wrote_it_yet = share_of(&[weighing(0), weighing(1)]);
    assert_eq!(nobody_wrote_it_yet, [500_000, 500_000]);
}

prop_compose! {
    fn tenants()(count in 1_usize..9)(
        entitlements in prop::collection::vec(1_000_u32..1_000_000, count),
        floor in 0_u32..=1_000_000, cut in 0.0_f64..1.0,
        bursts in prop::collection::vec(0_u32..=1_000_000, count),
        kinds in prop::collection::vec((0_u32..4, 0_u32..3, any::<bool>()), count),
        pause in any::<bool>(),
    ) -> Vec<Promise> {
        let shared = (f64::from(WHOLE_PPM - floor) * cut) as u32;
        let pools_ppm = [floor, shared, WHOLE_PPM - floor - shared];
        let sum: u64 = entitlements.iter().map(|e| u64::from(*e)).sum();
        kinds.iter().enumerate().map(|(i, (mode, priority, active))| Promise {
            mode: Mode::from_number(*mode),
            // Scaled so that they add up to at most one device.
            entitlement_ppm: ((u64::from(entitlements[i]) * 1_000_000 / sum) as u32).max(1),
            pools_ppm,
            burst_max_ppm: bursts[i],
            priority: Priority::from_number(*priority),
            low_priority: LowPriority::from_number(pause.into()),
            weight: 1,
            class_milli: 1_000,
            // The arbiter never counts a tenant as active on which nothing is enforced.
            active: *active && *mode != Mode::None.number(),
        }).collect()
    }
}

/// Some active tenant comes before those of low priority.
fn contended(promises: &[Promise]) -> bool {
    promises
        .iter()
        .any(|p| p.active && p.priority < Priority::Low)
}

/// The same tenants, all of normal priority.
fn all_normal(promises: &[Promise]) -> Vec<Promise> {
    let normal = |p: &Promise| Promise {
        priority: Priority::Normal,
        ..*p
    };
    promises.iter().map(normal).collect()
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
    fn no_share_passes_its_ceiling(promises in tenants()) {
        for s in shares(&promises) { prop_assert!(s.share_ppm <= s.ceiling_ppm.max(1)); }
    }

    #[test]
    fn priorities_leave_ceilings_as_they_are(promises in tenants()) {
        for (with, without) in shares(&promises).iter().zip(shares(&all_normal(&promises))) {
            prop_assert_eq!(with.ceiling_ppm, without.ceiling_ppm);
        }
    }

    #[test]
    fn a_low_priority_never_gives_more(promises in tenants()) {
        let got = shares(&promises);
        let normal = shares(&all_normal(&promises));
        for ((p, s), n) in promises.iter().zip(&got).zip(&normal) {
            if p.active && p.priority == Priority::Low && contended(&promises)
                && p.burst_max_ppm == WHOLE_PPM
            {
                prop_assert!(s.share_ppm <= n.share_ppm + 1, "{s:?} beside {n:?}");
            }
        }
    }

    #[test]
    fn a_low_tenant_of_others_at_work_has_its_floor(promises in tenants()) {
        let got = shares(&promises);
        let all: f64 = promises.iter().map(|p| f64::from(p.entitlement_ppm)).sum();
        let active: f64 = promises.iter().filter(|p| p.active)
            .map(|p| f64::from(p.entitlement_ppm)).sum();
        let low = |p: &&Promise| p.active && p.priority == Priority::Low
            && matches!(p.mode, Mode::Balanced | Mode::Adaptive);
        for (p, s) in promises.iter().zip(&got).filter(|(p, _)| low(p)) {
            if !contended(&promises) {
                prop_assert!(!s.paused);
                continue;
            }
            prop_assert_eq!(s.paused, p.low_priority == LowPriority::Pause);
            let floor = f64::from(p.pools_ppm[0]) * f64::from(p.entitlement_ppm) / all;
            let ordinary = 1e6 * f64::from(p.entitlement_ppm) / active;
            let expected = if s.paused { 1.0 } else { floor.max(10_000.0).min(ordinary) };
            let capped = expected.min(f64::from(s.ceiling_ppm)).max(1.0);
            prop_assert!((f64::from(s.share_ppm) - capped).abs() <= 1.0, "{s:?} not {capped}");
        }
    }

    #[test]
    fn a_low_neighbour_never_takes_from_the_others(promises in tenants()) {
        let mut promises = promises;
        for p in &mut promises { p.burst_max_ppm = WHOLE_PPM; }
        let got = shares(&promises);
        let normal = shares(&all_normal(&promises));
        for ((p, s), n) in promises.iter().zip(&got).zip(&normal) {
            if p.active && p.priority < Priority::Low {
                prop_assert!(s.share_ppm + 1 >= n.share_ppm, "{s:?} under {n:?}");
            }
        }
    }

    #[test]
    fn without_low_tenants_priorities_change_no_share(promises in tenants()) {
        let mut promises = promises;
        for p in &mut promises { p.priority = p.priority.min(Priority::Normal); }
        prop_assert_eq!(shares(&promises), shares(&all_normal(&promises)));
    }
}
