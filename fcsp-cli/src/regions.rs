//! The regions in the run directory, for the subcommands that look into them.

use anyhow::{Context, Result};
use fcsp_core::region::{self, Region, RegionError};
use std::path::PathBuf;

/// Which run directory.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunDirArg {
    /// Directory of the regions [default: $FCSP_RUN_DIR, /run/fcsp, or /dev/shm/fcsp-<uid>]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

/// What is in the run directory.
pub struct Regions {
    /// Where they are.
    pub run_dir: PathBuf,
    /// Those that can be used.
    pub usable: Vec<Region>,
    /// Those that cannot, and why.
    pub unusable: Vec<(PathBuf, RegionError)>,
}

impl RunDirArg {
    /// The directory that is meant.
    pub fn path(&self) -> Result<PathBuf> {
        match &self.run_dir {
            Some(run_dir) => Ok(run_dir.clone()),
            None => Ok(region::run_dir()?),
        }
    }

    /// Opens every region there is.
    pub fn open(&self) -> Result<Regions> {
        let run_dir = self.path()?;
        let found = region::list(&run_dir)
            .with_context(|| format!("cannot look into {}", run_dir.display()))?;
        let (mut usable, mut unusable) = (Vec::new(), Vec::new());
        for (path, region) in found {
            match region {
                Ok(region) => usable.push(region),
                Err(error) => unusable.push((path, error)),
            }
        }
        Ok(Regions {
            run_dir,
            usable,
            unusable,
        })
    }
}
