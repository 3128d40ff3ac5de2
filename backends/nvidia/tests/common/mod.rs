//! What the tests over the simulated libraries share.

use fcsp_conformance::simulated;
use std::path::PathBuf;

const LIBRARY: &str = "libnvidia-ml.so.1";

/// Runs `body` in a process of its own that finds the simulated libraries. `name` is the test's own.
pub fn with_simulated_libraries(name: &str, variables: &[(&str, &str)], body: fn()) {
    simulated::with_libraries(LIBRARY, name, variables, body);
}

/// The install tree.
#[allow(dead_code, reason = "each test program uses its part")]
pub fn tree() -> PathBuf {
    simulated::tree_with(LIBRARY)
}
