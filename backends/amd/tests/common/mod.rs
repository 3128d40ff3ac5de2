//! What the tests over the simulated libraries share.

use fcsp_conformance::simulated;

const LIBRARY: &str = "amd/librocm_smi64.so.1";

/// Runs `body` in a process of its own that finds the simulated libraries. `name` is the test's own.
pub fn with_simulated_libraries(name: &str, variables: &[(&str, &str)], body: fn()) {
    simulated::with_libraries(LIBRARY, name, variables, body);
}
