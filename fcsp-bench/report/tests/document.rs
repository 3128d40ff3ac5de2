//! `docs/metrics.md` is what the catalogue says.

use std::path::Path;

#[test]
fn the_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let written = fcsp_bench_report::catalogue::document();
    if std::env::var_os("FCSP_BLESS").is_some() {
        std::fs::write(&path, &written).expect("docs can be written");
    }
    let read = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        read == written,
        "docs/metrics.md is not what the catalogue says: run this test with FCSP_BLESS=1 and look at the change"
    );
}
