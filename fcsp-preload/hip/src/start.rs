//! What happens when the library is loaded, before the program's own code runs: next to nothing.

use crate::mask;

/// What must stand in the environment before the program starts the driver: the tenant's name, and its compute units.
extern "C" fn prepare() {
    fcsp_program::start::prepare(mask::set);
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static PREPARE: extern "C" fn() = prepare;
