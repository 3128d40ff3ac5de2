//! Adaptive mode: rounds as long as those bear who wait for results.

use super::programs::{Kind, Limits, Node};
use super::scenarios::DECODER;
use crate::policy::Mode;
use crate::sched::clock::{ms, us};

/// One kernel of 0.1 ms, its result, and again.
const PING_PONG: Kind = Kind::Steps {
    kernels: 1,
    kernel_ns: us(100),
    cpu_ns: 0,
    pause_ns: us(10),
};
/// The longest of a hundred waits of the first program, in milliseconds, and what the device did, of two
/// seconds; the second program never waits.
fn beside_saturating(mode: Mode, kind: &Kind) -> (f64, f64) {
    let saturating = Kind::Saturate(vec![us(250)]);
    let programs = [kind.clone(), saturating].map(|kind| (Limits::of(mode, 50), kind));
    let mut node = Node::new(&programs);
    node.run(ms(2_000));
    node.programs[0].latencies_ns.clear();
    let done = node.run(ms(2_000));
    let mut waits = std::mem::take(&mut node.programs[0].latencies_ns);
    waits.sort_unstable();
    let longest = waits[waits.len() * 99 / 100] as f64 / ms(1) as f64;
    let total = done.iter().sum::<u64>() as f64 / ms(2_000) as f64;
    println!("simulated: {mode:?}, waits {longest:.2} ms at most, total {total:.3}");
    (longest, total)
}

#[test]
fn rounds_are_short_where_somebody_feels_it() {
    let (balanced, _) = beside_saturating(Mode::Balanced, &PING_PONG);
    let (adaptive, total) = beside_saturating(Mode::Adaptive, &PING_PONG);
    assert!(adaptive <= balanced / 2.0, "{adaptive} and {balanced} ms");
    // Hand-overs take a tenth at most; the program leaves idle as much between its kernels.
    assert!(total >= 0.75, "{total}");
}

/// A decoder has its turn just in time, whatever the length of a round.
#[test]
fn rounds_are_long_where_nobody_does() {
    let programs = [DECODER, Kind::Saturate(vec![us(250)])];
    let done = |mode| {
        let programs = programs.clone().map(|kind| (Limits::of(mode, 50), kind));
        let mut node = Node::new(&programs);
        node.run(ms(3_000));
        (node.run(ms(2_000)), node.round_ns())
    };
    let (balanced, _) = done(Mode::Balanced);
    let (adaptive, round_ns) = done(Mode::Adaptive);
    println!("simulated: rounds of {round_ns:?} ns, {adaptive:?}, balanced {balanced:?}");
    assert_eq!(round_ns, Some(ms(25)));
    for (adaptive, balanced) in adaptive.iter().zip(&balanced) {
        assert!(
            *adaptive >= balanced / 100 * 96,
            "{adaptive} and {balanced}"
        );
    }
}

#[test]
fn a_round_stays_as_it_is_where_waits_are_borne() {
    let programs = [PING_PONG, Kind::Saturate(vec![us(250)])];
    let mut node = Node::new(&programs.map(|kind| (Limits::of(Mode::Adaptive, 50), kind)));
    node.run(ms(2_000));
    let settled = node.round_ns();
    let mut changes = 0;
    for _ in 0..20 {
        let before = node.round_ns();
        node.run(ms(200));
        changes += usize::from(node.round_ns() != before);
    }
    println!("simulated: rounds of {settled:?} ns, changed {changes} times in 4 s");
    assert!(settled.is_some_and(|ns| ns < ms(10)), "{settled:?}");
    assert!(changes <= 2, "changed {changes} times");
}

/// Where hand-overs are dear, rounds are as long as those ask for, and not by up to a quarter longer for where they came from.
#[test]
fn the_shortest_rounds_go_by_what_hand_overs_cost() {
    let programs = [PING_PONG, Kind::Saturate(vec![us(250)])];
    let rounds_ns = [180, 190, 200, 210, 220, 230].map(|switch_us| {
        let mut node = Node::new(
            &programs
                .clone()
                .map(|kind| (Limits::of(Mode::Adaptive, 50), kind)),
        );
        node.set_switch_ns(us(switch_us));
        node.run(ms(4_000));
        let round_ns = node.round_ns().expect("somebody is adaptive");
        println!("simulated: switches of {switch_us} us, rounds of {round_ns} ns");
        round_ns
    });
    for pair in rounds_ns.windows(2) {
        let (shorter, longer) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        assert!(longer - shorter <= longer / 8, "{rounds_ns:?}");
    }
}

#[test]
fn it_is_balanced_again_with_the_mode() {
    let programs = [PING_PONG, Kind::Saturate(vec![us(250)])];
    let mut node = Node::new(&programs.map(|kind| (Limits::of(Mode::Adaptive, 50), kind)));
    node.run(ms(1_000));
    assert!(node.round_ns().is_some());
    (0..2).for_each(|tenant| node.set_mode(tenant, Mode::Balanced));
    node.run(ms(100));
    assert_eq!(node.round_ns(), None);
}
