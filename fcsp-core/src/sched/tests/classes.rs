//! Classes of work: what is counted, and what a policy weights.

use super::programs::{Kind, Limits, Node, balanced};
use crate::policy::Mode;
use crate::sched::class::Class;
use crate::sched::clock::{ms, us};

fn saturating(limits: [Limits; 2]) -> Node {
    let program = |limits| (limits, Kind::Saturate(vec![us(250)]));
    let mut node = Node::new(&limits.map(program));
    node.programs[0].class = Class::Attention;
    node.programs[1].class = Class::FeedForward;
    node
}

fn first_share(node: &mut Node) -> f64 {
    node.run(ms(1_000));
    let done = node.run(ms(2_000));
    done[0] as f64 / done.iter().sum::<u64>() as f64
}

#[test]
fn what_is_submitted_is_counted_by_class() {
    let mut node = saturating([balanced(25), balanced(75)]);
    node.run(ms(4_000));
    let done_ns = node.done_ns();
    for (program, class) in [(0, Class::Attention), (1, Class::FeedForward)] {
        let counted_ns = node.class_ns(program, class);
        let off = counted_ns as f64 / done_ns[program] as f64 - 1.0;
        println!("simulated: {class}, {off:+.3} off what ran");
        // What is submitted and has not run, and what was guessed before it was measured.
        assert!(off.abs() <= 0.05, "{class}: {counted_ns} of {done_ns:?}");
    }
    assert_eq!(node.class_ns(0, Class::FeedForward), 0);
}

#[test]
fn a_weighted_class_has_so_much_more_of_the_device() {
    let mut node = saturating([balanced(50), balanced(50)]);
    node.weight(Class::Attention, 3_000);
    let share = first_share(&mut node);
    println!("simulated: equal shares, attention counts three times: {share:.3}");
    assert!((share - 0.75).abs() <= 0.005, "{share:.4}");
    node.weight(Class::Attention, 0);
    let share = first_share(&mut node);
    assert!((share - 0.5).abs() <= 0.005, "{share:.4}");
}

#[test]
fn strict_shares_are_promises_whatever_the_work_is() {
    let mut node = saturating([50, 50].map(|percent| Limits::of(Mode::Strict, percent)));
    node.weight(Class::Attention, 3_000);
    let share = first_share(&mut node);
    assert!((share - 0.5).abs() <= 0.005, "{share:.4}");
}
