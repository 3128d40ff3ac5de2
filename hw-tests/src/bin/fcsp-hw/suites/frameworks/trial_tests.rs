//! The way of a case with programs that need no device: shell scripts that answer as a case does.

use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

use super::*;
use crate::result::Verdict::{self, Error, Info, Miss, Pass, Skipped};
use crate::site::{Site, Vendor};

/// What a script does in place of its usual answer to a question, under FCSP or natively.
struct Fault {
    fcsp: bool,
    question: &'static str,
    instead: &'static str,
}

fn script(fault: Option<&Fault>) -> String {
    let fault = fault.map_or(String::new(), |fault| {
        let side = if fault.fcsp { "-n" } else { "-z" };
        let Fault {
            question, instead, ..
        } = fault;
        format!("if [ {side} \"$FCSP_TENANT\" ] && [ $question = {question} ]; then {instead}; continue; fi\n")
    });
    format!(
        "while read question rest; do\n{fault}case $question in\n\
         prepare) echo '{{\"ready\": \"fake 1\"}}';;\n\
         turn) echo '{{\"iterations\": 100, \"seconds\": 0.5}}';;\n\
         *) echo '{{\"digests\": [{{\"name\": \"a\", \"exact\": \"ff\"}}]}}';;\n\
         esac\ndone\n"
    )
}

/// Carries out all steps that need no device; the verdicts, and the text of the last row. One at a time:
/// scratch space belongs to the process.
fn carry_out(fault: Option<&Fault>) -> (Vec<Verdict>, String) {
    let _alone = crate::site::one_at_a_time();
    let dir = TempDir::new().expect("a temporary directory");
    // An install tree in form: what is preloaded from it is empty, which the loader says and ignores.
    for file in ["bin/fcsp-load", "lib/libfcsp-cuda.so", "case.sh"] {
        let path = dir.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room for it");
        fs::write(path, script(fault)).expect("a file");
    }
    let out = dir.path().join("out");
    let site = Site::open(
        Some(dir.path()),
        &out,
        false,
        Vendor::Nvidia,
        0,
        Path::new("sh"),
    )
    .expect("a site");
    let bench = Bench::without_device(site);
    let case = Case {
        speed: Speed::Judged,
        answer_within: Duration::from_millis(500),
        ..Case::new("fake", "Fake", "case.sh", &[])
    };
    let mut trial = Trial::start(&bench, &case, dir.path()).expect("a shell");
    trial.open();
    trial.compare();
    trial.race(&bench, dir.path());
    trial.compare_beside();
    trial.dismiss_native();
    trial.end();
    let mut result = SuiteResult::default();
    trial.report(&mut result);
    let last = result
        .rows
        .last()
        .map_or(String::new(), |row| row.measured.clone());
    (result.rows.iter().map(|row| row.verdict).collect(), last)
}

#[test]
fn a_program_that_does_not_notice_passes() {
    assert_eq!(carry_out(None).0, [Pass, Pass, Pass]);
}

#[test]
fn a_program_that_hangs_is_a_miss_and_is_over() {
    let fault = Fault {
        fcsp: true,
        question: "turn",
        instead: "echo stuck >&2; sleep 1000",
    };
    let (verdicts, text) = carry_out(Some(&fault));
    assert_eq!(verdicts, [Pass, Miss]);
    assert!(text.contains("in time") && text.contains("stuck"), "{text}");
}

#[test]
fn a_program_that_crashes_is_a_miss_with_its_last_words() {
    let fault = Fault {
        fcsp: true,
        question: "beside",
        instead: "echo out of luck >&2; exit 3",
    };
    let (verdicts, text) = carry_out(Some(&fault));
    assert_eq!(verdicts, [Pass, Pass, Miss]);
    assert!(text.contains("out of luck"), "{text}");
}

#[test]
fn another_result_is_a_miss_and_the_rest_goes_on() {
    let fault = Fault {
        fcsp: true,
        question: "digest",
        instead: r#"echo '{"digests": [{"name": "a", "exact": "fe"}]}'"#,
    };
    assert_eq!(carry_out(Some(&fault)).0, [Miss, Pass, Pass]);
}

#[test]
fn a_native_program_that_fails_is_an_error_and_no_miss() {
    let fault = Fault {
        fcsp: false,
        question: "digest",
        instead: "exit 1",
    };
    assert_eq!(carry_out(Some(&fault)).0, [Error]);
}

#[test]
fn a_framework_that_is_not_there_is_skipped_with_its_reason() {
    let instead = r#"echo '{"missing": "no such framework"}'"#;
    let question = "prepare";
    let natively = Fault {
        fcsp: false,
        question,
        instead,
    };
    let (verdicts, text) = carry_out(Some(&natively));
    assert_eq!(
        (verdicts, text.as_str()),
        (vec![Skipped], "no such framework")
    );
    // Under FCSP alone it is one that FCSP hides.
    let hidden = Fault {
        fcsp: true,
        ..natively
    };
    assert_eq!(carry_out(Some(&hidden)).0, [Miss]);
}

#[test]
fn what_is_slower_is_a_miss() {
    let fault = Fault {
        fcsp: true,
        question: "turn",
        instead: r#"echo '{"iterations": 98, "seconds": 0.5}'"#,
    };
    let (verdicts, _) = carry_out(Some(&fault));
    assert_eq!(verdicts, [Pass, Miss, Pass]);
    assert!(!verdicts.contains(&Info), "it has a bar");
}
