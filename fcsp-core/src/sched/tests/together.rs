//! Devices on which processes can run at once: together where that is better for everybody, else in turns.

use super::programs::{Kind, Limits, Node, balanced};
use super::scenarios::{DECODE, DECODER, TRAIN};
use crate::policy::{Mode, Sharing};
use crate::sched::clock::{ms, us};

fn saturate() -> Kind {
    Kind::Saturate(vec![us(250)])
}

/// What each got of the device, after `settle_ms`.
fn parts(node: &mut Node, settle_ms: u64) -> Vec<f64> {
    node.run(ms(settle_ms));
    let done = node.run(ms(2_000));
    done.iter()
        .map(|ns| *ns as f64 / ms(2_000) as f64)
        .collect()
}

#[test]
fn programs_that_leave_each_other_alone_run_together() {
    let programs = [(balanced(50), saturate()), (balanced(50), saturate())];
    let got = parts(&mut Node::concurrent(20, &programs), 1_500);
    println!("simulated: together, each 20 % slower beside the other, {got:.3?}");
    assert!(got.iter().all(|part| *part >= 0.75), "{got:.3?}");
}

/// What somebody had too much in a trial it pays back at once: in every second there is a part of one.
#[test]
fn programs_that_gain_nothing_take_turns_at_their_shares() {
    let programs = [(balanced(25), saturate()), (balanced(75), saturate())];
    let mut node = Node::concurrent(110, &programs);
    node.run(ms(1_000));
    for _ in 0..6 {
        let done = node.run(ms(1_000));
        let total = done.iter().sum::<u64>() as f64;
        let share = done[0] as f64 / total;
        println!("simulated: each 110 % slower beside the other, 25 %: {share:.4}");
        assert!((share - 0.25).abs() <= 0.01, "{share:.4}");
        assert!(total / ms(1_000) as f64 >= 0.93, "{done:?}");
    }
}

/// A host that hands turns over late makes them look bad while they are watched. Nobody is judged by that afterwards.
#[test]
fn shares_are_not_measured_by_turns_that_a_busy_host_spoilt() {
    let programs = [(balanced(25), saturate()), (balanced(75), saturate())];
    let mut node = Node::concurrent(100, &programs);
    let usual_ns = node.wake_latency_ns;
    node.wake_latency_ns = ms(18);
    let watched = node.run(ms(450));
    println!("simulated: turns that are handed over late, {watched:?} of 450 ms");
    assert!(watched.iter().sum::<u64>() < ms(330), "they look bad");
    node.wake_latency_ns = usual_ns;
    node.run(ms(550));
    for _ in 0..3 {
        let done = node.run(ms(1_000));
        let share = done[0] as f64 / done.iter().sum::<u64>() as f64;
        println!("simulated: each takes twice as long beside the other, 25 %: {share:.4}");
        assert!((share - 0.25).abs() <= 0.01, "{share:.4}");
    }
}

#[test]
fn nobody_has_less_than_in_turns_for_the_others_sake() {
    // Together both would have 0.69: more in total, and less than the second's share. So the first is held back.
    let programs = [(balanced(10), saturate()), (balanced(90), saturate())];
    let mut node = Node::concurrent(45, &programs);
    let got = parts(&mut node, 3_000);
    println!("simulated: 10 and 90 %, each 45 % slower beside the other, {got:.3?}");
    assert!(node.runs_together());
    assert!(got[0] >= 0.15 && got[1] >= 0.85, "{got:.3?}");
}

/// Between two steps they have nothing to do for a moment, and are at work all the same.
#[test]
fn programs_that_wait_run_together_if_they_leave_each_other_alone() {
    for (one, other) in [(DECODER, DECODER), (DECODE, TRAIN)] {
        let alone = |kind: &Kind| {
            let programs = [(balanced(50), kind.clone()), (balanced(50), Kind::Idle)];
            parts(&mut Node::concurrent(10, &programs), 500)[0]
        };
        let (one_alone, other_alone) = (alone(&one), alone(&other));
        let programs = [(balanced(50), one), (balanced(50), other)];
        let got = parts(&mut Node::concurrent(10, &programs), 2_500);
        let of_alone = [got[0] / one_alone, got[1] / other_alone];
        println!("simulated: together, each 10 % slower beside the other, {of_alone:.3?} of alone");
        assert!(of_alone.iter().all(|it| *it >= 0.9), "{of_alone:.3?}");
        assert!(of_alone.iter().sum::<f64>() >= 1.85, "{of_alone:.3?}");
    }
}

/// To see that costs it a step now and then.
#[test]
fn a_decoder_is_not_left_to_a_neighbour_that_starves_it() {
    let programs = [(balanced(50), DECODER), (balanced(50), saturate())];
    let mut node = Node::concurrent(400, &programs);
    node.run(ms(1_500));
    node.programs[0].latencies_ns.clear();
    node.run(ms(5_000));
    let mut steps = std::mem::take(&mut node.programs[0].latencies_ns);
    steps.sort_unstable();
    let at = |percent: usize| steps[steps.len() * percent / 100] as f64 / ms(1) as f64;
    println!(
        "simulated: a step takes {:.2} ms, p99 {:.2} ms",
        at(50),
        at(99)
    );
    assert!(
        at(99) <= at(50) + 0.3,
        "{:.2} ms, p99 {:.2} ms",
        at(50),
        at(99)
    );
}

/// What is not counted need not be gated, where everybody waits; and programs that begin to disturb each other
/// are noticed within seconds.
#[test]
fn programs_that_wait_pass_untouched_while_they_run_together() {
    let programs = [(balanced(50), DECODER), (balanced(50), DECODER)];
    let mut node = Node::concurrent(10, &programs);
    node.run(ms(1_500));
    let gated = (0..400).filter(|_| {
        node.run(ms(10));
        node.is_gated(0) || node.is_gated(1)
    });
    let gated = gated.count();
    println!("simulated: together, gated {gated} of 400 times");
    assert!(gated <= 20, "{gated} of 400");
    let together = node.run(ms(1_000));
    node.set_slower(400);
    node.run(ms(3_500));
    let in_turns = node.run(ms(1_000));
    println!("simulated: {together:?}, where they would disturb each other {in_turns:?}");
    let has = |(here, before): (&u64, &u64)| here * 100 >= before * 92;
    assert!(in_turns.iter().zip(&together).all(has), "{in_turns:?}");
}

#[test]
fn together_ends_with_the_neighbour_and_begins_again_with_the_next() {
    let programs = [(balanced(50), saturate()), (balanced(50), saturate())];
    let mut node = Node::concurrent(20, &programs);
    node.programs[1].until_ns = ms(2_000);
    let both = parts(&mut node, 1_000);
    assert!(both[0] >= 0.75, "{both:.3?}");
    let alone = parts(&mut node, 500);
    assert!(alone[0] >= 0.99, "{alone:.3?}");
}

/// Whether turns are watched when one of three is killed, or a trial is on, or has just failed.
#[test]
fn the_others_have_what_a_killed_program_held_at_once() {
    const WINDOW_NS: u64 = ms(4);
    let of_two = |node: &mut Node| node.run(WINDOW_NS)[..2].iter().sum::<u64>();
    for slower_percent in [100, 200] {
        for beside_ms in (100..900).step_by(37) {
            let programs = [33, 33, 34].map(|percent| (balanced(percent), saturate()));
            let mut node = Node::concurrent(slower_percent, &programs);
            node.programs[2].from_ns = ms(1_000);
            node.run(ms(700));
            let mut before: Vec<u64> = (0..75).map(|_| of_two(&mut node)).collect();
            before.sort_unstable();
            node.run(ms(beside_ms));
            node.kill(2);
            let after: Vec<u64> = (0..75).map(|_| of_two(&mut node)).collect();
            let is_full = |ns: &u64| *ns * 4 >= before[before.len() / 2] * 3;
            // Another trial may begin later: for 60 ms they have everything.
            let resumed = after.windows(15).position(|it| it.iter().all(is_full));
            let resumed = resumed.unwrap_or(after.len());
            println!(
                "simulated: each {slower_percent} % slower beside the others, one of three is killed after {beside_ms} ms: \
                 {resumed} windows of 4 ms"
            );
            assert!(resumed <= 2, "{after:?}");
        }
    }
}

#[test]
fn a_device_that_runs_one_at_a_time_is_never_tried() {
    let programs = [(balanced(25), saturate()), (balanced(75), saturate())];
    let mut node = Node::new(&programs);
    node.run(ms(500));
    for _ in 0..20 {
        let done = node.run(ms(100));
        assert!(done[0] <= ms(27), "{done:?}");
    }
}

#[test]
fn a_ceiling_that_a_partition_keeps_need_not_be_kept_in_time() {
    let strict = |percent| Limits::of(Mode::Strict, percent);
    let programs = [(strict(25), saturate()), (strict(75), saturate())];
    let mut node = Node::concurrent(0, &programs);
    let in_time = parts(&mut node, 1_500);
    assert!(in_time[0] <= 0.27, "{in_time:.3?}");
    node.set_partition(0, 25);
    node.set_partition(1, 75);
    let confined = parts(&mut node, 1_500);
    // This device has no partitions: what they would leave is seen as the whole.
    assert!(confined.iter().all(|part| *part >= 0.95), "{confined:.3?}");
}

/// A step of decoding that takes 7 ms of a slow processor, and one of training that takes 15 ms of it.
const DECODE_SLOWLY: Kind = Kind::Phases(&[(317, us(5), us(22))]);
const TRAIN_SLOWLY: Kind = Kind::Phases(&[
    (160, us(12), us(32)),
    (300, us(26), us(32)),
    (7, us(250), us(32)),
]);

/// Steps that programs make in 4 s, on a host of which no step takes the same time.
fn steps(mut node: Node, wake_latency_us: u64) -> Vec<f64> {
    node.wake_latency_ns = us(wake_latency_us);
    for (at, program) in node.programs.iter_mut().enumerate() {
        program.uneven = Some(1_000 * at as u64 + 1);
    }
    node.run(ms(2_500));
    for program in &mut node.programs {
        program.latencies_ns.clear();
    }
    node.run(ms(4_000));
    let made = node.programs.iter().map(|it| it.latencies_ns.len());
    made.map(|steps| steps as f64).collect()
}

/// What two programs with equal shares do of what they do alone, on a device that runs one process at a time: in turns,
/// and where the driver may slice time among them.
fn in_turns_and_sliced(cast: &[Kind; 2], wake_latency_us: u64) -> [Vec<f64>; 2] {
    let alone = cast.each_ref().map(|kind| {
        let programs = [(balanced(50), kind.clone()), (balanced(50), Kind::Idle)];
        steps(Node::new(&programs), wake_latency_us)[0]
    });
    [Sharing::Exclusive, Sharing::Auto].map(|sharing| {
        let node = Node::new(&cast.clone().map(|kind| (balanced(50), kind)));
        node.want(sharing);
        let steps = steps(node, wake_latency_us);
        let of_alone: Vec<f64> = steps.iter().zip(alone).map(|(it, of)| it / of).collect();
        println!("simulated: {sharing:?}, {of_alone:.3?} of alone");
        of_alone
    })
}

/// Where everybody keeps its pace in turns, nothing is tried.
#[test]
fn turns_stay_where_time_slices_are_no_better() {
    for cast in [
        [DECODE_SLOWLY, DECODE_SLOWLY],
        [DECODE_SLOWLY, TRAIN_SLOWLY],
        [DECODER, DECODER],
    ] {
        let [in_turns, sliced] = in_turns_and_sliced(&cast, 10);
        let no_less = |(had, has): (&f64, &f64)| *has >= had - 0.01;
        assert!(
            in_turns.iter().zip(&sliced).all(no_less),
            "{in_turns:.3?}, {sliced:.3?}"
        );
    }
}

/// A host on which it takes 1.2 ms until the arbiter looks hands over so late that programs with little to do are better
/// off with the driver.
#[test]
fn programs_that_do_not_fill_a_device_are_left_to_its_driver_where_that_is_better() {
    let [in_turns, sliced] = in_turns_and_sliced(&[DECODE_SLOWLY, DECODE_SLOWLY], 1_200);
    let sum = |of_alone: &[f64]| of_alone.iter().sum::<f64>();
    assert!(
        sum(&sliced) >= sum(&in_turns) + 0.05,
        "{in_turns:.3?}, {sliced:.3?}"
    );
    assert!(sliced.iter().all(|it| *it >= 0.95), "{sliced:.3?}");
}

/// A host that hands over late while programs find their pace makes turns look worse than they are. They are watched
/// once more before they are given up.
#[test]
fn turns_that_looked_bad_at_first_are_not_given_up_for_that() {
    let programs = [DECODE_SLOWLY, DECODE_SLOWLY].map(|kind| (balanced(50), kind));
    let mut node = Node::new(&programs);
    for (at, program) in node.programs.iter_mut().enumerate() {
        program.uneven = Some(1_000 * at as u64 + 1);
    }
    let usual_ns = node.wake_latency_ns;
    node.wake_latency_ns = us(1_200);
    let mut looks = 0;
    while !node.runs_together() {
        assert!(looks < 300, "that is worse than time slices");
        node.run(ms(10));
        looks += 1;
    }
    node.wake_latency_ns = usual_ns;
    node.run(ms(500));
    let looks = (0..300).filter(|_| {
        node.run(ms(10));
        node.runs_together()
    });
    assert_eq!(looks.count(), 0, "of 300");
}

/// Its time slices are of no use to somebody who waits beside somebody who never does.
#[test]
fn programs_that_fill_a_device_take_turns() {
    let casts = [(10, DECODER), (10, DECODE), (2_000, DECODER)];
    for (wake_latency_us, one) in casts {
        let programs = [(balanced(50), one), (balanced(50), saturate())];
        let mut node = Node::new(&programs);
        // A host that is late slows the one down, in turns as well.
        node.wake_latency_ns = us(wake_latency_us);
        node.run(ms(500));
        let looks = (0..300).filter(|_| {
            node.run(ms(10));
            node.runs_together()
        });
        assert_eq!(looks.count(), 0, "of 300");
    }
}

/// What a process had done when turns began to be watched says nothing of its successor in the slot.
#[test]
fn a_process_that_takes_the_slot_of_another_is_not_taken_for_it() {
    let mut tried = 0;
    // By how much turns are worse than time slices at any of these differs from round to round.
    for late_us in (1_000..2_000).step_by(100) {
        let mut node = Node::new(&[DECODE_SLOWLY, DECODE_SLOWLY].map(|kind| (balanced(50), kind)));
        node.wake_latency_ns = us(late_us);
        node.programs[1].uneven = Some(1);
        for _ in 0..15 {
            // Within the 0.3 s for which turns are watched.
            node.run(ms(170));
            node.replace(0, 0);
            node.programs[0].guess_ns = us(5);
            node.programs[0].uneven = Some(2);
            for _ in 0..23 {
                node.run(ms(10));
                tried += usize::from(node.runs_together());
            }
            assert!(node.programs[0].latencies_ns.len() >= 15, "it works");
        }
    }
    assert!(tried > 0, "turns were watched to their end in between");
}
