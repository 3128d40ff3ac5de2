//! A report for tests: made up, and saying so in every name. Nothing of it was ever measured.

use crate::catalogue::{self, Against, Better, Definition, Ideal};
use crate::model::{
    Check, FORMAT, Gpu, Metric, Report, Series, State, System, SystemKind, Validity,
};
use fcsp_measure::random::Random;

/// All metrics for native, three modes and two peers, of which one has no limits in force and one crashes.
pub(crate) fn report(seed: u64, simulated: bool) -> Report {
    let mut random = Random::new(seed);
    let systems = [
        ("native", SystemKind::Native, 1.0, ""),
        (
            "fcsp-strict",
            SystemKind::Fcsp,
            1.01,
            "a made-up system: what a tenant is entitled to, and no more",
        ),
        (
            "fcsp-balanced",
            SystemKind::Fcsp,
            1.015,
            "a made-up system: what others leave idle is lent",
        ),
        (
            "fcsp-adaptive",
            SystemKind::Fcsp,
            1.02,
            "a made-up system: between the two",
        ),
        (
            "peer <made up>",
            SystemKind::Peer,
            1.35,
            "a made-up peer whose compute limit does not hold",
        ),
    ];
    Report {
        format: FORMAT,
        fcsp_version: "0.0.0-fixture".into(),
        started: "2001-02-03T04:05:06Z".into(),
        quick: false,
        only: Vec::new(),
        duration_seconds: 754.0,
        simulated,
        interrupted: false,
        cut: Vec::new(),
        gpu: Gpu {
            name: "Made-up device (test fixture)".into(),
            count: 1,
            memory_bytes: 80 << 30,
            multiprocessors: 132,
            compute_capability: "9.0".into(),
            architecture: "9.0".into(),
            interface: "CUDA 13.0".into(),
            driver: "000.00.00".into(),
            cuda: "13.0".into(),
            processor: "Made-up processor".into(),
            cores: 16,
        },
        systems: systems
            .into_iter()
            .map(|(name, kind, cost, description)| System {
                system_name: name.into(),
                kind,
                description: description.into(),
                benchmark_version: "0.0.0-fixture".into(),
                timestamp: "2001-02-03T04:05:06Z".into(),
                duration_seconds: 150.0,
                validity: validity(kind),
                metrics: catalogue::all()
                    .map(|definition| metric(definition, kind, cost, &mut random))
                    .collect(),
            })
            .collect(),
    }
}

fn validity(kind: SystemKind) -> Option<Validity> {
    let claim = |claim: &str, seen: &str, holds, needed_by: &[&str]| Check {
        claim: claim.into(),
        seen: seen.into(),
        holds,
        needed_by: needed_by.iter().map(|&it| it.into()).collect(),
    };
    let holds = kind != SystemKind::Peer;
    (kind != SystemKind::Native).then(|| Validity {
        checks: vec![
            claim(
                "a program with a limit of 4 GiB is told 4 GiB",
                "it was told 4 GiB",
                true,
                &["IS-001"],
            ),
            claim(
                "a quarter of the compute gives a quarter of the rate",
                if holds {
                    "it gave 0.251"
                } else {
                    "it gave 0.997"
                },
                holds,
                &["IS-003", "IS-004"],
            ),
        ],
    })
}

fn metric(definition: &Definition, kind: SystemKind, cost: f64, random: &mut Random) -> Metric {
    if let Some(need) = definition.needs.first() {
        let reason = format!("needs {need}");
        return Metric::without_value(definition, State::NotRun { reason });
    }
    match (kind, definition.id) {
        (SystemKind::Peer, "IS-003" | "IS-004") => {
            let reason = "a quarter of the compute gave 0.997 of the rate".into();
            return Metric::without_value(definition, State::NotValid { reason });
        }
        (SystemKind::Peer, "ERR-002") => {
            let reason = "the tenant was killed by signal 11 & gave no result <nothing>".into();
            return Metric::without_value(definition, State::Failed { reason });
        }
        (SystemKind::Native, "IS-001" | "IS-003" | "IS-004") => {
            let reason = "native has no limits".into();
            return Metric::without_value(definition, State::NotRun { reason });
        }
        _ => {}
    }
    let scatter = |random: &mut Random| {
        // A sum of three is roughly bell-shaped; now and then one is far out, as times are.
        let bell: f64 = (0..3)
            .map(|_| random.below(1_000) as f64 / 1_000.0 - 0.5)
            .sum();
        1.0 + 0.02 * bell + if random.below(40) == 0 { 0.15 } else { 0.0 }
    };
    let loss = cost - 1.0;
    let centre = match definition.ideal {
        Ideal::Pass => {
            return Metric::measured(
                definition,
                f64::from(u8::from(definition.id != "IS-010" || loss < 0.3)),
                &[],
            );
        }
        Ideal::LikeNative => {
            10.0 * if definition.better == Better::Higher {
                1.0 / cost
            } else {
                cost
            }
        }
        Ideal::Value(ideal) => ideal * (1.0 - loss),
        Ideal::NothingOf { whole } => whole * loss,
        Ideal::Nothing { half_at } => half_at * loss * 4.0,
    };
    let samples: Vec<f64> = (0..definition.plan.blocks * 10)
        .map(|_| centre * scatter(random))
        .collect();
    let metric = Metric::measured(definition, centre, &samples)
        .with_detail("p99 beside a neighbour", centre * 1.4, definition.unit)
        .with_detail("64 KiB", centre * 0.8, definition.unit);
    let metric = match definition.native {
        Some(Against { better, .. }) if kind != SystemKind::Native => {
            let blocks = (0..definition.plan.blocks).map(|_| {
                let ratio = if better == Better::Lower {
                    cost
                } else {
                    1.0 / cost
                };
                ratio * (0.985 + random.below(3_000) as f64 / 100_000.0)
            });
            metric.with_ratios(blocks.collect())
        }
        _ => metric,
    };
    if definition.id != "IS-008" {
        return metric;
    }
    [10.0, 20.0, 30.0, 40.0]
        .into_iter()
        .enumerate()
        .fold(metric, |metric, (index, target)| {
            metric.with_series(Series {
                name: format!("tenant {}", ["a", "b", "c", "d"][index]),
                unit: "%".into(),
                target: Some(target),
                points: (0..30)
                    .map(|at| (f64::from(at) / 10.0, target * scatter(random)))
                    .collect(),
            })
        })
}
