//! What a tenant that had less than its share may catch up on.

use super::programs::{Kind, Node, balanced};
use crate::sched::clock::{ms, us};

/// Works a few pieces ahead, one by one, or not at all: does not use half of the device.
const LITTLE: [Kind; 3] = [
    Kind::Ahead {
        kernel_ns: us(300),
        launch_ns: us(5),
        most: 4,
    },
    Kind::Steps {
        kernels: 1,
        kernel_ns: us(300),
        cpu_ns: us(5),
        pause_ns: us(100),
    },
    Kind::Idle,
];

/// A tenant that asked for little and then takes all it gets has its share from then on, and not what it did not want before.
#[test]
fn who_asked_for_little_takes_nothing_from_the_others_later() {
    let much = [
        Kind::Saturate(vec![us(400)]),
        Kind::Ahead {
            kernel_ns: us(10),
            launch_ns: us(3),
            most: 512,
        },
    ];
    for (little, much) in LITTLE
        .iter()
        .flat_map(|it| much.iter().map(move |much| (it, much)))
    {
        for pause_ns in [0, ms(20)] {
            let mut node = Node::new(&[
                (balanced(50), Kind::Saturate(vec![us(500)])),
                (balanced(50), much.clone()),
            ]);
            // What its kernels take is known.
            node.run(ms(200));
            node.go_on_as(1, little.clone());
            node.run(ms(400));
            if pause_ns > 0 {
                node.go_on_as(0, Kind::Idle);
                node.go_on_as(1, Kind::Idle);
                node.run(pause_ns);
                // The one that had little goes on first.
                node.go_on_as(1, much.clone());
                node.run(ms(1));
                node.go_on_as(0, Kind::Saturate(vec![us(500)]));
            } else {
                node.go_on_as(1, much.clone());
            }
            let (mut done, mut nothing_ms, mut longest_ms) = (0, [0; 2], 0);
            for _ in 0..200 {
                let now = node.run(ms(1));
                done += now[0];
                nothing_ms = [0, 1].map(|at| if now[at] == 0 { nothing_ms[at] + 1 } else { 0 });
                longest_ms = nothing_ms[0].max(nothing_ms[1]).max(longest_ms);
            }
            println!(
                "simulated: {little:?}, nothing for {pause_ns} ns, then {much:?}: the other has {done} of 100000000 ns; nothing for \
                 {longest_ms} ms"
            );
            assert!(done >= ms(94), "{done}");
            assert!(longest_ms <= 25, "{longest_ms} ms");
        }
    }
}
