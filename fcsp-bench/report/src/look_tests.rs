//! Everything that is made of a report, with the made-up one: to look at, where `FCSP_LOOK` names a folder.

use crate::{compare, csv, fixture, html, table};
use std::path::Path;

#[test]
fn every_output_names_the_device_or_the_systems() {
    let (report, later) = (fixture::report(3, true), fixture::report(4, true));
    let look = |width, colour| table::Look {
        width: Some(width),
        colour,
    };
    let compared =
        compare::compare(&report, &later, compare::Options::default()).expect("one device");
    let outputs = [
        ("report.html", html::render(&report)),
        ("report.json", report.to_json()),
        ("report.csv", csv::render(&report)),
        ("wide.txt", table::render(&report, look(200, true))),
        ("narrow.txt", table::render(&report, look(80, false))),
        ("compared.txt", compare::render(&compared, look(120, false))),
        ("compared.json", compared.to_json()),
    ];
    for (name, text) in outputs {
        assert!(text.contains("fcsp-strict"), "{name}");
        if let Some(folder) = std::env::var_os("FCSP_LOOK") {
            std::fs::write(Path::new(&folder).join(name), text).expect("the folder is there");
        }
    }
}
