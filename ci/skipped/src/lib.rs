//! How a test says that it cannot run here: [`skip`]. A test that returns early has passed, as far as its harness knows, and
//! what it wrote is not shown. `cargo xtask test` collects the names and reasons and shows them at the end.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;

/// The variable that names the file where they are collected.
pub const FILE_VARIABLE: &str = "FCSP_SKIPPED_TESTS";

/// Says that the running test, which returns now, could not run, and why.
///
/// # Panics
/// If the file that collects them cannot be written to: it would look as if everything had run.
pub fn skip(reason: impl Display) {
    let line = format!("{}: {reason}\n", name());
    eprint!("skipped: {line}");
    if let Some(path) = std::env::var_os(FILE_VARIABLE) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        // One write, so that lines of tests that run at once stay whole.
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// The running test: its program, without the number that cargo gives it, and its thread, which has its name.
fn name() -> String {
    let program = std::env::current_exe().ok();
    let stem = program.as_deref().and_then(|it| it.file_stem()?.to_str());
    let stem = stem.map_or("a test", |stem| {
        stem.rsplit_once('-').map_or(stem, |(name, _)| name)
    });
    let thread = std::thread::current();
    format!("{stem}::{}", thread.name().unwrap_or("unnamed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_named_by_its_program_and_its_thread() {
        assert_eq!(
            name(),
            "fcsp_skipped::tests::a_test_is_named_by_its_program_and_its_thread"
        );
    }
}
