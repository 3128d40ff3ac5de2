//! Shares that change while programs work: how long until they hold?

use super::device::random;
use super::programs::{Kind, Limits, Node, balanced};
use crate::policy::{Mode, Priority};
use crate::sched::clock::{ms, us};

/// As long as a round: a shorter window holds a part of a turn, and no share.
const WINDOW_MS: usize = 25;
/// So many in a row must hold it.
const WINDOWS: usize = 4;
const TOLERANCE: f64 = 0.05;
const SHARES: [u32; 2] = [25, 60];

/// The first of two has `percent` from now on. At once, or the one that gives first, a moment before the other.
fn change(node: &mut Node, percent: u32, between_ns: u64) {
    let mut order = [(0, percent), (1, 100 - percent)];
    if percent == SHARES[1] {
        order.reverse();
    }
    for (tenant, percent) in order {
        node.set_percent(tenant, percent);
        node.run(between_ns);
    }
}

/// What both have done, each millisecond of so many.
fn curve(node: &mut Node, for_ms: usize) -> Vec<Vec<u64>> {
    let mut points = vec![node.done_ns()];
    for _ in 0..for_ms {
        node.run(ms(1));
        points.push(node.done_ns());
    }
    points
}

/// Milliseconds until the next windows hold it.
fn holds_after_ms(curve: &[Vec<u64>], percent: u32) -> usize {
    let holds = |at: usize| {
        let [a, b] = [0, 1].map(|i: usize| (curve[at + WINDOW_MS][i] - curve[at][i]) as f64);
        (a / (a + b) - f64::from(percent) / 100.0).abs() <= TOLERANCE
    };
    let holds_from = |from: &usize| (0..WINDOWS).all(|i| holds(from + i * WINDOW_MS));
    let last = curve.len() - 1 - WINDOWS * WINDOW_MS;
    (0..=last).find(holds_from).unwrap_or(last)
}

/// How far the part of the first is off in the end, over as long as [`WINDOWS`] rounds.
fn settled_error(curve: &[Vec<u64>], percent: u32) -> f64 {
    let (first, last) = (
        &curve[curve.len() - 1 - WINDOWS * WINDOW_MS],
        &curve[curve.len() - 1],
    );
    let [a, b] = [0, 1].map(|i: usize| (last[i] - first[i]) as f64);
    (a / (a + b) - f64::from(percent) / 100.0).abs()
}

#[test]
fn changed_shares_hold_from_the_round_that_runs() {
    // Both at once, as by a file, and by two commands; on a quick host and on a busy one.
    for (between_ns, late_ns) in [(0, us(60)), (ms(3), us(60)), (0, us(300))] {
        let saturating = || Kind::Saturate(vec![us(100)]);
        let programs = [25, 75].map(|percent| (balanced(percent), saturating()));
        let mut node = Node::new(&programs);
        node.set_switch_ns(us(160));
        node.wake_latency_ns = late_ns;
        node.run(ms(1_500));
        let (mut took_ms, mut errors) = (Vec::new(), Vec::new());
        for i in 1..=20 {
            let percent = SHARES[i % 2];
            change(&mut node, percent, between_ns);
            // An odd time, so that changes fall on all points of a round.
            let curve = curve(&mut node, 407);
            took_ms.push(holds_after_ms(&curve, percent));
            errors.push(settled_error(&curve, percent));
        }
        println!(
            "simulated: {between_ns} ns apart, late {late_ns}: held after {took_ms:?} ms, then off {errors:.4?}"
        );
        assert!(took_ms.iter().all(|ms| *ms <= 10), "{took_ms:?}");
        // A segment more or less of 1 ms is a hundredth of four rounds.
        assert!(errors.iter().all(|error| *error <= 0.02), "{errors:.4?}");
    }
}

/// The operator has nothing better to do than to change shares within every round.
#[test]
fn shares_that_change_all_the_time_starve_nobody() {
    let programs = [30, 30, 40].map(|percent| (balanced(percent), Kind::Saturate(vec![us(250)])));
    let mut node = Node::new(&programs);
    node.run(ms(1_000));
    let mut done = [0; 3];
    for i in 0..100 {
        node.set_percent(0, 20 + 20 * (i % 2));
        node.set_percent(1, 40 - 20 * (i % 2));
        for (sum, ns) in done.iter_mut().zip(node.run(ms(7))) {
            *sum += ns;
        }
    }
    let total: u64 = done.iter().sum();
    let parts: Vec<f64> = done.iter().map(|ns| *ns as f64 / total as f64).collect();
    println!("simulated: 30, 30 and 40 % on average, changed every 7 ms: {parts:.3?}");
    for (part, due) in parts.iter().zip([0.3, 0.3, 0.4]) {
        assert!((part - due).abs() <= 0.1, "{parts:.3?}");
    }
}

/// For how many windows of 100 ms in a row a program that worked all the time did nothing, at worst, while everything
/// changes and programs are killed.
fn longest_without_progress(seed: u64, for_ms: u64) -> u32 {
    const MIXES: [[u32; 3]; 5] = [
        [25, 35, 40],
        [10, 30, 60],
        [50, 25, 25],
        [5, 45, 50],
        [40, 40, 20],
    ];
    let mut draws = seed * 1_000_000;
    let mut below = |n: u64| {
        draws += 1;
        random(draws, n)
    };
    let kinds = [us(100), us(1_000), us(500)].map(|ns| Kind::Saturate(vec![ns]));
    let programs = kinds.map(|kind| (balanced(33), kind));
    let mut node = Node::new(&programs);
    let (mut idle, mut longest) = ([0_u32; 3], 0);
    for _ in 0..for_ms / 100 {
        let tenant = below(3) as usize;
        match below(8) {
            0 => {
                node.replace(tenant, ms(below(250)));
                idle[tenant] = 0;
            }
            1 => {
                for (tenant, percent) in MIXES[below(5) as usize].into_iter().enumerate() {
                    node.set_percent(tenant, percent);
                }
            }
            2 => node.set_mode(
                tenant,
                [Mode::Balanced, Mode::Strict, Mode::None][below(3) as usize],
            ),
            3 => node.set_priority(
                tenant,
                [Priority::High, Priority::Normal, Priority::Low][below(3) as usize],
            ),
            _ => {}
        }
        for (idle, done) in idle.iter_mut().zip(node.run(ms(100))) {
            *idle = if done == 0 { *idle + 1 } else { 0 };
            longest = longest.max(*idle);
        }
    }
    longest
}

#[test]
fn whatever_changes_nobody_starves() {
    let longest = [1, 6].map(|seed| longest_without_progress(seed, 30_000));
    println!("simulated: {longest:?} windows of 100 ms without progress");
    // A tenant of low priority has a tenth of its share, down to a hundredth of the device and less.
    assert!(longest.iter().all(|it| *it <= 8), "{longest:?}");
}

fn saturate() -> Kind {
    Kind::Saturate(vec![us(250)])
}

/// What a program does in each of `windows` of 100 ms.
fn windows(node: &mut Node, program: usize, windows: usize) -> Vec<u64> {
    (0..windows).map(|_| node.run(ms(100))[program]).collect()
}

/// While one is at its ceiling and another just starts, a third of low priority has what is left, and owes nobody for it.
#[test]
fn what_the_others_could_not_have_is_not_paid_back() {
    let programs = [
        (Limits::of(Mode::Strict, 40), saturate()),
        (balanced(40), saturate()),
        (balanced(20).with(Priority::Low), saturate()),
    ];
    let mut node = Node::new(&programs);
    node.run(ms(1_000));
    node.replace(1, ms(150));
    let lent = node.run(ms(150));
    assert!(lent[2] >= ms(50), "there was something to lend: {lent:?}");
    node.set_priority(2, Priority::Normal);
    let then = windows(&mut node, 2, 10);
    println!(
        "simulated: lent {}, then {then:?} ns in windows of 100 ms",
        lent[2]
    );
    assert!(then.iter().all(|ns| *ns >= ms(10)), "{then:?}");
}

/// Whoever had no more than its ceiling is owed nothing for that when the ceiling is lifted.
#[test]
fn what_a_ceiling_kept_from_a_tenant_is_not_made_up() {
    let limits = [
        Limits::of(Mode::Strict, 20),
        balanced(40),
        balanced(40).with(Priority::Low),
    ];
    let mut node = Node::new(&limits.map(|limits| (limits, saturate())));
    node.run(ms(5_000));
    node.set_mode(0, Mode::Balanced);
    let then = windows(&mut node, 1, 10);
    println!("simulated: a ceiling is lifted, then another has {then:?} ns in windows of 100 ms");
    assert!(then.iter().all(|ns| *ns >= ms(30)), "{then:?}");
}

/// A tenant that takes no turns is owed none for that, and neither is one that comes meanwhile: the others go on.
#[test]
fn who_took_no_turns_is_owed_none() {
    let programs = [Mode::None, Mode::Balanced, Mode::Balanced, Mode::Balanced];
    let mut node = Node::new(&programs.map(|mode| (Limits::of(mode, 25), saturate())));
    node.programs[3].from_ns = ms(2_000);
    node.run(ms(2_000));
    let beside_newcomer = windows(&mut node, 1, 10);
    node.set_mode(0, Mode::Balanced);
    let beside_all = windows(&mut node, 1, 10);
    println!("simulated: {beside_newcomer:?}, then {beside_all:?} ns in windows of 100 ms");
    // What the first submitted while nothing held it back runs first of all.
    for done in [beside_newcomer, beside_all] {
        assert!(done.iter().all(|ns| *ns >= ms(2)), "{done:?}");
    }
}
