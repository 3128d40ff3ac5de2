//! The status for people.

use super::reading::{ProcessStatus, RegionStatus, Status, TenantStatus};
use crate::table::{Align, Table};
use fcsp_core::policy::memory::show_bytes;
use std::fmt::Write;

/// The whole status, ended by a newline.
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    for region in &status.regions {
        text.push_str(&region_text(region));
    }
    for unusable in &status.unusable {
        // Writing to a string cannot fail, here and below.
        let _ok = writeln!(text, "unusable: {}", unusable.error);
    }
    if text.is_empty() {
        let run_dir = status.run_dir.display();
        let _ok = writeln!(
            text,
            "No device is shared in {run_dir}: no program has been started there yet.\n\
             Start one with: fcsp run --tenant a --compute 25% --memory 8GiB -- PROGRAM"
        );
    }
    text
}

fn region_text(region: &RegionStatus) -> String {
    let device = &region.device;
    // The name of a simulated device says so itself; the mark is for those whose name is cut.
    let simulated = if device.simulated { ", simulated" } else { "" };
    let mut text = format!(
        "{}  {}  {} of {} used{simulated}\n  {}: {}\n",
        device.name,
        device.id,
        show_bytes(region.used_bytes),
        show_bytes(device.total_bytes),
        device.sharing,
        device.sharing_because
    );
    if let (Some(used_bytes), Some(busy)) = (device.driver_used_bytes, device.driver_busy) {
        let _ok = writeln!(
            text,
            "  the driver says: {} used, busy {}",
            show_bytes(used_bytes),
            percent(busy)
        );
    }
    if let Some(group) = &region.group {
        let leads = if group.leader == device.id {
            "leads the order of turns".to_owned()
        } else {
            format!("follows {}", group.leader)
        };
        let _ok = writeln!(
            text,
            "  {leads}: jobs of {} span it and {}",
            group.jobs.join(", "),
            group.others.join(", ")
        );
    }
    if let Some(reclaimed) = &region.reclaimed {
        let _ok = writeln!(
            text,
            "  gave back {} of {} process(es) that are gone",
            show_bytes(reclaimed.bytes),
            reclaimed.processes
        );
    }
    if region.tenants.is_empty() {
        text.push_str("  no tenants\n");
        return text;
    }
    let mut table = Table::new(&[
        ("tenant", Align::Left),
        ("mode", Align::Left),
        ("priority", Align::Left),
        ("entitled", Align::Right),
        ("now", Align::Right),
        ("received", Align::Right),
        ("used", Align::Right),
        ("quota", Align::Right),
        ("peak", Align::Right),
        ("refused", Align::Right),
        ("work", Align::Left),
        ("processes", Align::Left),
    ]);
    for tenant in &region.tenants {
        table.row([
            tenant.name.clone(),
            tenant.mode.to_owned(),
            tenant.priority.to_owned(),
            entitled(tenant),
            percent(tenant.share_now),
            tenant
                .received
                .map_or_else(|| "unmetered".to_owned(), percent),
            show_bytes(tenant.used_bytes),
            quota(tenant),
            show_bytes(tenant.peak_bytes),
            refused(tenant),
            work(tenant),
            processes(&tenant.processes),
        ]);
    }
    text.push_str(&table.render(2));
    text
}

fn percent(fraction: f64) -> String {
    format!("{:.1}%", fraction * 100.0)
}

/// The entitlement, or the weight of a tenant without one.
fn entitled(tenant: &TenantStatus) -> String {
    match tenant.weight {
        None => percent(tenant.entitled),
        Some(1) => "-".to_owned(),
        Some(weight) => format!("weight {weight}"),
    }
}

fn quota(tenant: &TenantStatus) -> String {
    match tenant.quota_bytes {
        None => "-".to_owned(),
        Some(bytes) if tenant.memory_mode == "soft" => format!("{} soft", show_bytes(bytes)),
        Some(bytes) => show_bytes(bytes),
    }
}

fn refused(tenant: &TenantStatus) -> String {
    match tenant.over_quota {
        0 => tenant.refused.to_string(),
        over => format!("{} (+{over} over)", tenant.refused),
    }
}

/// What its work is: the two classes that most of it is of.
fn work(tenant: &TenantStatus) -> String {
    let parts = tenant.work.iter().take(2);
    let parts: Vec<String> = parts
        .map(|it| format!("{} {:.0}%", it.class, it.part * 100.0))
        .collect();
    match parts.is_empty() {
        true => "-".to_owned(),
        false => parts.join(", "),
    }
}

fn processes(processes: &[ProcessStatus]) -> String {
    if processes.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<String> = processes
        .iter()
        .take(4)
        .map(|process| {
            let elsewhere = if process.same_pid_namespace {
                ""
            } else {
                " in a container"
            };
            format!("{} ({}{elsewhere})", process.command, process.pid)
        })
        .collect();
    match processes.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
