//! `fcsp hooks`.

use crate::node::{fcsp_in, stderr, stdout};
use std::path::Path;

#[test]
fn hooks_are_shown_for_people_and_for_programs() {
    let anywhere = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let text = stdout(&fcsp_in(anywhere, &["hooks"]));
    let line = text
        .lines()
        .find(|line| line.contains(" cuMemCreate "))
        .expect("listed");
    let words: Vec<_> = line.split_whitespace().take(4).collect();
    assert_eq!(words, ["libcuda", "cuMemCreate", "account", "closed"]);

    let output = fcsp_in(anywhere, &["hooks", "--vendor", "cuda", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let all: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        all.len() + 1,
        text.lines().count(),
        "a line each, and a heading"
    );
    let forwarded = all
        .iter()
        .find(|it| it["function"] == "cuDriverGetVersion")
        .expect("listed");
    assert_eq!(forwarded["decision"], "forward");
    assert_eq!(forwarded["fails"], "open");

    let unknown = fcsp_in(anywhere, &["hooks", "--vendor", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
}
