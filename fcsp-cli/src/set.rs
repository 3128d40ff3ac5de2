//! `fcsp set`: changes the limits of a tenant while its programs run.

use crate::exit::Outcome;
use crate::regions::RunDirArg;
use crate::run::LimitArgs;
use anyhow::{Result, bail};
use fcsp_core::policy::live::{self, Change};
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::policy::{Limits, Weight};
use fcsp_core::region::{Region, scan, tenant};
use std::io::Write;

/// Change the limits of a tenant while its programs run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp set a --compute 60%
  fcsp set a --memory 4GiB --memory-mode soft
  fcsp set a --device GPU-8a56 --mode strict
  fcsp set a --priority low

What is not given stays as it is. The change holds as long as the tenant has processes or memory; to
make it last, put it into the policy file.")]
pub struct Args {
    /// Which tenant
    tenant: String,
    /// Only on the device whose identity begins so [default: on every device where it is]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
    /// Part of what tenants with compute leave, 1 to 1000; counts while the tenant has no compute
    #[arg(long, value_name = "WEIGHT")]
    weight: Option<Weight>,
    #[command(flatten)]
    run_dir: RunDirArg,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    if args.limits.is_empty() && args.weight.is_none() {
        bail!(
            "nothing to change; give --compute, --memory, --memory-mode, --mode, --burst-max, \
             --priority or --weight"
        );
    }
    let regions = args.run_dir.open()?;
    for (_, error) in &regions.unusable {
        tracing::warn!("{error}");
    }
    let on_device = |region: &&Region| match &args.device {
        Some(prefix) => region.device().id.starts_with(prefix.as_str()),
        None => true,
    };
    let candidates: Vec<&Region> = regions.usable.iter().filter(on_device).collect();
    let locks = live::lock(candidates.iter().copied())?;
    let mut changes = Vec::new();
    for (region, lock) in candidates.iter().zip(&locks) {
        if let Some(index) = tenant::find(region, &args.tenant) {
            let total_bytes = region.device().total_bytes;
            let change = Change::plan(region, lock, index, |_, limits| {
                args.after(limits, total_bytes)
            });
            // Everything is checked before anything is written.
            live::check(region, std::slice::from_ref(&change))?;
            changes.push(change);
        }
    }
    if changes.is_empty() {
        bail!(
            "{}",
            nobody(&args.tenant, args.device.as_deref(), &candidates)
        );
    }
    for change in &changes {
        change.make();
    }
    drop(locks);
    for change in &changes {
        report(change)?;
    }
    Ok(Outcome::Good)
}

impl Args {
    /// What was asked for, put in the place of what was before.
    fn after(&self, before: Limits, total_bytes: u64) -> Limits {
        let asked = &self.limits;
        Limits {
            mode: asked.mode.unwrap_or(before.mode),
            entitlement: asked.compute.unwrap_or(before.entitlement),
            burst_max: asked.burst_max.unwrap_or(before.burst_max),
            priority: asked.priority.unwrap_or(before.priority),
            weight: self.weight.unwrap_or(before.weight),
            quota_bytes: match asked.memory {
                Some(memory) => memory.quota_bytes(total_bytes),
                None => before.quota_bytes,
            },
            memory_mode: asked.memory_mode.unwrap_or(before.memory_mode),
            ..before
        }
    }
}

/// Says on stdout what changed, and on stderr what may not be meant.
pub fn report(change: &Change<'_>) -> Result<()> {
    let device = change.region().device();
    writeln!(
        std::io::stdout(),
        "{} on {}: {}",
        change.tenant,
        device.id,
        change.describe()
    )?;
    if let Some(warning) = change.over_quota() {
        tracing::warn!("{warning}");
    }
    let quotas = scan::live_tenants(change.region().layout())
        .filter_map(|(_, tenant)| Limits::load(tenant).quota_bytes);
    let sum = quotas.fold(0_u64, u64::saturating_add);
    if sum > device.total_bytes {
        tracing::warn!(
            "memory quotas on {} add up to {} of {}: it is oversubscribed, and the device can \
             run out before a quota does",
            device.id,
            show_bytes(sum),
            show_bytes(device.total_bytes)
        );
    }
    Ok(())
}

fn nobody(name: &str, device: Option<&str>, regions: &[&Region]) -> String {
    let mut known: Vec<String> = regions
        .iter()
        .flat_map(|region| scan::live_tenants(region.layout()))
        .map(|(_, tenant)| tenant.name.read())
        .collect();
    known.sort_unstable();
    known.dedup();
    let place = device.map_or_else(String::new, |device| format!(" on device {device}"));
    match known.is_empty() {
        true => format!("there is no tenant {name:?}{place}; no program uses FCSP there now"),
        false => format!(
            "there is no tenant {name:?}{place}; there are {}",
            known.join(", ")
        ),
    }
}
