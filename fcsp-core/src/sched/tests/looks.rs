//! What a program is charged whose threads tell what is over, or wait in place of its queues, and come late.

use crate::policy::Mode;
use crate::sched::SegmentState;
use crate::sched::arbiter::Arbiter;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{ProcessView, SegmentView, TenantView, View};
use crate::sched::shares::Promise;
use crate::sched::tuning::Tuning;

const PREDICTED_NS: u64 = us(500);
/// Longer than any work of the program is let run.
const LATE_NS: u64 = ms(60);

/// A tenant that may have half of the device, with a segment that waits for its grant.
fn node(state: SegmentState, opened_ns: u64) -> View {
    let promise = Promise {
        mode: Mode::Strict,
        entitlement_ppm: 500_000,
        ..Promise::default()
    };
    let segment = SegmentView {
        number: 1,
        state,
        predicted_ns: PREDICTED_NS,
        opened_ns,
        submitted_ns: opened_ns,
        launches: 50,
        is_spread: false,
        done: false,
    };
    let process = ProcessView {
        generation: 1,
        opened: 1,
        gated: true,
        threads_wait: true,
        segments: vec![segment],
        ..ProcessView::default()
    };
    View {
        tenants: vec![TenantView { index: 0, promise }],
        processes: vec![process],
        ..View::default()
    }
}

/// Steps every 100 us from `from_ns` to `to_ns`, and notes what is granted and retired.
fn run(arbiter: &mut Arbiter, view: &mut View, from_ns: u64, to_ns: u64) {
    for now in (from_ns..=to_ns).step_by(us(100) as usize) {
        let plan = arbiter.step(now, view);
        for grant in &plan.grant {
            view.processes[grant.slot].granted = grant.to;
        }
        for allowance in &plan.allow {
            view.processes[allowance.slot].allowed_ns = allowance.allowed_ns;
        }
        for retire in &plan.retire {
            let process = &mut view.processes[retire.segment.slot];
            process.retired = retire.segment.number;
            process.segments.clear();
        }
    }
}

/// Without what was given in advance and has not passed.
fn charged_ns(arbiter: &Arbiter, view: &View) -> u64 {
    let charged_ns = arbiter.tenant(0).expect("it is known").1;
    let process = &view.processes[0];
    charged_ns - (process.allowed_ns - process.passed_ns)
}

#[test]
fn what_threads_saw_late_to_be_over_is_charged_to_its_end_by_the_devices_clock() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Watched, ms(1));
    view.processes[0].looks = true;
    run(&mut arbiter, &mut view, ms(1), ms(1) + us(300));
    assert_eq!(view.processes[0].granted, 1);
    // Its thread looks at half of it, and then has no processor for long.
    view.processes[0].looked_ns = ms(1) + us(300);
    run(&mut arbiter, &mut view, ms(1) + us(400), ms(40));
    assert_eq!(view.processes[0].retired, 0);
    view.processes[0].segments[0].done = true;
    run(&mut arbiter, &mut view, ms(40), ms(41));
    assert_eq!(view.processes[0].retired, 1);
    let charged = charged_ns(&arbiter, &view);
    assert!(
        (PREDICTED_NS..PREDICTED_NS + us(300)).contains(&charged),
        "{charged}"
    );
}

#[test]
fn what_threads_saw_not_to_be_over_is_charged() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Watched, ms(1));
    view.processes[0].looks = true;
    run(&mut arbiter, &mut view, ms(1), ms(20));
    view.processes[0].looked_ns = ms(20);
    view.processes[0].segments[0].done = true;
    run(&mut arbiter, &mut view, ms(20) + us(100), ms(21));
    assert_eq!(view.processes[0].retired, 1);
    let charged = charged_ns(&arbiter, &view);
    assert!((ms(19)..ms(20)).contains(&charged), "{charged}");
}

#[test]
fn what_threads_never_look_at_is_given_up_and_charged_what_it_takes_by_the_devices_clock() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Watched, ms(1));
    view.processes[0].looks = true;
    run(&mut arbiter, &mut view, ms(1), ms(1) + LATE_NS);
    assert_eq!(view.processes[0].retired, 1, "nobody waits for ever");
    let charged = charged_ns(&arbiter, &view);
    assert!(
        (PREDICTED_NS..PREDICTED_NS + us(300)).contains(&charged),
        "{charged}"
    );
}

#[test]
fn what_a_program_never_waits_for_is_charged_what_it_takes_by_the_devices_clock() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Open, ms(1));
    view.processes[0].threads_wait = false;
    run(&mut arbiter, &mut view, ms(1), ms(1) + LATE_NS);
    assert_eq!(view.processes[0].retired, 1, "nobody waits for ever");
    let charged = charged_ns(&arbiter, &view);
    assert!(
        (PREDICTED_NS..PREDICTED_NS + us(300)).contains(&charged),
        "{charged}"
    );
}

#[test]
fn a_thread_that_sleeps_beyond_its_grant_is_charged_for_its_work_alone() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Open, us(500));
    run(&mut arbiter, &mut view, ms(1), ms(1) + LATE_NS);
    assert_eq!(view.processes[0].retired, 1, "nobody waits for ever");
    // That is still to come, and nobody will look at it then.
    assert_eq!(charged_ns(&arbiter, &view), PREDICTED_NS);
}

#[test]
fn what_nobody_measured_is_charged_from_when_its_thread_went_on() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Open, us(500));
    view.processes[0].guessed = 1;
    run(&mut arbiter, &mut view, ms(1), ms(30));
    let segment = &mut view.processes[0].segments[0];
    (segment.opened_ns, segment.submitted_ns) = (ms(30), ms(30));
    segment.state = SegmentState::Closed;
    run(&mut arbiter, &mut view, ms(30), ms(32));
    view.processes[0].segments[0].done = true;
    run(&mut arbiter, &mut view, ms(32), ms(33));
    let charged = charged_ns(&arbiter, &view);
    assert!((us(1_900)..us(2_300)).contains(&charged), "{charged}");
}

#[test]
fn a_thread_that_wakes_late_is_not_charged_for_it_while_others_wait_either() {
    let mut arbiter = Arbiter::new(Tuning::default());
    let mut view = node(SegmentState::Open, us(500));
    let mut other = node(SegmentState::Closed, us(600));
    other.tenants[0].index = 1;
    (other.processes[0].slot, other.processes[0].tenant) = (1, 1);
    view.tenants.append(&mut other.tenants);
    view.processes.append(&mut other.processes);
    run(&mut arbiter, &mut view, ms(1), ms(1) + us(300));
    assert_eq!(view.processes[0].granted, 1);
    let segment = &mut view.processes[0].segments[0];
    segment.opened_ns = ms(1) + us(400);
    segment.submitted_ns = segment.opened_ns;
    segment.state = SegmentState::Closed;
    run(&mut arbiter, &mut view, ms(1) + us(400), ms(1) + us(800));
    view.processes[0].segments[0].done = true;
    run(&mut arbiter, &mut view, ms(1) + us(900), ms(1) + us(900));
    assert_eq!(view.processes[0].retired, 1);
    assert_eq!(charged_ns(&arbiter, &view), PREDICTED_NS);
}
