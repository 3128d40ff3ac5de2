//! `fcsp policy`: checks a policy file, puts one in force, shows the one in force.

use crate::exit::Outcome;
use crate::regions::RunDirArg;
use crate::set;
use crate::table::{Align, Table};
use anyhow::Result;
use fcsp_core::backend::{self, DeviceInfo};
use fcsp_core::policy::file::{DEFAULT_PATH, VARIABLE};
use fcsp_core::policy::live;
use fcsp_core::policy::{ClassWeight, Policy, Profile};
use fcsp_core::sched::class::Class;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Check a policy file, put one in force, show the one in force
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Check a file: exit code 0 if it can be used, 1 if not
    #[command(after_help = "\
Examples:
  fcsp policy check policy.toml
  fcsp policy check --deny-warnings policy.toml    # for a build")]
    Check {
        /// The file
        file: PathBuf,
        /// Also fail on what is allowed and may not be meant
        #[arg(long)]
        deny_warnings: bool,
    },
    /// Put a file in force for the programs that run now; a bad file changes nothing
    #[command(after_help = "\
Programs that start later read $FCSP_POLICY or /etc/fcsp/policy.toml: put the file there too.")]
    Apply {
        /// The file
        file: PathBuf,
        #[command(flatten)]
        run_dir: RunDirArg,
    },
    /// Show the file that programs started now would read
    Show,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    match &args.command {
        Command::Check {
            file,
            deny_warnings,
        } => check(file, *deny_warnings),
        Command::Apply { file, run_dir } => apply(file, run_dir),
        Command::Show => show(),
    }
}

fn check(file: &Path, deny_warnings: bool) -> Result<Outcome> {
    let policy = Policy::read(file)?;
    let warned = warn(&policy);
    writeln!(
        std::io::stdout(),
        "{}: good, {} tenant(s)",
        file.display(),
        policy.tenants.len()
    )?;
    Ok(if warned && deny_warnings {
        Outcome::Bad
    } else {
        Outcome::Good
    })
}

/// Says on stderr what may not be meant; gives whether there was anything.
fn warn(policy: &Policy) -> bool {
    let warnings = policy.warnings(&devices());
    for warning in &warnings {
        let line = warning
            .line
            .map_or_else(String::new, |line| format!("{line}:"));
        eprintln!(
            "{}:{line} warning: {}",
            policy.path.display(),
            warning.message
        );
    }
    !warnings.is_empty()
}

/// The devices of this machine in the order in which programs number them by default; none if no
/// driver answers.
fn devices() -> Vec<DeviceInfo> {
    backend::open_all()
        .into_iter()
        .filter_map(
            |(vendor, backend)| match backend.and_then(|backend| backend.devices()) {
                Ok(devices) => Some(devices),
                Err(error) => {
                    tracing::debug!("{vendor}: {error}");
                    None
                }
            },
        )
        .flatten()
        .collect()
}

fn apply(file: &Path, run_dir: &RunDirArg) -> Result<Outcome> {
    let policy = Policy::read(file)?;
    warn(&policy);
    let regions = run_dir.open()?;
    for (_, error) in &regions.unusable {
        tracing::warn!("{error}");
    }
    let devices = devices();
    let ordinal = |id: &str| {
        let ordinal = devices.iter().position(|device| device.id == id);
        ordinal.and_then(|ordinal| u32::try_from(ordinal).ok())
    };
    let changes = live::put_in_force(&policy, &regions.usable, &ordinal, &|_| true)?;
    let mut changed = 0;
    for change in changes.iter().filter(|change| change.is_felt()) {
        set::report(change)?;
        changed += 1;
    }
    writeln!(
        std::io::stdout(),
        "{}: in force, {changed} of {} live tenant(s) changed",
        file.display(),
        changes.len()
    )?;
    Ok(Outcome::Good)
}

fn show() -> Result<Outcome> {
    let mut stdout = std::io::stdout();
    let Some(policy) = Policy::find()? else {
        writeln!(
            stdout,
            "No policy: {VARIABLE} is not set and there is no {DEFAULT_PATH}. Limits come from the \
             environment of each program."
        )?;
        return Ok(Outcome::Good);
    };
    let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
    writeln!(stdout, "{}", policy.path.display())?;
    let pools = policy.pools.unwrap_or_default();
    writeln!(
        stdout,
        "  mode {}, memory {}, fail {}, low priority {}, sharing {}, pools {}/{}/{} (floor/shared/burst)",
        policy.mode.unwrap_or_default(),
        policy.memory_mode.unwrap_or_default(),
        policy.fail.unwrap_or_default(),
        policy.low_priority.unwrap_or_default(),
        policy.sharing.unwrap_or_default(),
        pools.floor,
        pools.shared,
        pools.burst
    )?;
    let weighted = Class::ALL.map(|class| (class, policy.classes.of(class)));
    for (class, weight) in weighted {
        if weight != ClassWeight::ONE {
            let weight = f64::from(weight.milli()) / 1e3;
            writeln!(stdout, "  {class} counts {weight}")?;
        }
    }
    let tenants = policy.tenants.iter().map(|tenant| tenant.profile);
    let mut profiles: Vec<Profile> = tenants.chain([policy.profile]).flatten().collect();
    profiles.sort_by_key(|profile| profile.word());
    profiles.dedup();
    for profile in profiles {
        writeln!(stdout, "  profile {}", profile.describe())?;
    }
    for (device, settings) in &policy.devices {
        let mode = settings.mode.map(|mode| format!("mode {mode}"));
        let sharing = settings.sharing.map(|sharing| format!("sharing {sharing}"));
        let pools = settings
            .pools
            .map(|pools| format!("pools {}/{}/{}", pools.floor, pools.shared, pools.burst));
        let words: Vec<String> = [mode, sharing, pools].into_iter().flatten().collect();
        writeln!(stdout, "  device {device}: {}", words.join(", "))?;
    }
    let mut table = Table::new(&[
        ("tenant", Align::Left),
        ("device", Align::Left),
        ("profile", Align::Left),
        ("compute", Align::Right),
        ("memory", Align::Right),
        ("memory mode", Align::Left),
        ("mode", Align::Left),
        ("burst max", Align::Right),
        ("priority", Align::Left),
        ("weight", Align::Right),
    ]);
    for tenant in &policy.tenants {
        let word = |word: Option<&'static str>| or(word.map(str::to_owned), "-");
        table.row([
            tenant.name.clone(),
            "every".to_owned(),
            word(tenant.profile.map(Profile::word)),
            or(tenant.compute.map(|it| it.to_string()), "-"),
            or(tenant.memory.map(|it| it.to_string()), "-"),
            word(tenant.memory_mode.map(|it| it.word())),
            word(tenant.mode.map(|it| it.word())),
            or(tenant.burst_max.map(|it| it.to_string()), "-"),
            word(tenant.priority.map(|it| it.word())),
            or(tenant.weight.map(|it| it.to_string()), "-"),
        ]);
        for (device, limits) in &tenant.devices {
            table.row([
                tenant.name.clone(),
                device.clone(),
                "-".to_owned(),
                or(limits.compute.map(|it| it.to_string()), "-"),
                or(limits.memory.map(|it| it.to_string()), "-"),
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
                "-".to_owned(),
            ]);
        }
    }
    if !policy.tenants.is_empty() {
        write!(stdout, "{}", table.render(2))?;
    }
    Ok(Outcome::Good)
}
