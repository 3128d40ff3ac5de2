//! `fcsp set`: changes the limits of a tenant while its programs run.

use crate::exit::Outcome;
use crate::regions::RunDirArg;
use crate::run::LimitArgs;
use anyhow::{Result, bail};
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::policy::validate::ADAPTIVE_IS_BALANCED;
use fcsp_core::policy::{Limits, Mode, Share, Weight};
use fcsp_core::region::layout::Tenant;
use fcsp_core::region::{Region, TenantIndex, scan, tenant};
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
    let mut changes = Vec::new();
    for region in &candidates {
        if let Some(index) = tenant::find(region, &args.tenant) {
            // Everything is checked before anything is written.
            changes.push(Change::plan(region, index, args)?);
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
    for change in &changes {
        change.report(&args.tenant)?;
    }
    Ok(Outcome::Good)
}

/// A change of one tenant on one device.
pub struct Change<'a> {
    region: &'a Region,
    index: TenantIndex,
    /// Limits before.
    pub before: Limits,
    /// Limits after.
    pub after: Limits,
}

impl<'a> Change<'a> {
    /// What `asked` makes of the tenant's limits; an error if that cannot be.
    fn plan(region: &'a Region, index: TenantIndex, args: &Args) -> Result<Self> {
        let asked = &args.limits;
        let before = Limits::load(region.tenant(index));
        let total_bytes = region.device().total_bytes;
        let after = Limits {
            mode: asked.mode.unwrap_or(before.mode),
            entitlement: asked.compute.unwrap_or(before.entitlement),
            burst_max: asked.burst_max.unwrap_or(before.burst_max),
            priority: asked.priority.unwrap_or(before.priority),
            weight: args.weight.unwrap_or(before.weight),
            quota_bytes: match asked.memory {
                Some(memory) => memory.quota_bytes(total_bytes),
                None => before.quota_bytes,
            },
            memory_mode: asked.memory_mode.unwrap_or(before.memory_mode),
            ..before
        };
        let change = Self {
            region,
            index,
            before,
            after,
        };
        check(region, &[&change])?;
        Ok(change)
    }

    /// A change to known limits.
    pub fn to(region: &'a Region, index: TenantIndex, after: Limits) -> Self {
        Self {
            region,
            index,
            before: Limits::load(region.tenant(index)),
            after,
        }
    }

    /// Writes the limits and wakes the arbiter.
    pub fn make(&self) {
        self.after.store(self.page());
        self.region.ring();
    }

    /// Says on stdout what changed, and on stderr what may not be meant.
    pub fn report(&self, name: &str) -> Result<()> {
        let device = self.region.device();
        writeln!(
            std::io::stdout(),
            "{name} on {}: {}",
            device.id,
            describe(&self.before, &self.after)
        )?;
        let used_bytes = self.page().used.bytes();
        if let Some(quota_bytes) = self.after.quota_bytes.filter(|quota| *quota < used_bytes) {
            tracing::warn!(
                "{name} uses {} and keeps it, which is more than its quota of {}; it gets no more \
                 until it has freed the difference",
                show_bytes(used_bytes),
                show_bytes(quota_bytes)
            );
        }
        if self.after.mode == Mode::Adaptive {
            tracing::warn!("{ADAPTIVE_IS_BALANCED}");
        }
        let quotas = scan::live_tenants(self.region.layout())
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

    fn page(&self) -> &Tenant {
        self.region.tenant(self.index)
    }
}

/// Checks what a policy file is checked for: that strict tenants can run, and that what is promised
/// strictly on the device of `region` is there to be given once `changes` are made.
pub fn check(region: &Region, changes: &[&Change<'_>]) -> Result<()> {
    let mut strict_ppm = 0;
    for (index, tenant) in scan::live_tenants(region.layout()) {
        let change = changes.iter().find(|change| change.index == index);
        let limits = change.map_or_else(|| Limits::load(tenant), |change| change.after);
        if limits.mode != Mode::Strict {
            continue;
        }
        if limits.entitlement.is_zero() {
            bail!(
                "{} would be strict and have no compute: it could never run; give it compute or \
                 another mode",
                tenant.name.read()
            );
        }
        strict_ppm += u64::from(limits.entitlement.ppm());
    }
    if strict_ppm > u64::from(Share::WHOLE.ppm()) {
        bail!(
            "strict compute on {} would add up to {}%; strict shares are promises and cannot pass \
             100%. Nothing was changed",
            region.device().id,
            strict_ppm as f64 / 10_000.0
        );
    }
    Ok(())
}

/// The differences, as `compute 25% -> 60%, memory 8 GiB -> 4 GiB`.
pub fn describe(before: &Limits, after: &Limits) -> String {
    let quota = |quota: Option<u64>| quota.map_or("unlimited".to_owned(), show_bytes);
    let pools = |limits: &Limits| {
        let pools = limits.pools;
        format!("{}/{}/{}", pools.floor, pools.shared, pools.burst)
    };
    let rows = [
        (
            "compute",
            before.entitlement.to_string(),
            after.entitlement.to_string(),
        ),
        (
            "memory",
            quota(before.quota_bytes),
            quota(after.quota_bytes),
        ),
        (
            "memory-mode",
            before.memory_mode.to_string(),
            after.memory_mode.to_string(),
        ),
        ("mode", before.mode.to_string(), after.mode.to_string()),
        ("pools", pools(before), pools(after)),
        (
            "burst-max",
            before.burst_max.to_string(),
            after.burst_max.to_string(),
        ),
        (
            "priority",
            before.priority.to_string(),
            after.priority.to_string(),
        ),
        (
            "low-priority",
            before.low_priority.to_string(),
            after.low_priority.to_string(),
        ),
        (
            "weight",
            before.weight.to_string(),
            after.weight.to_string(),
        ),
        ("fail", before.fail.to_string(), after.fail.to_string()),
    ];
    let changed: Vec<String> = rows
        .into_iter()
        .filter(|(_, before, after)| before != after)
        .map(|(what, before, after)| format!("{what} {before} -> {after}"))
        .collect();
    if changed.is_empty() {
        "unchanged".to_owned()
    } else {
        changed.join(", ")
    }
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
