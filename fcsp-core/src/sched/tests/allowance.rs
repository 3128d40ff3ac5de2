//! Launches now and then of a tenant under a ceiling that is alone: they cost it nothing, and the ceiling holds all the same.

use super::programs::{Kind, Limits, Node, balanced};
use crate::policy::{Mode, Priority};
use crate::sched::arbiter::ALLOWANCE_NS_MAX;
use crate::sched::clock::{ms, us};

fn strict(percent: u32) -> Limits {
    Limits::of(Mode::Strict, percent)
}

/// One kernel each `every_ns`, whose result is waited for.
fn sparse(kernel_ns: u64, every_ns: u64) -> Kind {
    Kind::Steps {
        kernels: 1,
        kernel_ns,
        cpu_ns: 0,
        pause_ns: every_ns,
    }
}

/// A node with a strict tenant of 25 % that has found its pace, and one that does nothing yet.
fn node(kind: Kind, other: Kind) -> Node {
    let mut node = Node::new(&[(strict(25), kind), (balanced(75), other)]);
    node.programs[1].from_ns = u64::MAX;
    node.run(ms(1_000));
    node
}

fn left_ns(node: &Node, program: usize) -> u64 {
    let (allowed_ns, passed_ns) = node.allowance(program);
    allowed_ns.saturating_sub(passed_ns)
}

#[test]
fn launches_now_and_then_form_few_segments_and_wake_nobody() {
    let mut node = node(sparse(us(2), us(95)), Kind::Idle);
    let (steps, segments) = (node.steps, node.segments(0));
    let (launches, charged_ns) = (
        node.programs[0].latencies_ns.len(),
        node.charged_ns(0) - left_ns(&node, 0),
    );
    let passed_ns = node.allowance(0).1;
    node.run(ms(1_000));
    let (steps, segments) = (node.steps - steps, node.segments(0) - segments);
    let launches = node.programs[0].latencies_ns.len() - launches;
    let charged_ns = node.charged_ns(0) - left_ns(&node, 0) - charged_ns;
    let passed_ns = node.allowance(0).1 - passed_ns;
    println!(
        "simulated: {launches} launches: {segments} segments, {steps} steps, {passed_ns} ns passed of {charged_ns}"
    );
    assert!(launches >= 9_000, "{launches}");
    // One for each 1 ms that passes: markers make 6.7 µs of each kernel here.
    let expected = launches as u64 * us(7) / ALLOWANCE_NS_MAX;
    assert!(u64::from(segments) <= 2 * expected, "{segments}");
    assert!(steps <= 6 * expected, "{steps}");
    assert!(passed_ns >= launches as u64 * us(5), "{passed_ns}");
    // What passed is charged, and beside it only those segments.
    assert!(charged_ns >= passed_ns, "{charged_ns}");
    assert!(charged_ns <= passed_ns + passed_ns / 4, "{charged_ns}");
}

#[test]
fn an_allowance_that_nobody_uses_wakes_nobody() {
    let mut node = node(sparse(us(2), us(95)), Kind::Idle);
    node.programs[0].until_ns = 0;
    node.run(ms(500));
    assert!(left_ns(&node, 0) > 0, "it has one");
    let steps = node.steps;
    node.run(ms(2_000));
    assert_eq!(node.steps, steps);
}

/// Launches one after another, each of which is waited for, and without a wait; of one process.
#[test]
fn a_ceiling_holds_in_each_second_however_its_tenant_submits() {
    let kinds = [
        Kind::Saturate(vec![us(250)]),
        Kind::Saturate(vec![us(20)]),
        sparse(us(250), us(5)),
        sparse(us(20), us(5)),
        // Half of the device.
        sparse(us(100), us(90)),
        // More than half of it, in pieces of nearly what an allowance is.
        sparse(us(900), us(500)),
        // A kernel that passes, and more behind it.
        Kind::Steps {
            kernels: 3,
            kernel_ns: us(300),
            cpu_ns: 0,
            pause_ns: us(50),
        },
    ];
    for kind in kinds {
        let name = format!("{kind:?}");
        let mut node = node(kind, Kind::Idle);
        let seconds: Vec<f64> = (0..4)
            .map(|_| node.run(ms(1_000))[0] as f64 / ms(1_000) as f64)
            .collect();
        println!("simulated: {name}, strict 25 %: {seconds:.4?} of the device");
        // What waits for each result is late by what it takes to be granted the next: it may have less.
        assert!(
            seconds.iter().all(|got| *got <= 0.26),
            "{name}: {seconds:?}"
        );
        if matches!(node.programs[0].kind, Kind::Saturate(_)) {
            assert!(
                seconds.iter().all(|got| *got >= 0.24),
                "{name}: {seconds:?}"
            );
        }
    }
}

#[test]
fn who_never_waits_has_no_use_for_an_allowance() {
    let mut node = node(Kind::Saturate(vec![us(250)]), Kind::Idle);
    let before = node.allowance(0).1;
    node.run(ms(2_000));
    assert_eq!(node.allowance(0).1, before);
}

/// A ceiling is of the tenant's expected time as much as of what the clock shows: who uses less than it is never held back.
#[test]
fn who_uses_less_than_its_ceiling_is_not_held_back() {
    let usual = |limits| {
        let mut node = Node::new(&[(limits, sparse(us(200), us(800)))]);
        node.run(ms(1_000));
        node.run(ms(1_000))[0]
    };
    let (limited, free) = (usual(strict(25)), usual(balanced(100)));
    println!("simulated: 200 us of each ms: {limited} ns, {free} without a ceiling");
    assert!(limited >= free - free / 50, "{limited} of {free}");
}

/// What stands before a segment in the device's time passed, and is paid for.
#[test]
fn what_passes_is_paid_for_once() {
    for (kernels, kernel_ns) in [(2, us(900)), (3, us(300)), (9, us(100))] {
        let kind = Kind::Steps {
            kernels,
            kernel_ns,
            cpu_ns: 0,
            pause_ns: ms(12),
        };
        let mut node = node(kind, Kind::Idle);
        let before_ns = node.charged_ns(0) - left_ns(&node, 0);
        let passed_ns = node.allowance(0).1;
        let done = node.run(ms(2_000))[0] as f64;
        let charged_ns = node.charged_ns(0) - left_ns(&node, 0) - before_ns;
        let passed_ns = node.allowance(0).1 - passed_ns;
        let paid = charged_ns as f64 / done;
        let passed = passed_ns as f64 / done;
        println!("simulated: {kernels} of {kernel_ns} ns: {passed:.3} passed, {paid:.3} charged");
        assert!(passed >= 0.08, "{passed:.3}");
        assert!((0.99..=1.03).contains(&paid), "{paid:.3}");
    }
}

#[test]
fn who_comes_has_its_turn_at_once_and_the_first_keeps_its_share() {
    for (kernel_ns, every_ns) in [(us(2), us(95)), (us(400), us(2_000)), (us(100), us(5))] {
        let kinds = [sparse(kernel_ns, every_ns), Kind::Saturate(vec![us(250)])];
        // Neither of these is ever alone.
        let limits = [strict(25), balanced(75)];
        let programs: Vec<_> = limits.into_iter().zip(kinds.clone()).collect();
        let mut beside = Node::new(&programs);
        beside.run(ms(1_000));
        let usual = beside.run(ms(500));
        let [first, other] = kinds;
        let mut node = node(first, other);
        // At different points of an allowance.
        for _ in 0..8 {
            node.run(us(1_370));
            node.programs[1].from_ns = 0;
            node.programs[1].until_ns = u64::MAX;
            let mut took_ns = 0;
            while node.run(us(20))[1] == 0 {
                took_ns += us(20);
            }
            // What may have passed before, a hand-over, and its first kernel with what measures it.
            assert!(took_ns <= ALLOWANCE_NS_MAX + us(600), "{took_ns} ns");
            assert_eq!(left_ns(&node, 0), 0, "it was taken back");
            node.run(ms(300));
            let done = node.run(ms(500));
            println!(
                "simulated: {kernel_ns} ns each {every_ns}: after {took_ns} ns, then {done:?} in 500 ms, usually {usual:?}"
            );
            for (done, usual) in done.iter().zip(&usual) {
                // A turn more or less of some twenty.
                assert!(
                    done.abs_diff(*usual) <= usual / 16,
                    "{done} and not {usual}"
                );
            }
            assert_eq!(left_ns(&node, 0), 0, "while somebody else works");
            node.programs[1].until_ns = 0;
            let before_ns = node.allowance(0).1;
            node.run(ms(500));
            let is_within = every_ns > kernel_ns;
            let passed = node.allowance(0).1 != before_ns;
            assert!(passed || !is_within, "it is alone again");
        }
    }
}

#[test]
fn whatever_changes_takes_the_allowance_back() {
    let mut node = node(sparse(us(2), us(95)), Kind::Idle);
    type Change = (&'static str, fn(&mut Node));
    let changes: [Change; 3] = [
        ("its limit is lifted", |node| {
            node.set_mode(0, Mode::Balanced)
        }),
        ("nothing limits it", |node| node.set_mode(0, Mode::None)),
        ("it makes way for somebody who is there", |node| {
            node.set_priority(1, Priority::High);
        }),
    ];
    for (what, change) in changes {
        node.set_mode(0, Mode::Strict);
        node.ring();
        node.run(ms(1_000));
        let before = left_ns(&node, 0);
        assert!(before > 0, "before {what}");
        change(&mut node);
        node.ring();
        // The wake-up, and no launch.
        node.run(us(20));
        assert_eq!(left_ns(&node, 0), 0, "{what}");
    }
}

#[test]
fn another_arbiter_takes_what_is_given_for_given() {
    let mut node = node(sparse(us(2), us(95)), Kind::Idle);
    for _ in 0..20 {
        node.run(us(3_170));
        let before_ns = node.charged_ns(0) - left_ns(&node, 0);
        node.elect();
        node.run(us(20));
        let after_ns = node.charged_ns(0) - left_ns(&node, 0);
        // A segment may have run meanwhile, and a launch have passed.
        let took_ns = after_ns.abs_diff(before_ns);
        assert!(took_ns <= us(60), "{before_ns} and then {after_ns}");
        assert!(left_ns(&node, 0) <= ALLOWANCE_NS_MAX);
    }
}

#[test]
fn who_takes_the_place_of_a_process_that_was_killed_begins_with_nothing() {
    let mut node = node(sparse(us(2), us(95)), Kind::Idle);
    assert!(node.allowance(0).1 > 0);
    node.replace(0, ms(10));
    assert_eq!(node.allowance(0), (0, 0));
    node.run(ms(500));
    let segments = node.segments(0);
    node.run(ms(1_000));
    assert!(node.segments(0) - segments <= 150, "{}", node.segments(0));
    let (allowed_ns, passed_ns) = node.allowance(0);
    assert!(passed_ns > 0 && allowed_ns <= passed_ns + ALLOWANCE_NS_MAX);
}
