//! The suite that every gate passes, over the simulated driver of the install tree: the gate that the preload library puts
//! into queues, on every kind of queue.

mod common;

use common::with_simulated_libraries;
use fcsp_conformance::{Found, Outcome};

fn run() -> Option<Vec<Found>> {
    match fcsp_conformance::ze::run() {
        Err(error) if error.contains("libze_loader") => {
            fcsp_skipped::skip(error);
            None
        }
        found => Some(found.expect("the simulated driver")),
    }
}

#[test]
fn the_gate_conforms_on_simulated_devices() {
    with_simulated_libraries(
        "the_gate_conforms_on_simulated_devices",
        &[("FCSP_SIM_INTEL_DEVICES", "2")],
        || {
            let Some(found) = run() else { return };
            for one in &found {
                println!("{}, {}\n{}", one.ordinal, one.streams, one.report);
            }
            for one in &found {
                assert!(one.simulated, "{}", one.device);
                assert!(one.report.passed(), "{}: {}", one.streams, one.report);
                assert_eq!(one.report.skipped().count(), 0, "{}", one.report);
                assert_eq!(one.report.checks.len(), 7, "{}", one.report);
            }
            assert_eq!(found.len(), 2 * 3, "both devices, three mixes");
        },
    );
}

#[test]
fn without_the_drivers_words_nothing_is_waited_for_and_markers_tell_the_time() {
    with_simulated_libraries(
        "without_the_drivers_words_nothing_is_waited_for_and_markers_tell_the_time",
        &[("FCSP_SIM_ZE_NO_MEMORY_WAITS", "1")],
        || {
            let Some(found) = run() else { return };
            let first = &found[0].report;
            println!("{first}");
            assert!(first.skipped().any(|it| it.contains("wait")), "{first}");
            let mut passed = first.checks.iter();
            let marks = passed.find(|it| it.name.starts_with("markers"));
            let outcome = &marks.expect("it is tried").outcome;
            assert!(matches!(outcome, Outcome::Passed), "{first}");
        },
    );
}
