//! What a priority is worth: how soon a high one runs, and what is left to a low one.

use super::programs::{Kind, Limits, Node, balanced};
use crate::policy::{LowPriority, Priority};
use crate::sched::clock::{ms, us};

/// A server: a request now and then, one kernel each, waited for.
fn requests() -> Kind {
    Kind::Steps {
        kernels: 1,
        kernel_ns: us(500),
        cpu_ns: 0,
        pause_ns: us(4_321),
    }
}

fn saturate() -> Kind {
    Kind::Saturate(vec![us(500)])
}

fn low(percent: u32) -> Limits {
    balanced(percent).with(Priority::Low)
}

/// 99th percentile of the latencies of the first program, after a second to settle.
fn p99_ns(node: &mut Node) -> u64 {
    node.run(ms(1_000));
    node.programs[0].latencies_ns.clear();
    node.run(ms(4_000));
    let latencies = &mut node.programs[0].latencies_ns;
    assert!(latencies.len() > 500, "{} requests", latencies.len());
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

fn parts(node: &mut Node) -> Vec<f64> {
    node.run(ms(1_000));
    let done = node.run(ms(2_000));
    done.iter()
        .map(|ns| *ns as f64 / ms(2_000) as f64)
        .collect()
}

/// Whoever asks for less than its share is answered as soon without a priority. What a priority is worth is felt where all of
/// it is used.
#[test]
fn a_high_tenant_waits_for_one_kernel_and_a_hand_over() {
    let mut alone = Node::new(&[(balanced(50), requests())]);
    let alone_ns = p99_ns(&mut alone);
    let beside = |percent, priority| {
        let asked = balanced(percent).with(priority);
        p99_ns(&mut Node::new(&[
            (asked, requests()),
            (balanced(100 - percent), saturate()),
        ]))
    };
    for percent in [50, 10] {
        let [high_ns, normal_ns] = [Priority::High, Priority::Normal].map(|it| beside(percent, it));
        println!(
            "simulated: {percent} %, p99 alone {alone_ns}, high {high_ns}, normal {normal_ns} ns"
        );
        assert!(high_ns <= alone_ns + us(700), "{high_ns} after {alone_ns}");
        if percent == 50 {
            assert!(normal_ns <= alone_ns + us(700), "{normal_ns}");
        } else {
            assert!(normal_ns > high_ns, "a priority is worth nothing");
        }
    }
}

#[test]
fn a_high_tenant_has_no_more_than_its_share() {
    let high = balanced(50).with(Priority::High);
    let mut node = Node::new(&[(high, saturate()), (balanced(50), saturate())]);
    let parts = parts(&mut node);
    assert!((parts[0] - parts[1]).abs() <= 0.02, "{parts:.3?}");
    assert!(parts[0] + parts[1] >= 0.93, "{parts:.3?}");
}

#[test]
fn neighbours_of_a_high_tenant_that_idles_have_the_device() {
    let high = balanced(50).with(Priority::High);
    let mut node = Node::new(&[(high, Kind::Idle), (balanced(50), saturate())]);
    let parts = parts(&mut node);
    assert!(parts[1] >= 0.97, "{parts:.3?}");
}

#[test]
fn a_low_tenant_has_its_floor_beside_others_and_what_they_leave() {
    let mut node = Node::new(&[(balanced(50), saturate()), (low(50), saturate())]);
    let beside_saturating = parts(&mut node);
    // Half of the floor pool of 20 %.
    assert!(
        (beside_saturating[1] - 0.1).abs() <= 0.01,
        "{beside_saturating:.3?}"
    );
    let mut node = Node::new(&[(balanced(50), requests()), (low(50), saturate())]);
    let beside_requests = parts(&mut node);
    assert!(beside_requests[1] >= 0.75, "{beside_requests:.3?}");
}

#[test]
fn a_low_tenant_does_not_wait_for_ever_for_the_turn_after_a_long_one() {
    let kernel_ns = ms(40);
    let long = (low(5), Kind::Saturate(vec![kernel_ns]));
    let mut node = Node::new(&[(balanced(95), saturate()), long]);
    node.run(ms(1_000));
    let mut since_ns = 0;
    for _ in 0..600 {
        let done = node.run(ms(10));
        since_ns = if done[1] > 0 { 0 } else { since_ns + ms(10) };
        // By its floor it would be once in four seconds.
        assert!(since_ns <= ms(1_150), "{since_ns} ns without progress");
    }
}

#[test]
fn a_paused_tenant_has_nothing_until_the_others_rest() {
    let paused = Limits {
        low_priority: LowPriority::Pause,
        ..low(50)
    };
    let mut node = Node::new(&[(balanced(50), saturate()), (paused, saturate())]);
    node.programs[0].until_ns = ms(2_000);
    node.run(ms(500));
    let steps = node.steps;
    let beside = node.run(ms(1_000));
    assert_eq!(beside[1], 0, "{beside:?}");
    // A segment of the other ends every half millisecond, and is looked at some times before.
    let steps = node.steps - steps;
    assert!(
        steps <= 20_000,
        "{steps} steps in a second for somebody who waits"
    );
    // 200 ms without work is idle, and what the other had queued comes first.
    node.run(ms(1_200));
    let alone = node.run(ms(500));
    assert!(alone[1] >= ms(490), "{alone:?}");
}
