//! The beginning and the end of a long turn: what they tell of lengths, and what becomes of the rest of a turn whose work was
//! over sooner than expected.

use crate::policy::Mode;
use crate::sched::SegmentState;
use crate::sched::arbiter::Arbiter;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{ProcessView, SegmentView, TenantView, View};
use crate::sched::shares::Promise;
use crate::sched::tuning::Tuning;

/// Segments that are granted for a turn of half of a period, and short ones behind them.
const LONG: u32 = 13;
const SHORT: u32 = 6;
const TURN_NS: u64 = us(12_500);

/// Two tenants that may have half of the device each and never wait.
fn node() -> View {
    let segment = |number: u32| SegmentView {
        number,
        state: SegmentState::Closed,
        predicted_ns: if number <= LONG { ms(1) } else { us(250) },
        opened_ns: ms(1),
        submitted_ns: ms(1),
        launches: 4,
        is_spread: false,
        done: false,
    };
    let process = |slot: usize| ProcessView {
        slot,
        tenant: slot,
        generation: 1,
        opened: LONG + SHORT,
        gated: true,
        segments: (1..=LONG + SHORT).map(segment).collect(),
        ..ProcessView::default()
    };
    let promise = Promise {
        mode: Mode::Balanced,
        entitlement_ppm: 500_000,
        pools_ppm: [200_000, 400_000, 400_000],
        burst_max_ppm: 1_000_000,
        ..Promise::default()
    };
    let tenant = |index| TenantView { index, promise };
    View {
        tenants: (0..2).map(tenant).collect(),
        processes: (0..2).map(process).collect(),
        ..View::default()
    }
}

/// Steps once; what is retired then is not seen again.
fn step(arbiter: &mut Arbiter, view: &mut View, now: u64) {
    let plan = arbiter.step(now, view);
    for grant in &plan.grant {
        view.processes[grant.slot].granted = grant.to;
    }
    for retire in &plan.retire {
        let process = &mut view.processes[retire.segment.slot];
        process.retired = retire.segment.number;
        process.segments.retain(|it| it.number > process.retired);
    }
}

/// The device is done with the first one's segments up to that one.
fn finish(view: &mut View, last: u32) {
    let segments = view.processes[0].segments.iter_mut();
    for segment in segments.filter(|it| it.number <= last) {
        segment.done = true;
    }
}

/// What the newest segment of the first one is expected to take.
fn expected_ns(arbiter: &Arbiter, view: &View) -> u64 {
    let last = view.processes[0].segments.last();
    arbiter.expected_ns(0, last.expect("it was not granted"))
}

/// Who has the device, and up to where, when the first one's work is over so long before its turn is.
fn over_before(left_ns: u64) -> (Option<usize>, u32) {
    let (mut arbiter, mut view) = (Arbiter::new(Tuning::default()), node());
    step(&mut arbiter, &mut view, ms(2));
    assert_eq!(
        (arbiter.holder(), view.processes[0].granted),
        (Some(0), LONG)
    );
    finish(&mut view, LONG);
    step(&mut arbiter, &mut view, ms(2) + TURN_NS - left_ns);
    assert_eq!(view.processes[0].retired, LONG);
    (arbiter.holder(), view.processes[0].granted)
}

#[test]
fn a_short_rest_is_not_worth_that_the_device_stands_until_it_is_granted() {
    for left_us in [0, 130, 260, 490] {
        let (holder, granted) = over_before(us(left_us));
        assert_eq!((holder, granted), (Some(1), LONG), "{left_us} us are left");
    }
}

#[test]
fn a_long_rest_is_had() {
    for (left_us, segments) in [(510, 2), (1_010, 4)] {
        let (holder, granted) = over_before(us(left_us));
        let granted = granted - LONG;
        assert_eq!(
            (holder, granted),
            (Some(0), segments),
            "{left_us} us are left"
        );
    }
}

/// What is granted to a device that stands takes as long as its work and as whoever grants it: that is not its length.
#[test]
fn what_was_granted_late_tells_no_length() {
    let (mut arbiter, mut view) = (Arbiter::new(Tuning::default()), node());
    step(&mut arbiter, &mut view, ms(2));
    finish(&mut view, LONG);
    let late = ms(2) + TURN_NS - us(1_010);
    step(&mut arbiter, &mut view, late);
    let before_ns = expected_ns(&arbiter, &view);
    // It is seen to run, and to be over a moment later, after a fifth more than its length.
    step(&mut arbiter, &mut view, late + us(1_180));
    finish(&mut view, LONG + 4);
    step(&mut arbiter, &mut view, late + us(1_200));
    assert_eq!(view.processes[0].retired, LONG + 4);
    let after_ns = expected_ns(&arbiter, &view);
    assert!(
        after_ns <= before_ns,
        "{after_ns} ns, and {before_ns} before"
    );
}

/// The hand-over in front of it took longer than usual.
#[test]
fn the_short_beginning_of_a_long_turn_tells_no_length() {
    let (mut arbiter, mut view) = (Arbiter::new(Tuning::default()), node());
    view.processes[0].handover_ns = us(150);
    view.processes[0].segments[0].predicted_ns = us(250);
    step(&mut arbiter, &mut view, ms(2));
    let before_ns = expected_ns(&arbiter, &view);
    step(&mut arbiter, &mut view, ms(2) + us(420));
    finish(&mut view, 1);
    step(&mut arbiter, &mut view, ms(2) + us(440));
    assert_eq!(view.processes[0].retired, 1);
    assert_eq!(expected_ns(&arbiter, &view), before_ns);
}
