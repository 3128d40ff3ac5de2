//! Two jobs on two devices, each with a rank on both: whoever has the turn on one device waits for
//! work that has to wait for its turn on the other.

use super::programs::{Kind, Node, balanced};
use crate::sched::clock::{ms, us};
use crate::sched::plan::Lead;
use crate::sync::AtomicU32;

/// Two devices with a rank each of two jobs, in another order on each.
fn two_jobs(tells: bool, waits_every: u32) -> [Node; 2] {
    let word = || -> &'static AtomicU32 { Box::leak(Box::new(AtomicU32::new(0))) };
    let (x, y) = ([word(), word()], [word(), word()]);
    let rank = |words: [&'static AtomicU32; 2], at: usize| Kind::Rank {
        kernels: 20,
        kernel_ns: us(100),
        mine: words[at],
        theirs: words[1 - at],
        tells,
        waits_every,
    };
    let half = balanced(50);
    [
        Node::new(&[(half, rank(x, 0)), (half, rank(y, 0))]),
        Node::new(&[(half, rank(y, 1)), (half, rank(x, 1))]),
    ]
}

/// Runs both for `ns`, the second led by the first if they form a group; device time of each program, by
/// device.
fn run(nodes: &mut [Node; 2], ns: u64, group: bool) -> [Vec<u64>; 2] {
    let mut led = None;
    let mut done = [vec![0; 2], vec![0; 2]];
    let tick = us(5);
    for _ in 0..ns / tick {
        if group {
            // Its programs are in the other order there.
            led = nodes[0].turn_of().map(|at| 1 - at).or(led);
            nodes[0].set_lead(Lead::Here);
            let at_work = (0..2).filter(|at| nodes[1].is_at_work(1 - at));
            nodes[0].peers_at_work = at_work.collect();
            let in_collective = (0..2).filter(|at| nodes[1].is_in_collective(1 - at));
            nodes[0].peers_in_collective = in_collective.collect();
            nodes[1].set_lead(Lead::There(led));
        }
        for (node, done) in nodes.iter_mut().zip(&mut done) {
            for (sum, ns) in done.iter_mut().zip(node.run(tick)) {
                *sum += ns;
            }
        }
    }
    done
}

fn overdue(nodes: &[Node; 2]) -> u32 {
    let of = |node: &Node| node.overdue(0) + node.overdue(1);
    nodes.iter().map(of).sum()
}

#[test]
fn jobs_that_wait_for_each_other_share_both_devices() {
    for waits_every in [u32::MAX, 4, 1] {
        let mut nodes = two_jobs(true, waits_every);
        run(&mut nodes, ms(100), false);
        let done = run(&mut nodes, ms(1000), false);
        let all = format!("waits every {waits_every}: {done:?}");
        assert_eq!(overdue(&nodes), 0, "a turn waited for a collective; {all}");
        for device in &done {
            let total: u64 = device.iter().sum();
            assert!(total > ms(800), "{all}");
            let share = device[0] as f64 / total as f64;
            assert!((share - 0.5).abs() < 0.05, "{all}");
        }
    }
}

#[test]
fn turns_of_a_job_are_at_the_same_time_on_all_its_devices() {
    for waits_every in [u32::MAX, 4, 1] {
        let mut nodes = two_jobs(true, waits_every);
        run(&mut nodes, ms(100), true);
        let done = run(&mut nodes, ms(1000), true);
        let all = format!("waits every {waits_every}: {done:?}");
        assert_eq!(overdue(&nodes), 0, "a turn waited for a collective; {all}");
        for device in &done {
            let total: u64 = device.iter().sum();
            assert!(total > ms(920), "{all}");
            let share = device[0] as f64 / total as f64;
            assert!((share - 0.5).abs() < 0.02, "{all}");
        }
    }
}

/// Why the scheduler is told: what it cannot see it can only give up on.
#[test]
fn collectives_that_nobody_tells_of_end_by_the_bound() {
    let mut nodes = two_jobs(false, u32::MAX);
    let done = run(&mut nodes, ms(1000), false);
    assert!(overdue(&nodes) > 0, "{done:?}");
    assert!(nodes[0].programs[0].meetings > 0, "but they go on");
}

/// What it stands behind may need what it keeps back: so it is not kept back for ever.
#[test]
fn a_peer_that_never_comes_is_given_up_on_and_costs_the_neighbour_little() {
    let word = || -> &'static AtomicU32 { Box::leak(Box::new(AtomicU32::new(0))) };
    let lonely = Kind::Rank {
        kernels: 20,
        kernel_ns: us(100),
        mine: word(),
        theirs: word(),
        tells: true,
        waits_every: u32::MAX,
    };
    let busy = Kind::Saturate(vec![us(250)]);
    let mut node = Node::new(&[(balanced(50), lonely), (balanced(50), busy)]);
    let done = node.run(ms(1000));
    assert!(node.overdue(0) > 0, "its later work was let go: {done:?}");
    assert!(done[1] > ms(600), "{done:?}");
}
