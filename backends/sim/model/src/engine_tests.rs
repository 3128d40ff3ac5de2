//! What the engine promises, on a device in private memory and with made-up time.

use crate::calibration::{SLICE_NS, SWITCH_IDLE_NS, SWITCH_PREEMPT_NS};
use crate::config::Config;
use crate::shared::{Locked, Shared, in_memory};
use proptest::prelude::*;
use std::sync::atomic::Ordering::{Acquire, Release};

const MS: u64 = 1_000_000;

fn device(mps: bool, caps_permille: &[u64]) -> Box<Shared> {
    let mut config = Config::from_env();
    config.mps = mps;
    let shared = in_memory(&config);
    shared.slots_end.store(caps_permille.len() as u64, Release);
    for (slot, cap) in shared.slots.iter().zip(caps_permille) {
        slot.taken.store(1, Release);
        slot.active_permille.store(*cap, Release);
    }
    shared
}

/// Keeps `slots` supplied with kernels until `until_ns`; device time each got.
fn saturate(locked: &Locked<'_>, kernels_ns: &[u64], until_ns: u64) -> Vec<u64> {
    let mut now_ns = 0;
    while now_ns < until_ns {
        for (slot, kernel_ns) in kernels_ns.iter().enumerate() {
            let queue = &locked.slots[slot];
            while queue.pushed.load(Acquire) - queue.executed.load(Acquire) < 1000 {
                locked
                    .push(slot, *kernel_ns, now_ns)
                    .expect("room in the ring");
            }
        }
        now_ns += 5 * MS;
        locked.advance(now_ns);
        for slot in &locked.slots[..kernels_ns.len()] {
            slot.retired.store(slot.executed.load(Acquire), Release);
        }
    }
    (0..kernels_ns.len())
        .map(|slot| locked.slots[slot].executed_ns.load(Acquire))
        .collect()
}

#[test]
fn one_context_alone_gets_the_whole_device() {
    let shared = device(false, &[1000]);
    let spent = saturate(&shared.lock(), &[100_000], 1000 * MS);
    assert_eq!(spent, [1000 * MS]);
}

#[test]
fn two_contexts_get_half_each_and_lose_a_tenth_to_preemption() {
    let shared = device(false, &[1000, 1000]);
    let spent = saturate(&shared.lock(), &[MS, MS], 10_000 * MS);
    let share = |ns: u64| ns as f64 / 1e10;
    assert!(
        (share(spent[0]) - share(spent[1])).abs() < 0.001,
        "{spent:?}"
    );
    let total = share(spent[0] + spent[1]);
    assert!((0.90..0.905).contains(&total), "total {total}");
}

#[test]
fn three_contexts_get_a_third_each_whatever_their_kernels() {
    let shared = device(false, &[1000; 3]);
    let spent = saturate(&shared.lock(), &[MS, 5 * MS, 100_000], 10_000 * MS);
    let total: u64 = spent.iter().sum();
    for ns in &spent {
        let share = *ns as f64 / total as f64;
        assert!((share - 1.0 / 3.0).abs() < 0.001, "{spent:?}");
    }
    assert!((0.90..0.905).contains(&(total as f64 / 1e10)), "{spent:?}");
}

#[test]
fn who_waits_for_results_starves_beside_a_saturating_neighbour() {
    // 0.1 ms kernels one at a time beside 5 ms kernels: 4 % of the device on real hardware.
    let shared = device(false, &[1000, 1000]);
    let locked = shared.lock();
    let mut now_ns = 0;
    for _ in 0..400 {
        let neighbour = &locked.slots[1];
        while neighbour.pushed.load(Acquire) - neighbour.executed.load(Acquire) < 4 {
            locked.push(1, 5 * MS, now_ns).expect("room");
        }
        let ticket = locked.push(0, 100_000, now_ns).expect("room");
        while locked.slots[0].end_ns(ticket).is_none() {
            let next_ns = locked.predict_end_ns(0, ticket, now_ns);
            now_ns = next_ns.max(now_ns + 1000);
            locked.advance(now_ns);
        }
        locked.slots[0].retired.store(ticket, Release);
        neighbour
            .retired
            .store(neighbour.executed.load(Acquire), Release);
        now_ns += 5000;
    }
    let share = locked.slots[0].executed_ns.load(Acquire) as f64 / now_ns as f64;
    assert!((0.035..0.045).contains(&share), "share {share}");
}

/// A program that launches 150 kernels of 10 µs, one every `launch_ns`, and waits for them, beside
/// one that saturates. Steps a second of the first, share of the second.
fn decode_beside_saturating(launch_ns: u64) -> (f64, f64) {
    let shared = device(false, &[1000, 1000]);
    let locked = shared.lock();
    let mut now_ns = 0;
    const STEPS: u32 = 200;
    for _ in 0..STEPS {
        let mut ticket = 0;
        for _ in 0..150 {
            now_ns += launch_ns;
            locked.advance(now_ns);
            let neighbour = &locked.slots[1];
            while neighbour.pushed.load(Acquire) - neighbour.executed.load(Acquire) < 40 {
                locked.push(1, MS, now_ns).expect("room");
            }
            ticket = locked.push(0, 10_000, now_ns).expect("room");
        }
        while locked.slots[0].end_ns(ticket).is_none() {
            now_ns = locked.predict_end_ns(0, ticket, now_ns).max(now_ns + 1000);
            locked.advance(now_ns);
        }
        for slot in &locked.slots[..2] {
            slot.retired.store(slot.executed.load(Acquire), Release);
        }
    }
    let rate = f64::from(STEPS) * 1e9 / now_ns as f64;
    (
        rate,
        locked.slots[1].executed_ns.load(Acquire) as f64 / now_ns as f64,
    )
}

#[test]
fn a_decoder_beside_a_saturating_neighbour_does_as_on_hardware() {
    // 25 µs of its own and 3 µs for the launch; measured: 150 steps a second beside 0.62.
    let (steps, neighbour) = decode_beside_saturating(28_000);
    assert!((140.0..165.0).contains(&steps), "{steps} steps a second");
    assert!((0.58..0.70).contains(&neighbour), "neighbour {neighbour}");
}

#[test]
fn handing_over_at_a_kernel_boundary_costs_the_idle_switch() {
    let shared = device(false, &[1000, 1000]);
    let locked = shared.lock();
    locked.push(0, MS, 0);
    locked.push(1, MS, 500_000);
    locked.advance(10 * MS);
    assert_eq!(locked.slots[0].end_ns(1), Some(MS));
    assert_eq!(locked.slots[1].end_ns(1), Some(2 * MS + SWITCH_IDLE_NS));
}

#[test]
fn a_long_kernel_is_preempted_at_the_end_of_the_slice() {
    let shared = device(false, &[1000, 1000]);
    let locked = shared.lock();
    locked.push(0, 5 * MS, 0);
    locked.push(1, MS, 0);
    locked.advance(SLICE_NS + SWITCH_PREEMPT_NS + 1);
    assert_eq!(locked.slots[0].executed_ns.load(Acquire), SLICE_NS);
    locked.advance(20 * MS);
    let second_ns = SLICE_NS + SWITCH_PREEMPT_NS + MS;
    assert_eq!(locked.slots[1].end_ns(1), Some(second_ns));
    assert_eq!(
        locked.slots[0].end_ns(1),
        Some(second_ns + SWITCH_IDLE_NS + 5 * MS - SLICE_NS)
    );
}

#[test]
fn work_reported_late_started_when_the_device_was_free() {
    let shared = device(false, &[1000]);
    let locked = shared.lock();
    locked.push(0, MS, 0);
    locked.advance(10 * MS);
    // Ready at 3 ms, but the process got to say so only at 10 ms.
    locked.push(0, MS, 3 * MS);
    locked.advance(10 * MS);
    assert_eq!(locked.slots[0].end_ns(2), Some(4 * MS));
}

#[test]
fn contexts_under_mps_run_at_equal_parts_and_at_full_speed_alone() {
    let shared = device(true, &[1000, 1000]);
    let locked = shared.lock();
    locked.push(0, 4 * MS, 0);
    locked.push(1, MS, MS);
    locked.advance(20 * MS);
    // From 1 ms to 3 ms both run at half speed.
    assert_eq!(locked.slots[1].end_ns(1), Some(3 * MS));
    assert_eq!(locked.slots[0].end_ns(1), Some(5 * MS));
}

#[test]
fn an_active_thread_percentage_holds_even_alone() {
    let shared = device(true, &[250, 1000]);
    let locked = shared.lock();
    locked.push(0, MS, 0);
    locked.advance(20 * MS);
    assert_eq!(locked.slots[0].end_ns(1), Some(4 * MS));
    drop(locked);
    let shared = device(true, &[250, 1000]);
    let spent = saturate(&shared.lock(), &[MS, MS], 1000 * MS);
    assert!((spent[0] as f64 / 1e9 - 0.25).abs() < 0.001, "{spent:?}");
    assert!((spent[1] as f64 / 1e9 - 0.75).abs() < 0.001, "{spent:?}");
}

#[test]
fn a_dead_process_leaves_the_device_to_the_others() {
    let shared = device(false, &[1000, 1000]);
    let locked = shared.lock();
    locked.push(0, 1000 * MS, 0);
    locked.push(1, MS, 0);
    locked.remove(0, MS);
    locked.advance(5 * MS);
    assert_eq!(locked.slots[1].end_ns(1), Some(2 * MS + SWITCH_IDLE_NS));
    assert_eq!(locked.slots[0].memory_bytes.load(Acquire), 0);
}

#[test]
fn a_holder_that_dies_inside_the_lock_leaves_it_usable() {
    let shared = device(false, &[1000]);
    shared.lock().push(0, MS, 0).expect("room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let locked = shared.lock();
            // As if killed between two stores: spent more than was ever asked for.
            locked.slots[0].executed_ns.store(77 * MS, Release);
            std::mem::forget(locked);
        });
    });
    let locked = shared.lock();
    assert_eq!(locked.slots[0].executed_ns.load(Acquire), MS);
    locked.advance(10 * MS);
    assert!(locked.slots[0].end_ns(1).is_some());
}

#[test]
fn a_full_ring_refuses_until_items_are_retired() {
    let shared = device(false, &[1000]);
    let locked = shared.lock();
    while locked.push(0, 10, 0).is_some() {}
    locked.advance(MS);
    assert_eq!(locked.push(0, 10, 0), None);
    locked.slots[0].retired.store(1, Release);
    assert!(locked.push(0, 10, 0).is_some());
    assert_eq!(locked.push(0, 10, 0), None);
}

#[derive(Clone, Debug)]
struct Push {
    slot: usize,
    gap_ns: u64,
    duration_ns: u64,
}

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    let push = (0..4_usize, 0..2 * MS, 1..6 * MS);
    prop::collection::vec(
        push.prop_map(|(slot, gap_ns, duration_ns)| Push {
            slot,
            gap_ns,
            duration_ns,
        }),
        1..60,
    )
}

/// Ends of all items in order of submission; `step_ns` is how often somebody looks.
fn replay(mps: bool, pushes: &[Push], step_ns: u64) -> (Vec<u64>, u64) {
    let shared = device(mps, &[1000, 700, 1000, 300]);
    let locked = shared.lock();
    let mut now_ns = 0;
    let mut tickets = Vec::new();
    let look_until = |from_ns: u64, to_ns: u64| {
        let mut at_ns = from_ns;
        while at_ns + step_ns < to_ns {
            at_ns += step_ns;
            locked.advance(at_ns);
        }
        locked.advance(to_ns);
    };
    for push in pushes {
        look_until(now_ns, now_ns + push.gap_ns);
        now_ns += push.gap_ns;
        let ticket = locked
            .push(push.slot, push.duration_ns, now_ns)
            .expect("room");
        tickets.push((push.slot, ticket));
    }
    let work_ns: u64 = pushes.iter().map(|push| push.duration_ns).sum();
    look_until(now_ns, now_ns + 10 * work_ns + 1000 * MS);
    let ends = tickets
        .iter()
        .map(|(slot, ticket)| locked.slots[*slot].end_ns(*ticket).expect("all work ended"))
        .collect();
    (ends, locked.engine.busy_ns.load(Acquire))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ends_do_not_depend_on_who_looks_when(pushes in pushes(), step_ns in 50_000..3 * MS) {
        let (coarse, busy_ns) = replay(false, &pushes, u64::MAX / 4);
        let (fine, _) = replay(false, &pushes, step_ns);
        prop_assert_eq!(coarse, fine);
        prop_assert_eq!(busy_ns, pushes.iter().map(|push| push.duration_ns).sum::<u64>());
    }

    #[test]
    fn work_of_a_slot_ends_in_order_and_never_early(pushes in pushes(), mps: bool) {
        let (ends, _) = replay(mps, &pushes, MS);
        let mut last_ns = [0; 4];
        let mut now_ns = 0;
        for (push, end_ns) in pushes.iter().zip(ends) {
            now_ns += push.gap_ns;
            // Rounding under MPS may shave off less than a nanosecond per step.
            prop_assert!(end_ns + 10_000 >= now_ns + push.duration_ns);
            prop_assert!(end_ns >= last_ns[push.slot]);
            last_ns[push.slot] = end_ns;
        }
    }
}
