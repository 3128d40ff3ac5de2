//! A device that stands for a moment, as while the driver makes a context for a program that starts: how long do those that
//! work wait for their next turn?

use super::device::random;
use super::programs::{Kind, Node, balanced};
use crate::sched::clock::{ms, us};

/// For how long an H200 stood while the driver (580.159, Nov 2026) made a context.
const STANDS_NS: u64 = ms(12);
/// A period, in which everybody has a turn.
const PERIOD_NS: u64 = ms(25);
const STEP_NS: u64 = us(250);

fn saturating(percents: &[u32]) -> Node {
    let program = |percent: &u32| (balanced(*percent), Kind::Saturate(vec![us(250)]));
    let programs: Vec<_> = percents.iter().map(program).collect();
    let mut node = Node::new(&programs);
    node.run(ms(1_000));
    node
}

/// For how long each program had nothing, at worst, while the device stands once at a time that `draw` tells.
fn longest_rests_ns(node: &mut Node, draw: u64, for_ns: u64) -> Vec<u64> {
    let steps = for_ns / STEP_NS;
    let at = random(draw, steps);
    let mut done = node.done_ns();
    let mut rests_ns = vec![0; done.len()];
    let mut longest_ns = rests_ns.clone();
    for step in 0..steps {
        if step == at {
            node.stand(STANDS_NS);
        }
        node.run(STEP_NS);
        let now = node.done_ns();
        for (i, rest_ns) in rests_ns.iter_mut().enumerate() {
            *rest_ns = if now[i] == done[i] {
                *rest_ns + STEP_NS
            } else {
                0
            };
            longest_ns[i] = longest_ns[i].max(*rest_ns);
        }
        done = now;
    }
    longest_ns
}

/// The same for so many times that it stands.
fn longest_of(node: &mut Node, times: u64, mut before: impl FnMut(&mut Node)) -> Vec<u64> {
    let mut longest_ns = vec![0; node.programs.len()];
    for draw in 0..times {
        before(node);
        let rests_ns = longest_rests_ns(node, draw, ms(200));
        for (longest_ns, rest_ns) in longest_ns.iter_mut().zip(rests_ns) {
            *longest_ns = rest_ns.max(*longest_ns);
        }
    }
    longest_ns
}

#[test]
fn nobody_misses_a_round_because_the_device_stood() {
    for percents in [&[33, 33, 34][..], &[50, 50], &[25, 75], &[25, 35, 40]] {
        let mut node = saturating(percents);
        let before = node.done_ns();
        let rests_ns = longest_of(&mut node, 40, |_| {});
        let done = node.done_ns();
        let done: Vec<_> = done.iter().zip(before).map(|(a, b)| a - b).collect();
        let total: u64 = done.iter().sum();
        println!("simulated: {percents:?}: nothing for {rests_ns:?} ns, done {done:?}");
        // All others have a turn, and the device stands in one of them.
        let most_ns = PERIOD_NS + STANDS_NS;
        assert!(rests_ns.iter().all(|ns| *ns <= most_ns), "{rests_ns:?}");
        for (done, percent) in done.iter().zip(percents) {
            let off = 100.0 * *done as f64 / total as f64 - f64::from(*percent);
            assert!(off.abs() <= 0.5, "{off:.2} points off {percent} %");
        }
    }
}

/// Each of them has another process beside it that only has the device open, as a launcher or a monitor does.
#[test]
fn a_process_that_does_nothing_costs_its_tenant_no_round() {
    let program = |percent, kind| (balanced(percent), kind);
    let saturating = [33, 33, 34].map(|it| program(it, Kind::Saturate(vec![us(250)])));
    let idle = [1, 1, 1].map(|it| program(it, Kind::Idle));
    let mut node = Node::new(&[saturating, idle].concat());
    for tenant in 0..3 {
        node.join_tenant(3 + tenant, tenant);
    }
    node.run(ms(1_000));
    let rests_ns = longest_of(&mut node, 40, |_| {});
    println!("simulated: beside idle processes: nothing for {rests_ns:?} ns");
    let mut working = rests_ns.iter().take(3);
    assert!(
        working.all(|ns| *ns <= PERIOD_NS + STANDS_NS),
        "{rests_ns:?}"
    );
}

#[test]
fn those_that_stay_go_on_while_another_comes_and_goes() {
    let mut node = saturating(&[33, 33, 34]);
    let rests_ns = longest_of(&mut node, 40, |node| node.replace(2, ms(150)));
    println!("simulated: nothing for {rests_ns:?} ns");
    let mut staying = rests_ns.iter().take(2);
    assert!(
        staying.all(|ns| *ns <= PERIOD_NS + STANDS_NS),
        "{rests_ns:?}"
    );
}
