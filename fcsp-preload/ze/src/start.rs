//! What happens when the library is loaded, before the program's own code runs: next to nothing.

/// What must stand in the environment before the program starts the driver: the tenant's name.
extern "C" fn prepare() {
    fcsp_program::start::prepare(|| {});
}

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
static PREPARE: extern "C" fn() = prepare;
