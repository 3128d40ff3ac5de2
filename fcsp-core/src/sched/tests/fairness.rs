//! How evenly the device is divided: many tenants, many modes, programs of every temper.

use super::programs::{Kind, Limits, Node, balanced};
use crate::policy::Mode;
use crate::sched::clock::{ms, us};

fn saturate(ns: u64) -> Kind {
    Kind::Saturate(vec![ns])
}

fn strict(percent: u32) -> Limits {
    Limits::of(Mode::Strict, percent)
}

fn decoder() -> Kind {
    Kind::Steps {
        kernels: 150,
        kernel_ns: us(10),
        cpu_ns: us(25),
        pause_ns: us(5),
    }
}

fn pingpong() -> Kind {
    Kind::Steps {
        kernels: 1,
        kernel_ns: us(100),
        cpu_ns: 0,
        pause_ns: us(10),
    }
}

/// Jain's index of what each got for its weight (Jain, Chiu, Hawe: A Quantitative Measure of
/// Fairness, DEC TR-301, 1984): 1 if all got the same.
pub fn jain(done: &[u64], weights: &[u32]) -> f64 {
    let got: Vec<f64> = done
        .iter()
        .zip(weights)
        .map(|(done, weight)| *done as f64 / f64::from(*weight))
        .collect();
    let sum: f64 = got.iter().sum();
    let squares: f64 = got.iter().map(|it| it * it).sum();
    sum * sum / (got.len() as f64 * squares)
}

/// Standard deviation over mean.
fn spread(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / count;
    variance.sqrt() / mean
}

fn part(done: &[u64], at: usize, ns: u64) -> f64 {
    done[at] as f64 / ns as f64
}

/// What the decoder, or whatever is of that kind, does with the device when nobody else works.
fn alone(kind: &Kind) -> f64 {
    let mut node = Node::new(&[(balanced(50), kind.clone()), (balanced(50), Kind::Idle)]);
    node.run(ms(500));
    part(&node.run(ms(1000)), 0, ms(1000))
}

#[test]
fn weighted_fairness_of_2_4_and_8_tenants() {
    let cases: [&[u32]; 3] = [
        &[30, 70],
        &[10, 20, 30, 40],
        &[5, 5, 10, 10, 15, 15, 20, 20],
    ];
    for percents in cases {
        let programs: Vec<_> = percents
            .iter()
            .enumerate()
            .map(|(at, percent)| (balanced(*percent), saturate(us(100 + 50 * at as u64))))
            .collect();
        let mut node = Node::new(&programs);
        node.run(ms(500));
        let done = node.run(ms(2000));
        let index = jain(&done, percents);
        println!("simulated: {} tenants, Jain {index:.5}", percents.len());
        assert!(index >= 0.999, "{percents:?}: {index:.5} of {done:?}");
    }
}

/// Wherever in the period they begin: some of them begin and end in somebody's turn.
#[test]
fn windows_of_100_ms_are_alike() {
    for percents in [&[25, 75][..], &[25, 35, 40], &[50, 50]] {
        for later_us in [0, 5_000, 10_000, 17_500] {
            let programs: Vec<_> = percents
                .iter()
                .map(|percent| (balanced(*percent), saturate(us(250))))
                .collect();
            let mut node = Node::new(&programs);
            node.run(ms(500) + us(later_us));
            let windows: Vec<_> = (0..60).map(|_| node.run(ms(100))).collect();
            for (at, percent) in percents.iter().enumerate() {
                let parts: Vec<_> = windows.iter().map(|it| part(it, at, ms(100))).collect();
                println!(
                    "simulated: {percent} % of {percents:?}, windows {later_us} us later, spread {:.4}",
                    spread(&parts)
                );
                assert!(
                    spread(&parts) <= 0.012,
                    "{percent} % of {percents:?}: {parts:?}"
                );
            }
            let total: u64 = windows.iter().flatten().sum();
            let total = total as f64 / ms(6000) as f64;
            assert!(total >= 0.97, "{percents:?}: total {total:.3}");
        }
    }
}

/// With several queues nobody knows which marker is the first and which the last.
#[test]
fn hand_overs_to_programs_with_several_queues_are_not_charged_to_them() {
    for percents in [[50, 50], [25, 75], [60, 40]] {
        let programs = percents.map(|percent| (balanced(percent), saturate(us(150))));
        let mut node = Node::new(&programs);
        node.programs[1].queues = 4;
        node.set_slow_to_begin_ns(1, us(300));
        node.run(ms(1000));
        let done = node.run(ms(2000));
        let total = (done[0] + done[1]) as f64;
        let parts = [0, 1].map(|at| 100.0 * done[at] as f64 / total);
        println!("simulated: {percents:?}, {parts:.2?}");
        let off = (parts[1] - f64::from(percents[1])).abs();
        assert!(off <= 0.5, "{percents:?}: {parts:.2?}");
    }
}

/// One whose kernels are alike, one whose kernels are not, and one with several queues.
#[test]
fn three_of_unlike_ways_have_their_shares_in_every_second() {
    let percents = [25, 35, 40];
    let lengths = [
        vec![us(250)],
        vec![us(100), us(250), us(5000)],
        vec![us(100), us(250)],
    ];
    let programs = [0, 1, 2].map(|at| {
        let kind = Kind::Alike(lengths[at].clone());
        (balanced(percents[at]), kind)
    });
    let mut node = Node::new(&programs);
    node.programs[2].queues = 4;
    node.set_slow_to_begin_ns(2, us(300));
    node.run(ms(2000));
    for second in 0..6 {
        let done = node.run(ms(1000));
        let total = done.iter().sum::<u64>() as f64;
        let parts = [0, 1, 2].map(|at| 100.0 * done[at] as f64 / total);
        println!("simulated: {parts:.2?}, {:.3}", total / ms(1000) as f64);
        for (part, percent) in parts.iter().zip(percents) {
            let off = (part - f64::from(percent)).abs();
            assert!(off <= 1.0, "second {second}: {parts:.2?}");
        }
        assert!(total >= 0.978 * ms(1000) as f64, "second {second}: {total}");
    }
}

/// How late the arbiter looks on quick and on busy hosts, and whether threads wait for grants in place of queues.
fn hosts() -> impl Iterator<Item = (u64, bool)> {
    let late = [us(10), us(100), us(300), us(1000)];
    late.into_iter().flat_map(|ns| [(ns, false), (ns, true)])
}

/// A node whose arbiter looks so late, after a second in which programs find their pace.
fn late_node(programs: &[(Limits, Kind)], (late_ns, threads_wait): (u64, bool)) -> Node {
    let mut node = Node::new(programs);
    if threads_wait {
        node.let_threads_wait();
    }
    node.wake_latency_ns = late_ns;
    node.run(ms(1000));
    node
}

#[test]
fn what_nobody_saw_to_be_over_is_nobodys() {
    for host in hosts() {
        let programs = [25, 75].map(|percent| (balanced(percent), saturate(us(250))));
        let mut node = late_node(&programs, host);
        for _ in 0..5 {
            let done = node.run(ms(1000));
            let got = part(&done, 0, done[0] + done[1]);
            println!("simulated: {host:?}, 25 % got {got:.4}");
            assert!((got - 0.25).abs() <= 0.01, "{host:?}: {got}");
        }
    }
}

#[test]
fn a_ceiling_is_reached_however_late_the_arbiter_looks() {
    for host in hosts() {
        let mut node = late_node(&[(strict(25), saturate(us(250)))], host);
        for _ in 0..5 {
            let got = part(&node.run(ms(1000)), 0, ms(1000));
            println!("simulated: {host:?}, strict 25 % got {got:.4}");
            assert!((got - 0.25).abs() <= 0.01, "{host:?}: {got}");
        }
    }
}

/// Whose share is less than the shortest turn has one in every other round: one in each would cost more hand-overs.
#[test]
fn tiny_shares_cost_the_others_little() {
    for percents in [&[1, 99][..], &[1, 3, 5, 91]] {
        let programs: Vec<_> = percents
            .iter()
            .map(|percent| (balanced(*percent), saturate(us(250))))
            .collect();
        let mut node = Node::new(&programs);
        node.set_switch_ns(us(160));
        node.run(ms(1_500));
        let done = node.run(ms(4_000));
        let total: u64 = done.iter().sum();
        println!("simulated: {percents:?} %, {done:?} of 4 s");
        assert!(total >= ms(3_880), "{percents:?}: {done:?}");
        for (ns, percent) in done.iter().zip(percents) {
            let error = 100.0 * *ns as f64 / total as f64 - f64::from(*percent);
            assert!(error.abs() <= 0.2, "{percents:?}: {done:?}");
        }
    }
}

#[test]
fn sixty_four_tenants_share_evenly() {
    let programs: Vec<_> = (0..64).map(|_| (balanced(1), saturate(us(250)))).collect();
    let mut node = Node::new(&programs);
    node.run(ms(500));
    let done = node.run(ms(1000));
    let index = jain(&done, &[1; 64]);
    println!("simulated: 64 tenants, Jain {index:.5}");
    assert!(index >= 0.99, "{index:.5} of {done:?}");
}

#[test]
fn two_decoders_share_one_device() {
    let mut node = Node::new(&[(balanced(50), decoder()), (balanced(50), decoder())]);
    node.run(ms(500));
    let done = node.run(ms(2000));
    let alone = alone(&decoder());
    let parts = [0, 1].map(|at| part(&done, at, ms(2000)) / alone);
    println!("simulated: two decoders, {parts:.3?} of alone");
    assert!(parts.iter().all(|it| *it >= 0.8), "{parts:.3?} of alone");
}

#[test]
fn a_decoder_a_pingpong_and_a_saturating_program_all_get_on() {
    let mut node = Node::new(&[
        (balanced(33), decoder()),
        (balanced(33), pingpong()),
        (balanced(34), saturate(us(250))),
    ]);
    node.run(ms(500));
    let done = node.run(ms(2000));
    let parts = [0, 1, 2].map(|at| part(&done, at, ms(2000)));
    println!("simulated: decoder, pingpong, saturating, {parts:.3?} of the device");
    // The decoder wants 0.36 of the device and is entitled to 0.33; the pingpong wants 0.8.
    assert!(
        parts[0] >= 0.25 && parts[1] >= 0.2 && parts[2] >= 0.25,
        "{parts:.3?}"
    );
}

#[test]
fn a_program_that_goes_quiet_with_an_open_segment_holds_nobody_up() {
    let bursts = Kind::Bursts {
        kernels: 2,
        kernel_ns: us(100),
        pause_ns: ms(7),
    };
    let mut node = Node::new(&[(balanced(50), bursts), (balanced(50), saturate(us(250)))]);
    node.run(ms(500));
    let done = node.run(ms(2000));
    let parts = [0, 1].map(|at| part(&done, at, ms(2000)));
    println!("simulated: bursts and saturating, {parts:.3?} of the device");
    // It wants 0.2 ms in 7.
    assert!(parts[0] >= 0.026, "{parts:.3?}");
    assert!(parts[1] >= 0.88, "{parts:.3?}");
}

#[test]
fn work_that_never_finishes_loses_its_turn() {
    let mut node = Node::new(&[
        (balanced(50), Kind::Stuck),
        (balanced(50), saturate(us(250))),
    ]);
    node.run(ms(500));
    let windows: Vec<_> = (0..20)
        .map(|_| part(&node.run(ms(100)), 1, ms(100)))
        .collect();
    println!("simulated: beside a stuck program, {windows:.2?} of each 100 ms");
    // Each of its segments that comes up costs the others the bound, 50 ms, and no more; the account
    // keeps them apart.
    assert!(windows.iter().all(|it| *it >= 0.4), "{windows:.2?}");
}

#[test]
fn a_strict_tenant_leaves_the_rest_to_a_balanced_one() {
    let mut node = Node::new(&[
        (strict(30), saturate(us(250))),
        (balanced(30), saturate(us(250))),
    ]);
    node.run(ms(500));
    let done = node.run(ms(2000));
    let parts = [0, 1].map(|at| part(&done, at, ms(2000)));
    println!("simulated: strict 30 and balanced 30, {parts:.3?} of the device");
    assert!((parts[0] - 0.3).abs() <= 0.01, "{parts:.3?}");
    assert!(parts[1] >= 0.65, "{parts:.3?}");
}

#[test]
fn a_tenant_without_limits_is_never_gated() {
    let none = Limits::of(Mode::None, 0);
    // The simulated device does not slice time, so a neighbour that never pauses would keep it.
    let bursts = Kind::Bursts {
        kernels: 2,
        kernel_ns: us(100),
        pause_ns: ms(1),
    };
    let mut node = Node::new(&[
        (none, bursts),
        (balanced(50), saturate(us(250))),
        (balanced(50), saturate(us(250))),
    ]);
    node.run(ms(500));
    let done = node.run(ms(2000));
    let parts = [0, 1, 2].map(|at| part(&done, at, ms(2000)));
    println!("simulated: none, balanced 50, balanced 50, {parts:.3?} of the device");
    // It wants 0.2 ms in 1, and gets it whoever has the turn.
    assert!(parts[0] >= 0.19, "{parts:.3?}");
    assert!((parts[1] - parts[2]).abs() <= 0.02, "{parts:.3?}");
    assert!(parts[1] + parts[2] >= 0.5, "{parts:.3?}");
}

#[test]
fn tenants_that_come_and_go_take_no_more_and_leave_no_less() {
    let mut node = Node::new(&[
        (balanced(40), saturate(us(250))),
        (balanced(40), saturate(us(250))),
        (balanced(20), saturate(us(250))),
    ]);
    node.programs[2].from_ns = ms(800);
    node.programs[2].until_ns = ms(1600);
    let (both, three) = ([0.5, 0.5, 0.0], [0.4, 0.4, 0.2]);
    // The times between are those in which the others find out: 200 ms without work is idle.
    for (wait_ms, expected) in [(500, both), (400, three), (1100, both)] {
        node.run(ms(wait_ms));
        let done = node.run(ms(250));
        let parts = [0, 1, 2].map(|at| part(&done, at, ms(250)));
        let errors = parts.iter().zip(expected).map(|(got, due)| due - got);
        assert!(
            errors.into_iter().all(|error| error.abs() <= 0.03),
            "{parts:.3?} where {expected:?} was due"
        );
    }
}

#[test]
fn limits_changed_again_and_again_hold_within_50_ms() {
    let mut node = Node::new(&[
        (balanced(25), saturate(us(250))),
        (balanced(75), saturate(us(250))),
    ]);
    node.run(ms(500));
    // A linear congruential generator (Knuth, MMIX): any numbers will do that are always the same.
    let mut seed = 20_261_120_u64;
    for _ in 0..12 {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let percent = 10 + (seed >> 33) as u32 % 81;
        node.set_percent(0, percent);
        node.set_percent(1, 100 - percent);
        node.run(ms(50));
        // A turn of up to 16 ms more or less falls into the window: 4 points of 400 ms.
        let done = node.run(ms(400));
        let got = done[0] as f64 / (done[0] + done[1]) as f64;
        let error = (got * 100.0 - f64::from(percent)).abs();
        assert!(error <= 4.0, "seed {seed}: {percent} % got {got:.3}");
    }
}
