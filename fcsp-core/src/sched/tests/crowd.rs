//! Many tenants with one saturating program each: how long does anybody wait for its turn, and what is left of the
//! device?

use super::fairness::jain;
use super::programs::{Kind, Node, balanced};
use crate::sched::clock::{ms, us};

const TENANTS: usize = 64;

/// What was seen of a crowd.
#[derive(Debug)]
struct Seen {
    round_ms: f64,
    /// Longest time in which a program had nothing, of each.
    rests_ms: Vec<f64>,
    total: f64,
    jain: f64,
}

/// Programs with kernels of these lengths, in turn, on a device whose hand-overs take `switch_ns` and a host where
/// threads are late.
fn crowd(lengths_us: &[u64], switch_ns: u64) -> Node {
    let program = |i: usize| Kind::Saturate(vec![us(lengths_us[i % lengths_us.len()])]);
    let programs: Vec<_> = (0..TENANTS).map(|i| (balanced(1), program(i))).collect();
    let mut node = Node::new(&programs);
    node.set_switch_ns(switch_ns);
    node.wake_latency_ns = us(60);
    node.set_room_late_ns(us(500));
    node
}

fn watch(node: &mut Node, for_ns: u64) -> Seen {
    let step_ns = us(100);
    let before = node.done_ns();
    let mut done = before.clone();
    let (mut since, mut rests) = (vec![None; TENANTS], vec![0; TENANTS]);
    let (mut holder, mut handovers) = (node.turn_of(), 0);
    for step in 1..=for_ns / step_ns {
        node.run(step_ns);
        let now = node.done_ns();
        for (i, _) in now.iter().enumerate().filter(|(i, ns)| **ns != done[*i]) {
            let rest = since[i].map_or(0, |since| step - since);
            rests[i] = rest.max(rests[i]);
            since[i] = Some(step);
        }
        done = now;
        let has_turn = node.turn_of();
        if has_turn.is_some() && has_turn != holder {
            (holder, handovers) = (has_turn, handovers + 1);
        }
    }
    let got: Vec<u64> = done.iter().zip(&before).map(|(a, b)| a - b).collect();
    Seen {
        round_ms: (TENANTS as u64 * for_ns) as f64 / 1e6 / f64::from(handovers),
        rests_ms: rests.iter().map(|it| (it * step_ns) as f64 / 1e6).collect(),
        total: got.iter().sum::<u64>() as f64 / for_ns as f64,
        jain: jain(&got, &[1; TENANTS]),
    }
}

fn longest(rests_ms: impl IntoIterator<Item = f64>) -> f64 {
    rests_ms.into_iter().fold(0.0, f64::max)
}

/// Hand-overs of a third of a millisecond, as among 64 processes on an H200.
#[test]
fn everybody_has_a_turn_in_every_round() {
    let mut node = crowd(&[250], us(330));
    node.run(ms(1_500));
    // A turn more or less is a fortieth of what a tenant has in this time.
    let seen = watch(&mut node, ms(3_000));
    let rest_ms = longest(seen.rests_ms.iter().copied());
    println!("simulated: hand-overs of 0.33 ms: nothing for {rest_ms} ms, {seen:.3?}");
    assert!(rest_ms <= 1.5 * seen.round_ms, "{rest_ms}: {seen:.3?}");
    assert!(seen.round_ms <= 100.0, "{seen:.3?}");
    assert!(seen.jain >= 0.999, "{seen:.3?}");
    assert!(seen.total >= 0.63, "{seen:.3?}");
}

/// Who has kernels longer than a turn has fewer turns for it, and the others do not wait for longer than twice.
#[test]
fn a_crowd_with_kernels_of_all_lengths_shares_evenly() {
    let lengths_us = [50, 100, 250, 500, 1_000];
    let mut node = crowd(&lengths_us, us(330));
    node.run(ms(2_500));
    let seen = watch(&mut node, ms(4_000));
    let is_short = |i: &usize| lengths_us[i % lengths_us.len()] <= 250;
    let short = (0..TENANTS).filter(is_short);
    let rest_ms = longest(short.map(|i| seen.rests_ms[i]));
    println!("simulated: all lengths: nothing for {rest_ms} ms, {seen:.3?}");
    assert!(rest_ms <= 2.0 * seen.round_ms, "{rest_ms}: {seen:.3?}");
    assert!(seen.jain >= 0.999, "{seen:.3?}");
}

/// As while the driver makes a context for somebody: it took 12 ms on an H200, as long as nine turns of a crowd.
#[test]
fn nobody_in_a_crowd_misses_a_round_because_the_device_stood() {
    let mut node = crowd(&[250], us(330));
    node.run(ms(1_500));
    for _ in 0..4 {
        node.stand(ms(12));
        let seen = watch(&mut node, ms(1_000));
        let rest_ms = longest(seen.rests_ms.iter().copied());
        println!("simulated: the device stood for 12 ms: nothing for {rest_ms} ms, {seen:.3?}");
        assert!(rest_ms <= 1.5 * seen.round_ms, "{rest_ms}: {seen:.3?}");
    }
}
