//! The suite that every gate passes, over the simulated driver of the install tree: the gate that the
//! preload library puts into streams, on every kind of stream.

mod common;

use common::with_simulated_libraries;

#[test]
fn the_gate_conforms_on_simulated_devices() {
    with_simulated_libraries(
        "the_gate_conforms_on_simulated_devices",
        &[("FCSP_SIM_AMD_DEVICES", "2")],
        || {
            let found = fcsp_conformance::hip::run().expect("the simulated driver");
            let mut kinds_of_streams = std::collections::BTreeSet::new();
            for one in &found {
                println!("{}, {}\n{}", one.ordinal, one.streams, one.report);
                kinds_of_streams.insert(one.streams);
            }
            for one in &found {
                assert!(one.simulated, "{}", one.device);
                assert!(one.report.passed(), "{}: {}", one.streams, one.report);
                assert_eq!(one.report.skipped().count(), 0, "{}", one.report);
                assert_eq!(one.report.checks.len(), 7, "{}", one.report);
            }
            assert_eq!(found.len(), 2 * kinds_of_streams.len(), "both devices");
            assert!(kinds_of_streams.len() > 1, "{kinds_of_streams:?}");
        },
    );
}
