use super::*;
use crate::fixture;

fn damaged(change: impl FnOnce(&mut Value)) -> ParseError {
    let mut value: Value = serde_json::from_str(&fixture::report(1, true).to_json()).expect("JSON");
    change(&mut value);
    Report::parse(value.to_string().as_bytes()).expect_err("it is damaged")
}

#[test]
fn a_report_comes_back_as_it_was() {
    let report = fixture::report(1, true);
    let read = Report::parse(report.to_json().as_bytes()).expect("it was just written");
    assert!(read == report);
}

#[test]
fn a_system_has_the_shape_of_the_public_suite() {
    let value: Value = serde_json::from_str(&fixture::report(1, true).to_json()).expect("JSON");
    let system = &value["systems"][1];
    for field in ["benchmark_version", "timestamp", "system_name"] {
        assert!(system[field].is_string(), "{field}");
    }
    assert!(system["duration_seconds"].is_number());
    assert_eq!(system["gpu"]["total_memory_mb"], 81_920);
    assert_eq!(system["gpu"]["sm_count"], 132);
    let metric = &system["metrics"][0];
    assert_eq!(
        (&metric["id"], &metric["unit"]),
        (&"OH-001".into(), &"us".into())
    );
    assert_eq!(metric["success"], true);
    for field in [
        "mean", "std_dev", "min", "max", "p50", "p90", "p95", "p99", "count",
    ] {
        assert!(metric["stats"][field].is_number(), "{field}");
    }
    assert!(system["scores"]["overall"]["ideal"].is_number());
    assert_eq!(system["simulated"], true);
}

#[test]
fn samples_stand_in_one_line() {
    let json = fixture::report(1, true).to_json();
    let samples = json.lines().filter(|line| line.contains("\"samples\": ["));
    assert!(samples.clone().count() > 100);
    for line in samples {
        assert!(line.ends_with("],"), "{line}");
    }
    assert!(
        json.lines()
            .any(|line| line.trim() == "\"id\": \"OH-001\",")
    );
}

#[test]
fn a_file_that_ends_in_the_middle_is_called_so() {
    let json = fixture::report(1, true).to_json();
    for part in [1, json.len() / 3, json.len() - 10] {
        let error = Report::parse(&json.as_bytes()[..part]).expect_err("a part");
        assert!(
            matches!(error, ParseError::Truncated { .. }),
            "{part}: {error}"
        );
    }
    let error = Report::parse(b" \n").expect_err("nothing");
    assert!(matches!(error, ParseError::Empty), "{error}");
}

#[test]
fn what_is_no_report_is_called_what_it_is() {
    let parse = |text: &str| Report::parse(text.as_bytes()).expect_err("no report");
    assert!(matches!(parse("id,name\n1,2\n"), ParseError::NotJson(_)));
    assert!(matches!(parse("\u{7f}ELF"), ParseError::NotJson(_)));
    assert!(matches!(parse("[1, 2]"), ParseError::Foreign));
    assert!(matches!(parse("{\"format\": 1}"), ParseError::Foreign));
    let public = parse(r#"{"benchmark_version": "1.0.0", "system_name": "hami", "metrics": []}"#);
    assert!(public.to_string().contains("\"hami\""), "{public}");
}

#[test]
fn another_format_says_which_and_who_wrote_it() {
    let error = damaged(|it| it["format"] = 7.into()).to_string();
    assert_eq!(
        error,
        "it is a report of format 7, written by fcsp 0.0.0-fixture; this fcsp reads format 1"
    );
}

#[test]
fn a_field_that_is_missing_or_wrong_is_named() {
    let error = damaged(|it| {
        it["gpu"].as_object_mut().expect("an object").remove("name");
    });
    assert!(
        error.to_string().contains("missing field `name`"),
        "{error}"
    );
    let error = damaged(|it| it["systems"][2]["kind"] = "hypervisor".into());
    assert!(error.to_string().contains("hypervisor"), "{error}");
}

#[test]
fn a_report_that_has_more_than_we_know_can_be_read() {
    let mut value: Value =
        serde_json::from_str(&fixture::report(1, false).to_json()).expect("JSON");
    value["weather"] = "fair".into();
    assert!(Report::parse(value.to_string().as_bytes()).is_ok());
}

#[test]
fn a_file_is_written_whole_and_errors_name_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let report = fixture::report(2, true);
    report.write(&path).expect("it can be written");
    assert!(Report::read(&path).expect("it can be read") == report);
    let files = std::fs::read_dir(folder.path())
        .expect("the folder")
        .count();
    assert_eq!(files, 1, "nothing unfinished is left");

    let missing = folder.path().join("missing.json");
    let error = Report::read(&missing)
        .expect_err("it is not there")
        .to_string();
    assert!(error.contains("missing.json: No such file"), "{error}");
    assert!(report.write(&missing.join("below")).is_err());
}
