//! `fcsp trace`: what the arbiter of a device meets and decides, event by event.
//!
//! The arbiter is a thread of one of the programs. It records into a ring in the region while a word there
//! says so; this command renews that word and reads the ring every few milliseconds, so that a trace that
//! is killed leaves nothing on.

mod device;
mod kind;
mod line;
mod names;
mod summary;

use crate::exit::Outcome;
use crate::regions::{Regions, RunDirArg};
use anyhow::{Result, bail};
use device::Traced;
use fcsp_core::region::{Region, RegionError, reclaim, scan};
use fcsp_core::sched::clock::{ms, now_ns};
use fcsp_measure::interrupt;
use kind::Kind;
use line::Printer;
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// How often the ring is read: an arbiter records some tens of events in that time, and the ring holds
/// thousands.
const POLL: Duration = Duration::from_millis(2);
/// How far ahead the arbiter is told to record: so long it goes on when this command is killed, and so long
/// this command may be kept from its processor.
const AHEAD_NS: u64 = ms(500);
/// Events still come so long after the end: the last ones are being written.
const DRAIN_NS: u64 = ms(50);

/// Show what the arbiter of a device meets and decides, event by event
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp trace                                    one second of all that is decided
  fcsp trace --seconds 10 --events turns,shares
  fcsp trace --seconds 5 --summary
  fcsp trace --json | jq 'select(.event == \"turn_began\") | {tenant, budget_ns}'

Times are milliseconds since the beginning. Tracing costs the arbiter some tens of nanoseconds per event
and programs nothing; it ends with this command, however that ends. A tenant that is alone and has no
ceiling passes untouched, or with everything granted in advance where somebody may come back: then there is
little to decide.")]
pub struct Args {
    /// Only the device whose identity begins so [default: every device]
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// How long
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Show only these [default: all but wakes]; the summary counts all
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    events: Vec<Kind>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Show the summary only, on stdout
    #[arg(long)]
    summary: bool,
    #[command(flatten)]
    run_dir: RunDirArg,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a trace takes from 0.01 to 86400 seconds".to_owned()),
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let regions = args.run_dir.open()?;
    let chosen = choose(args, &regions)?;
    interrupt::listen();
    let start_ns = now_ns();
    let mut end_ns = start_ns + (args.seconds * 1e9) as u64;
    let mut traced: Vec<Traced<'_>> = chosen.into_iter().map(Traced::begin).collect();
    let mut printer = Printer::new(args, start_ns, traced.len());
    loop {
        let now = now_ns();
        if interrupt::came() {
            end_ns = end_ns.min(now);
        }
        let mut events = Vec::new();
        for (index, device) in traced.iter_mut().enumerate() {
            device.keep_on(end_ns.min(now + AHEAD_NS));
            events.extend(device.read(now).into_iter().map(|event| (index, event)));
        }
        // Stable: those of one device stay in their order where times are the same.
        events.sort_by_key(|(_, event)| event.time_ns);
        events.retain(|(_, event)| event.time_ns < end_ns);
        for (index, event) in events {
            let who = traced[index].count(&event);
            printer.event(&traced[index].id, &who, &event)?;
        }
        printer.flush()?;
        let is_behind = || traced.iter().any(Traced::is_behind);
        if now >= end_ns && (!is_behind() || now >= end_ns + DRAIN_NS) {
            break;
        }
        std::thread::sleep(POLL.min(Duration::from_nanos(end_ns.saturating_sub(now).max(ms(1)))));
    }
    let seconds = (end_ns - start_ns) as f64 / 1e9;
    let summaries: Vec<_> = traced.iter().map(|it| it.summarize(seconds)).collect();
    match (args.summary, args.json) {
        (true, true) => {
            for summary in &summaries {
                writeln!(std::io::stdout(), "{}", serde_json::to_string(summary)?)?;
            }
        }
        (true, false) => write!(std::io::stdout(), "{}", summary::render(&summaries))?,
        (false, _) => write!(std::io::stderr(), "{}", summary::render(&summaries))?,
    }
    Ok(Outcome::Good)
}

/// The regions to trace, or why there are none.
fn choose<'a>(args: &Args, regions: &'a Regions) -> Result<Vec<&'a Region>> {
    for (_, error) in &regions.unusable {
        tracing::warn!("{error}");
    }
    let run_dir = regions.run_dir.display();
    if regions.usable.is_empty() {
        let refused = |(_, error): &(_, RegionError)| matches!(error, RegionError::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied);
        match regions.unusable.first() {
            None => bail!(
                "no device is shared in {run_dir}: no program has been started there yet; start one with \
                 fcsp run, or name the directory of the programs with --run-dir"
            ),
            Some(_) if regions.unusable.iter().any(refused) => bail!(
                "the programs in {run_dir} are somebody else's; trace them as the user who runs them or as \
                 root, or let all users share a run directory (mode 1777)"
            ),
            Some((_, error)) => bail!("nothing in {run_dir} can be traced: {error}"),
        }
    }
    let prefix = args.device.as_deref().unwrap_or_default();
    let of_device = |region: &&Region| region.device().id.starts_with(prefix);
    let chosen: Vec<&Region> = regions.usable.iter().filter(of_device).collect();
    if chosen.is_empty() {
        let known: Vec<String> = regions.usable.iter().map(|it| it.device().id).collect();
        bail!(
            "there is no device {prefix}; there are {}",
            known.join(", ")
        );
    }
    let is_used = |region: &&Region| {
        // What the dead left would look like a program.
        if let Err(error) = reclaim::reclaim_dead(region) {
            tracing::warn!("{error}");
        }
        scan::live_slots(region.layout()).next().is_some()
    };
    let used: Vec<&Region> = chosen.iter().copied().filter(is_used).collect();
    if used.is_empty() {
        let names: Vec<String> = chosen.iter().map(|it| it.device().id).collect();
        bail!(
            "no program uses {} now, so nobody decides anything there; start one with fcsp run, then trace",
            names.join(", ")
        );
    }
    Ok(used)
}
