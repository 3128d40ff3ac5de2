//! What happens when the library is loaded, before the program's own code runs: next to nothing.

use crate::mps;

/// What must stand in the environment before the program starts the driver.
extern "C" fn prepare() {
    fcsp_program::start::prepare(mps::set_partition);
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static PREPARE: extern "C" fn() = prepare;
