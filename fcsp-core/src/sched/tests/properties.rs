//! What holds for every arbiter step, whatever programs and operators do. A failure prints the
//! events that lead to it, shortened, and their seed.

use super::world::{Event, World};
use crate::policy::Mode;
use crate::sched::clock::{ms, us};
use crate::sched::tuning::Tuning;
use proptest::prelude::*;

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        4 => Just(Mode::Balanced),
        2 => Just(Mode::Strict),
        1 => Just(Mode::Adaptive),
        1 => Just(Mode::None),
    ]
}

fn enforced() -> impl Strategy<Value = Mode> {
    mode().prop_filter("limits are enforced", |mode| *mode != Mode::None)
}

fn event() -> impl Strategy<Value = Event> {
    let percent = prop_oneof![8 => 50_u64..200, 1 => 1_u64..1_000, 1 => Just(10_000_000)];
    prop_oneof![
        6 => (0_u64..3_000).prop_map(|us| Event::Pass { us }),
        1 => (0_u64..300_000).prop_map(|us| Event::Pass { us }),
        8 => (0_usize..6, 2_u64..5_000, percent).prop_map(|(process, predicted_us, percent)| {
            Event::Submit { process, predicted_us, percent }
        }),
        5 => (0_usize..6, any::<bool>())
            .prop_map(|(process, waits)| Event::Close { process, waits }),
        2 => (0_usize..6, 10_u32..30, 20_u64..500, 1_u64..200)
            .prop_map(|(process, times, kernel_us, think_us)| {
                Event::PingPong { process, times, kernel_us, think_us }
            }),
        1 => (0_usize..6).prop_map(|process| Event::EndOrBegin { process }),
        1 => Just(Event::Elect),
        1 => (0_usize..4, mode(), 1_u32..100)
            .prop_map(|(tenant, mode, percent)| Event::Limit { tenant, mode, percent }),
    ]
}

/// A program that always has something to run.
#[derive(Clone, Debug)]
struct Saturating {
    segment_us: u64,
    percent: u64,
}

impl Saturating {
    fn submit_all(&self, world: &mut World, process: usize) {
        for _ in 0..4 {
            world.happen(&Event::Submit {
                process,
                predicted_us: self.segment_us,
                percent: self.percent,
            });
            let waits = false;
            world.happen(&Event::Close { process, waits });
        }
    }
}

fn saturating() -> impl Strategy<Value = Saturating> {
    (100_u64..8_000, 80_u64..125).prop_map(|(segment_us, percent)| Saturating {
        segment_us,
        percent,
    })
}

/// Runs the programs, one to a tenant, for `ns`.
fn saturate(world: &mut World, programs: &[Saturating], ns: u64) {
    let until = world.now_ns + ns;
    while world.now_ns < until {
        for (process, program) in programs.iter().enumerate() {
            program.submit_all(world, process);
        }
        world.pass(us(200));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The rules themselves are in [`World`]: grants stay within bounds, one process at a time may
    /// run, whoever has the turn pays for exactly its time, somebody looks while anything is pending.
    #[test]
    fn every_step_keeps_the_rules_and_everything_is_finished_in_the_end(
        limits in prop::collection::vec((mode(), 1_u32..100), 1..5),
        events in prop::collection::vec(event(), 1..300),
    ) {
        let tenants = limits.len();
        let processes: Vec<_> = (0..6).map(|process| process % tenants).collect();
        let mut world = World::new(&limits, &processes);
        events.iter().for_each(|event| world.happen(event));
        world.close_all();
        // Ceilings of 1 % and work that overruns by far: long, but not for ever.
        let until = world.now_ns + ms(600_000);
        while !world.is_drained() {
            prop_assert!(world.now_ns < until, "something waits for ever");
            world.pass(ms(10));
        }
    }
}

proptest! {
    // Each case is seconds of virtual time.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn nobody_who_waits_is_passed_over_for_long(
        tenants in prop::collection::vec((10_u32..50, saturating()), 2..6),
    ) {
        let limits: Vec<_> = tenants.iter().map(|(percent, _)| (Mode::Balanced, *percent)).collect();
        let programs: Vec<_> = tenants.into_iter().map(|(_, program)| program).collect();
        let processes: Vec<_> = (0..programs.len()).collect();
        let mut world = World::new(&limits, &processes);
        saturate(&mut world, &programs, ms(1_000));
        // A turn is a part of the round, and may overrun it by one segment. Who overran waits until the
        // others have had as much for their shares, and then for the turn that runs and those before its own.
        // Periods of work in long pieces are twice as long.
        let period_ns = 2 * Tuning::default().cycle_ns;
        let overrun_ns = us(8_000) * 125 / 100;
        let sum: u32 = limits.iter().map(|(_, percent)| percent).sum();
        let round_ns = period_ns + (programs.len() as u64 + 1) * overrun_ns;
        for (process, state) in world.processes.iter().enumerate() {
            let percent = limits[process].1;
            let caught_up_ns = period_ns + overrun_ns * u64::from(sum) / u64::from(percent);
            prop_assert!(
                state.waited_ns_max <= caught_up_ns + round_ns,
                "process {process} of {percent} % waited {} us", state.waited_ns_max / 1000
            );
        }
    }

    #[test]
    fn shares_of_saturating_tenants_follow_their_entitlements(
        tenants in prop::collection::vec((10_u32..50, saturating()), 2..6),
    ) {
        let limits: Vec<_> = tenants.iter().map(|(percent, _)| (Mode::Balanced, *percent)).collect();
        let programs: Vec<_> = tenants.into_iter().map(|(_, program)| program).collect();
        let processes: Vec<_> = (0..programs.len()).collect();
        let mut world = World::new(&limits, &processes);
        saturate(&mut world, &programs, ms(500));
        let before = world.charged_ns();
        saturate(&mut world, &programs, ms(2_000));
        let after = world.charged_ns();
        let sum: u32 = limits.iter().map(|(_, percent)| percent).sum();
        for (process, (after, before)) in after.iter().zip(before).enumerate() {
            let got = (after - before) as f64 / ms(2_000) as f64;
            let due = f64::from(limits[process].1) / f64::from(sum);
            // One turn with half a segment of overrun at each end of two seconds.
            prop_assert!((got - due).abs() <= 0.02, "process {process}: {got:.4} and not {due:.4}");
        }
    }

    #[test]
    fn no_tenant_passes_its_ceiling_in_the_long_run(
        tenants in prop::collection::vec((enforced(), 5_u32..60, saturating()), 1..5),
    ) {
        let limits: Vec<_> = tenants.iter().map(|(mode, percent, _)| (*mode, *percent)).collect();
        let programs: Vec<_> = tenants.into_iter().map(|(_, _, program)| program).collect();
        let processes: Vec<_> = (0..programs.len()).collect();
        let mut world = World::new(&limits, &processes);
        saturate(&mut world, &programs, ms(2_000));
        for (process, charged) in world.charged_ns().iter().enumerate() {
            let (mode, percent) = limits[process];
            if mode == Mode::Strict {
                let allowed = ms(2_000) * u64::from(percent) / 100;
                // What was granted while it still had a token is finished.
                let overrun = Tuning::default().turn_ns_max + us(8_000) * 125 / 100;
                prop_assert!(*charged <= allowed + overrun, "process {process}: {charged} ns of {allowed}");
            }
        }
    }
}

/// Found by the test above: a trial of programs beside each other ends while one of them is alone. What the step takes back is
/// what it lets pass, and had never run.
#[test]
fn what_is_taken_back_from_a_tenant_that_is_alone_then_runs() {
    let limits = [(Mode::Balanced, 1); 3];
    let mut world = World::new(&limits, &[0, 1, 2, 0, 1, 2]);
    let submit = |process, predicted_us, percent| Event::Submit {
        process,
        predicted_us,
        percent,
    };
    let ping_pong = |process, times| Event::PingPong {
        process,
        times,
        kernel_us: 20,
        think_us: 1,
    };
    let events = [
        Event::EndOrBegin { process: 2 },
        Event::Pass { us: 0 },
        submit(3, 2, 50),
        submit(4, 2, 50),
        submit(3, 2, 50),
        Event::EndOrBegin { process: 3 },
        Event::EndOrBegin { process: 2 },
        ping_pong(3, 10),
        // Runs for nine seconds, as nobody knew.
        submit(2, 91, 10_000_000),
        ping_pong(2, 24),
    ];
    events.iter().for_each(|event| world.happen(event));
    world.close_all();
    world.pass(ms(20_000));
    assert!(world.is_drained());
}
