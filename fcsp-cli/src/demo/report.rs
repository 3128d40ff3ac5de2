//! What is said at the end, for people and for programs.

use super::judge::Played;
use super::stage::Device;
use crate::table::{Align, Table};
use fcsp_core::policy::memory::show_bytes;
use serde::Serialize;

/// The result of a demo.
#[derive(Debug, Serialize)]
pub struct Report {
    device: String,
    simulated: bool,
    #[serde(flatten)]
    played: Played,
}

impl Report {
    /// Of what was played on that device.
    pub fn new(device: &Device, played: Played) -> Self {
        Self {
            device: device.name.clone(),
            simulated: device.simulated,
            played,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let played = &self.played;
        let mut table = Table::new(&[
            ("tenant", Align::Left),
            ("entitled", Align::Right),
            ("received", Align::Right),
            ("kernels", Align::Right),
            ("quota", Align::Right),
            ("peak", Align::Right),
            ("refused", Align::Right),
        ]);
        for tenant in &played.tenants {
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
        let error = match played.share_error_max {
            Some(error) => format!("at most {error:.2} points off in any second"),
            None => "too short to judge whole seconds".to_owned(),
        };
        let after = |ms: Option<f64>, what: &str| match ms {
            Some(ms) => format!("{what} after {ms:.1} ms"),
            None => format!("{what}: NEVER"),
        };
        let reclaimed = format!(
            "{}, {}",
            after(played.resume_ms, "the others going on"),
            after(played.reclaim_ms, "its memory back")
        );
        let others: Vec<String> = played
            .after_kill
            .iter()
            .map(|it| {
                format!(
                    "{} {} (entitled to {})",
                    it.name,
                    percent(it.share),
                    percent(it.entitled)
                )
            })
            .collect();
        let simulated = if self.simulated {
            "\nOn a simulated device: this shows the machinery, and nothing about a GPU.\n"
        } else {
            ""
        };
        format!(
            "\n{}\n\n{}\n  \
             together     {} of one program alone without FCSP, {error}\n  \
             after kill   {reclaimed}\n               {}\n  \
             alone        the last one had {} of what it has without FCSP\n{simulated}",
            self.device,
            table.render(2),
            percent(played.throughput_vs_alone),
            others.join(", "),
            percent(played.last_vs_alone),
        )
    }
}

fn percent(fraction: f64) -> String {
    format!("{:.1}%", fraction * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::judge::{AfterKill, TenantPlayed};
    use super::*;

    fn report() -> Report {
        let device = Device {
            name: "Some device (simulated)".into(),
            simulated: true,
        };
        let tenant = TenantPlayed {
            name: "a",
            entitled: 0.25,
            share: 0.2512,
            launches: 1234,
            quota_bytes: 8 << 30,
            peak_bytes: 5 << 30,
            refused: 1,
        };
        Report::new(
            &device,
            Played {
                tenants: vec![tenant],
                share_error_max: Some(0.42),
                throughput_vs_alone: 0.973,
                reclaim_ms: Some(4.25),
                resume_ms: None,
                after_kill: vec![AfterKill {
                    name: "a",
                    entitled: 1.0,
                    share: 0.999,
                }],
                last_vs_alone: 0.998,
            },
        )
    }

    #[test]
    fn the_result_has_the_fields_that_scripts_read() {
        let json = serde_json::to_value(report()).expect("plain data");
        assert_eq!(json["device"], "Some device (simulated)");
        assert_eq!(json["simulated"], true);
        assert_eq!(json["share_error_max"], 0.42);
        assert_eq!(json["throughput_vs_alone"], 0.973);
        assert_eq!(json["reclaim_ms"], 4.25);
        let tenant = &json["tenants"][0];
        for field in [
            "name",
            "entitled",
            "share",
            "launches",
            "quota_bytes",
            "peak_bytes",
            "refused",
        ] {
            assert!(!tenant[field].is_null(), "{field}");
        }
    }

    #[test]
    fn people_are_told_that_it_was_simulated() {
        let text = report().text();
        for part in [
            "25.0%",
            "25.1%",
            "at most 0.42 points off",
            "the others going on: NEVER, its memory back after 4.2 ms",
            "nothing about a GPU",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
