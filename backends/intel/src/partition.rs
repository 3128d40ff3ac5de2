//! How a device can be divided: into tiles, which programs can use as devices of their own, and into compute engines. Both
//! are set for a process, by its environment. FCSP sets neither.

use crate::device::engines;
use crate::sysman::Sysman;
use fcsp_core::backend::BackendError;
use level_zero_sys::{zes_device_handle_t, zes_engine_group_t};

/// The variable by which a process is shown some devices, or some tiles, only: `0`, `0.1`, `0,1`.
pub const MASK_VARIABLE: &str = "ZE_AFFINITY_MASK";
/// The variable by which a process is shown several compute engines of a device: `0:4`.
pub const ENGINES_VARIABLE: &str = "ZEX_NUMBER_OF_CCS";
/// The variable that says whether tiles are devices of their own: `FLAT`, `COMPOSITE` or `COMBINED`.
pub const HIERARCHY_VARIABLE: &str = "ZE_FLAT_DEVICE_HIERARCHY";

/// How a device is made up, as far as sharing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Its tiles; 1 where it is not divided.
    pub tiles: u32,
    /// Its compute engines. `None` where the driver does not list engines.
    pub compute_engines: Option<u32>,
}

pub(crate) fn setup(sysman: &Sysman, device: zes_device_handle_t) -> Result<Setup, BackendError> {
    Ok(Setup {
        tiles: sysman.properties(device)?.numSubdevices.max(1),
        compute_engines: compute_engines(sysman, device)?,
    })
}

/// Compute engines that a device shows.
pub(crate) fn compute_engines(
    sysman: &Sysman,
    device: zes_device_handle_t,
) -> Result<Option<u32>, BackendError> {
    let compute = |kind| kind == zes_engine_group_t::ZES_ENGINE_GROUP_COMPUTE_SINGLE;
    let count = |engines: Vec<_>| engines.iter().filter(|(_, kind)| compute(*kind)).count() as u32;
    Ok(engines(sysman, device)?.map(count))
}
