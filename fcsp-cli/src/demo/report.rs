//! What is said at the end, for people and for programs.

use super::play::Played;
use super::stage::Stage;
use crate::table::{Align, Table};
use fcsp_core::policy::memory::show_bytes;
use serde::Serialize;

/// The result of a demo. Shares are fractions of what the tenants received together.
#[derive(Debug, Serialize)]
pub struct Report {
    device: String,
    simulated: bool,
    tenants: Vec<TenantReport>,
    /// Percentage points.
    share_error_max: Option<f64>,
    throughput_vs_alone: f64,
    reclaim_ms: Option<f64>,
    /// The last tenant, alone, against a program alone without FCSP.
    last_vs_alone: f64,
    #[serde(skip)]
    after_kill: Vec<(&'static str, f64, f64)>,
    #[serde(skip)]
    last_and_killed: (&'static str, &'static str),
}

#[derive(Debug, Serialize)]
struct TenantReport {
    name: &'static str,
    entitled: f64,
    share: f64,
    launches: u64,
    quota_bytes: u64,
    peak_bytes: u64,
    refused: u64,
}

impl Report {
    /// Of what was played on that stage.
    pub fn of(stage: &Stage, played: &Played) -> Self {
        let device = &stage.calibration.device;
        Self {
            device: device.name.clone(),
            simulated: device.simulated,
            share_error_max: played.share_error_max,
            throughput_vs_alone: played.throughput_vs_alone,
            reclaim_ms: played.reclaim_ms,
            last_vs_alone: played.last_vs_alone,
            after_kill: played.after_kill.clone(),
            last_and_killed: played.last_and_killed,
            tenants: played
                .tenants
                .iter()
                .map(|tenant| TenantReport {
                    name: tenant.name,
                    entitled: tenant.entitled,
                    share: tenant.share,
                    launches: tenant.launches,
                    quota_bytes: tenant.quota_bytes,
                    peak_bytes: tenant.peak_bytes,
                    refused: tenant.refused,
                })
                .collect(),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut table = Table::new(&[
            ("tenant", Align::Left),
            ("entitled", Align::Right),
            ("received", Align::Right),
            ("kernels", Align::Right),
            ("quota", Align::Right),
            ("peak", Align::Right),
            ("refused", Align::Right),
        ]);
        for tenant in &self.tenants {
            table.row([
                tenant.name.to_owned(),
                percent(tenant.entitled),
                percent(tenant.share),
                tenant.launches.to_string(),
                show_bytes(tenant.quota_bytes),
                show_bytes(tenant.peak_bytes),
                tenant.refused.to_string(),
            ]);
        }
        let error = match self.share_error_max {
            Some(error) => format!("{error:.2} points off at most in any second"),
            None => "too short to judge whole seconds".to_owned(),
        };
        let (last, killed) = self.last_and_killed;
        let rest: Vec<String> = self
            .after_kill
            .iter()
            .map(|(name, entitled, share)| {
                format!(
                    "{name} {} (entitled to {})",
                    percent(*share),
                    percent(*entitled)
                )
            })
            .collect();
        let reclaimed = match self.reclaim_ms {
            Some(ms) => format!("memory back and others going on after {ms:.1} ms"),
            None => "its memory did NOT come back, or the others did NOT go on".to_owned(),
        };
        let simulated = if self.simulated {
            "\nMeasured on a simulated device: it shows the machinery, and nothing about a GPU.\n"
        } else {
            ""
        };
        format!(
            "\n{}\n\n{}\n  \
             together        {} of one program alone without FCSP; {error}\n  \
             {killed} killed with -9  {reclaimed}; then {}\n  \
             {last} alone         {} of the device it would have without FCSP\n{simulated}",
            self.device,
            table.render(2),
            percent(self.throughput_vs_alone),
            rest.join(", "),
            percent(self.last_vs_alone),
        )
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.1}%", fraction * 100.0)
}
