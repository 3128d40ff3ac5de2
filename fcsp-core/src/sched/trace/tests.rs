//! What is told of a step: views and plans made by hand, and an arbiter that meets them.

use super::step::{Nap, Step};
use super::{Event, How, What, ring};
use crate::backend::SharingMode;
use crate::region::layout::RegionLayout;
use crate::sched::SegmentState;
use crate::sched::arbiter::Arbiter;
use crate::sched::class::CLASSES;
use crate::sched::clock::{ms, us, virtual_time};
use crate::sched::plan::{
    Lead, Plan, ProcessView, Retire, SegmentRef, SegmentView, TenantView, View,
};
use crate::sched::segment::reached;
use crate::sched::shares::Promise;
use crate::sched::tuning::Tuning;
use crate::sched::view;
use crate::sync::Ordering::Relaxed;

const NOW: u64 = ms(100);

/// Two tenants of 25 and 75 %, a process each with so many segments of 1 ms.
fn view(segments: u32) -> View {
    let tenant = |(index, percent): (usize, u32)| TenantView {
        index,
        promise: Promise {
            entitlement_ppm: percent * 10_000,
            ..Promise::default()
        },
    };
    View {
        lead: Lead::Nobody,
        sharing: SharingMode::Exclusive,
        may_slice: false,
        class_weights_milli: [0; CLASSES],
        tenants: [25, 75].into_iter().enumerate().map(tenant).collect(),
        processes: [0, 1].map(|slot| process(slot, segments)).into(),
    }
}

fn process(slot: usize, segments: u32) -> ProcessView {
    let segment = |number| SegmentView {
        number,
        state: SegmentState::Closed,
        predicted_ns: ms(1),
        opened_ns: NOW - ms(2),
        submitted_ns: NOW - ms(1),
        launches: 4,
        is_spread: false,
        done: false,
    };
    ProcessView {
        slot,
        generation: 1,
        tenant: slot,
        opened: segments,
        granted: 0,
        retired: 0,
        gated: true,
        allowed_ns: 0,
        passed_ns: 0,
        passed_until_ns: 0,
        synced: 0,
        blocked: 0,
        looked_ns: 0,
        looks: false,
        threads_wait: false,
        handover_ns: us(160),
        partition_percent: 0,
        waits_at: 0,
        collective_ns: 0,
        hides: None,
        has_peers_at_work: false,
        in_collective: false,
        guessed: 0,
        spread_ppm: 0,
        classes_ns: [0; CLASSES],
        segments: (1..=segments).map(segment).collect(),
    }
}

struct Bench {
    region: Box<RegionLayout>,
    arbiter: Arbiter,
    nap: Option<Nap>,
}

impl Bench {
    fn new() -> Self {
        // SAFETY: a zeroed region is a valid empty one.
        let region: Box<RegionLayout> = unsafe { Box::new_zeroed().assume_init() };
        ring(&region).keep_on(u64::MAX);
        Self {
            region,
            arbiter: Arbiter::new(Tuning::default()),
            nap: None,
        }
    }

    fn begin(&self, now: u64) -> Step<'_> {
        Step::begin(&self.region, now, 0, self.nap, &self.arbiter).expect("somebody traces")
    }

    /// A step, carried out as an observer does; gives what is told of it.
    fn step(&mut self, now: u64, view: &View) -> Vec<Event> {
        let step = Step::begin(&self.region, now, 0, self.nap, &self.arbiter);
        let plan = self.arbiter.step(now, view);
        let mut events = Vec::new();
        let step = step.expect("somebody traces");
        step.tell(view, &plan, &self.arbiter, |event| events.push(event));
        view::apply(&self.region, &plan, now);
        view::publish(&self.region, view, &self.arbiter, now);
        events
    }

    /// What is told of a plan that the arbiter has not made.
    fn told(&self, step: &Step<'_>, view: &View, plan: &Plan) -> Vec<What> {
        let mut events = Vec::new();
        step.tell(view, plan, &self.arbiter, |event| events.push(event.what));
        events
    }
}

fn whats(events: &[Event]) -> Vec<What> {
    events.iter().map(|event| event.what).collect()
}

#[test]
fn a_turn_is_told_from_its_grant_to_its_end() {
    let mut bench = Bench::new();
    let mut view = view(4);
    let began = bench.step(NOW, &view);
    assert!(began.iter().all(|event| event.time_ns == NOW));
    let [first, second] = [0, 1].map(|slot| {
        let of_slot = began.iter().filter(|event| event.slot == Some(slot));
        of_slot.copied().collect::<Vec<_>>()
    });
    let is_gated = |what: &What| matches!(what, What::Gate { gated: true, measured: true, segment_us } if *segment_us > 0);
    let [gate, turn, grant] = whats(&first)[..] else {
        panic!("{first:?}")
    };
    assert!(is_gated(&gate) && matches!(whats(&second)[..], [it] if is_gated(&it)));
    // A quarter of a round of 25 ms, of which two hand-overs take their part; and its own.
    let budget_ns = (ms(25) - 2 * us(160)) / 4 + us(160);
    let expected = What::TurnBegan {
        budget_ns,
        handover_ns: us(160),
        handed_over: true,
    };
    assert_eq!(turn, expected);
    let expected = What::Granted {
        from: 1,
        to: 4,
        expected_ns: ms(4),
        first: Some(SegmentState::Closed),
        just_in_time: false,
    };
    assert_eq!(grant, expected);
    assert!(first.iter().all(|event| event.tenant == Some(0)));

    // All is over, and the other one waits.
    let process = &mut view.processes[0];
    process.granted = 4;
    process.segments.iter_mut().for_each(|it| it.done = true);
    let now = NOW + ms(4) + us(100);
    let ended = bench.step(now, &view);
    let retired = |number, took_ns: Option<u64>, expected_ns| What::Retired {
        number,
        expected_ns,
        took_ns,
        exact: false,
        given_up: false,
    };
    let ended: Vec<_> = ended
        .iter()
        .filter(|event| !matches!(event.what, What::Gate { .. }))
        .map(|event| (event.slot, event.what))
        .collect();
    let [a, b, c, d, end, (Some(1), turn), (Some(1), grant)] = ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(
        [a, b, c, d],
        [
            (1, Some(ms(4) + us(100)), ms(1) + us(160)),
            (2, None, ms(1)),
            (3, None, ms(1)),
            (4, None, ms(1))
        ]
        .map(|(number, took, expected)| (Some(0), retired(number, took, expected)))
    );
    let used_ns = ms(4) + us(100);
    assert_eq!(end, (Some(0), What::TurnEnded { used_ns }));
    assert!(matches!(
        turn,
        What::TurnBegan {
            handed_over: true,
            ..
        }
    ));
    assert!(matches!(grant, What::Granted { from: 1, .. }));
}

#[test]
fn shares_are_told_when_they_change_and_only_then() {
    let mut bench = Bench::new();
    let mut view = view(2);
    let shares = |events: &[Event]| {
        let share = |event: &Event| match event.what {
            What::Share {
                share_ppm,
                share_ppm_before,
                ..
            } => Some((event.tenant, share_ppm_before, share_ppm)),
            _ => None,
        };
        events.iter().filter_map(share).collect::<Vec<_>>()
    };
    assert_eq!(
        shares(&bench.step(NOW, &view)),
        [(Some(0), 0, 250_000), (Some(1), 0, 750_000)]
    );
    assert_eq!(shares(&bench.step(NOW + us(100), &view)), []);
    view.tenants[0].promise.entitlement_ppm = 750_000;
    view.tenants[1].promise.entitlement_ppm = 250_000;
    assert_eq!(
        shares(&bench.step(NOW + us(200), &view)),
        [(Some(0), 250_000, 750_000), (Some(1), 750_000, 250_000)]
    );
}

/// Does to the processes what was told.
fn carry_out(events: &[Event], view: &mut View) {
    for event in events {
        let Some(slot) = event.slot else { continue };
        let process = &mut view.processes[slot];
        match event.what {
            What::Granted { to, .. } | What::Revoked { to, .. } => process.granted = to,
            What::Retired { number, .. } => {
                process.retired = number;
                process.segments.retain(|it| !reached(number, it.number));
            }
            _ => {}
        }
    }
}

/// Has a process that never waits submit its next segment of 1 ms, and what was granted of it be over.
fn saturate(process: &mut ProcessView, now: u64) {
    let granted = process.granted;
    for segment in &mut process.segments {
        segment.done = reached(granted, segment.number);
    }
    if process.segments.is_empty() {
        process.opened += 1;
        process.segments.push(SegmentView {
            number: process.opened,
            state: SegmentState::Closed,
            predicted_ns: ms(1),
            opened_ns: now,
            submitted_ns: now,
            launches: 4,
            is_spread: false,
            done: false,
        });
    }
}

#[test]
fn a_segment_granted_while_it_fills_is_told_as_just_in_time() {
    let mut bench = Bench::new();
    let mut view = view(0);
    let mut filling = Vec::new();
    for round in 1..60_u32 {
        let opened_ns = NOW + ms(8) * u64::from(round);
        // A program that fills for 4 ms what the device does in 1 ms, and waits for it.
        view.processes[0].opened = round;
        view.processes[0].segments.push(SegmentView {
            number: round,
            state: SegmentState::Open,
            predicted_ns: ms(1),
            opened_ns,
            submitted_ns: opened_ns,
            launches: 4,
            is_spread: false,
            done: false,
        });
        for now in (opened_ns..opened_ns + ms(8)).step_by(us(100) as usize) {
            let process = &mut view.processes[0];
            if let Some(segment) = process.segments.first_mut() {
                segment.submitted_ns = now.min(opened_ns + ms(4));
                if now >= opened_ns + ms(4) && segment.state == SegmentState::Open {
                    segment.state = SegmentState::Closed;
                    process.synced += 1;
                }
                let is_over = reached(process.granted, round) && now >= opened_ns + ms(5);
                segment.done = is_over && segment.state == SegmentState::Closed;
            }
            saturate(&mut view.processes[1], now);
            let events = bench.step(now, &view);
            filling.extend(events.iter().filter_map(|event| match event.what {
                What::Granted {
                    from,
                    first: Some(SegmentState::Open),
                    just_in_time,
                    ..
                } if event.slot == Some(0) && from == round => {
                    Some((just_in_time, now - opened_ns))
                }
                _ => None,
            }));
            carry_out(&events, &mut view);
        }
    }
    assert!(filling.len() > 10, "{filling:?}");
    // Once it is known how long the program takes, its segments are kept back for a while.
    let (_, known) = filling.split_at(filling.len() / 2);
    for (just_in_time, waited_ns) in known {
        assert!(
            *just_in_time && (1..ms(4)).contains(waited_ns),
            "{filling:?}"
        );
    }
}

#[test]
fn what_is_taken_from_a_process_is_told() {
    let bench = Bench::new();
    let mut view = view(3);
    view.processes[1].granted = 3;
    view.processes[1].segments[0].state = SegmentState::Open;
    let segment = |number| SegmentRef { slot: 1, number };
    let plan = Plan {
        expire: vec![segment(1)],
        retire: vec![Retire {
            segment: segment(1),
            finished: false,
            exact: false,
        }],
        revoke: vec![segment(2)],
        ..Plan::default()
    };
    let expected = [
        What::Expired {
            number: 1,
            expected_ns: ms(1),
            launches: 4,
        },
        What::Retired {
            number: 1,
            expected_ns: ms(1),
            took_ns: None,
            exact: false,
            given_up: true,
        },
        What::Revoked {
            to: 2,
            from: 3,
            cut_short: false,
        },
    ];
    assert_eq!(bench.told(&bench.begin(NOW), &view, &plan), expected);
}

#[test]
fn how_the_arbiter_came_to_a_step_is_told() {
    let bench = Bench::new();
    let nap = |seen, wake_ns| {
        Some(Nap {
            seen,
            wake_ns,
            sharing: SharingMode::Exclusive,
        })
    };
    let told = |nap| {
        let step = Step::begin(&bench.region, NOW, 7, nap, &bench.arbiter);
        let step = step.expect("somebody traces");
        bench.told(&step, &View::default(), &Plan::default())
    };
    let woke = |rung, late_ns| vec![What::Woke { rung, late_ns }];
    assert_eq!(told(None), []);
    assert_eq!(told(nap(7, Some(NOW - us(3)))), woke(false, Some(us(3))));
    assert_eq!(told(nap(6, Some(NOW - us(3)))), woke(true, None));
    // A futex may return for no reason.
    assert_eq!(told(nap(7, None)), woke(false, None));
}

#[test]
fn a_device_that_can_be_shared_otherwise_is_told() {
    let bench = Bench::new();
    let nap = Nap {
        seen: 0,
        wake_ns: None,
        sharing: SharingMode::Exclusive,
    };
    let step = Step::begin(&bench.region, NOW, 0, Some(nap), &bench.arbiter);
    let view = View {
        sharing: SharingMode::Concurrent,
        ..View::default()
    };
    let told = bench.told(&step.expect("somebody traces"), &view, &Plan::default());
    let sharing = What::Sharing {
        how: How::Turns,
        concurrent: true,
    };
    assert_eq!(told[1..], [sharing]);
}

#[test]
fn programs_that_come_to_run_together_are_told() {
    let mut bench = Bench::new();
    let mut view = View {
        sharing: SharingMode::Concurrent,
        ..view(1)
    };
    let mut told = Vec::new();
    // All that runs is over at the next look: together they get more done.
    for now in (NOW..NOW + ms(2_000)).step_by(us(500) as usize) {
        let events = bench.step(now, &view);
        told.extend(events.iter().filter_map(|event| match event.what {
            What::Sharing { how, concurrent } => Some((how, concurrent)),
            _ => None,
        }));
        carry_out(&events, &mut view);
        for process in &mut view.processes {
            saturate(process, now);
        }
    }
    assert_eq!(
        told[..2],
        [(How::Trial, true), (How::Together, true)],
        "{told:?}"
    );
}

#[test]
fn nothing_is_recorded_while_nobody_traces() {
    let bench = Bench::new();
    // SAFETY: a zeroed region is a valid empty one.
    let region: Box<RegionLayout> = unsafe { Box::new_zeroed().assume_init() };
    let trace = &region.header.trace;
    let begins = |now| Step::begin(&region, now, 0, None, &bench.arbiter).is_some();
    assert!(!begins(1));
    trace.until_ns.store(NOW, Relaxed);
    assert!(begins(NOW - 1));
    assert!(!begins(NOW), "its time is over");
    for (now, recorded) in [(NOW, 0), (NOW - 1, 1)] {
        virtual_time::set(now);
        super::elected(&region, 3);
        assert_eq!(trace.reserved.load(Relaxed), recorded);
    }
}
