//! The 56 metrics: what each is, how it is measured, and what the best possible figure would be.
//!
//! Ids and names are the field's (GPU-Virt-Bench 1.0). The engine, the scores, every output and `docs/metrics.md` read this
//! one table; a file for each category holds its rows.

mod bandwidth;
mod cache;
pub(crate) mod document;
mod errors;
mod fragmentation;
mod goal;
mod isolation;
mod llm;
mod nccl;
mod overhead;
mod pcie;
mod scheduling;

pub use document::document;
pub use goal::{GOALS, Goal};

use std::fmt;

/// One metric.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// `OH-001`.
    pub id: &'static str,
    /// The field's name.
    pub name: &'static str,
    /// What it belongs to.
    pub category: Category,
    /// Unit of its value: `us`, `ns`, `%`, `bool`, `ratio`, as the public suite writes them.
    pub unit: &'static str,
    /// Which way is good.
    pub better: Better,
    /// What the value is, in a sentence.
    pub measures: &'static str,
    /// How it is measured: who runs, what is timed, what is subtracted.
    pub how: &'static str,
    /// How much of it.
    pub plan: Plan,
    /// How that differs from the public suite, and why.
    pub differs: &'static str,
    /// What it is held against natively; nothing where native has no such figure.
    pub native: Option<Against>,
    /// The best there could be: what hardware partitions give by definition, measured by nobody.
    pub ideal: Ideal,
    /// Why that is the ideal.
    pub ideal_reason: &'static str,
    /// What must be there to measure it.
    pub needs: &'static [Need],
}

/// How much is measured in a run.
///
/// A block is a stretch of one system; blocks of all systems take turns, so that the n-th block of a system is paired with
/// the n-th of native.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Blocks of each system in a full run.
    pub blocks: u32,
    /// Blocks of each system in a quick one: at least 3 where there is a ratio, since two minutes are too short for more where
    /// tenants work together. With fewer than 6 the interval assumes that the logarithms of ratios are normally distributed.
    pub quick_blocks: u32,
    /// Samples in each block.
    pub per_block: u32,
    /// What a sample is, in the plural: `launches`.
    pub of: &'static str,
}

/// What the ratio to native is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Against {
    /// What is divided by native's: `the time of the launch call`. The value itself where that is never near 0; where the
    /// value is a difference, what it is the difference of.
    pub of: &'static str,
    /// Which way the ratio is good. Not always the value's: a loss is the smaller the better, what is left of a rate the larger.
    pub better: Better,
}

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
    /// 1 is a pass, 0 is not.
    Pass,
}

/// The best a metric could be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ideal {
    /// As native: the ratio is 1.
    LikeNative,
    /// This value, and no more than full marks for more.
    Value(f64),
    /// Nothing of a whole: 0 % of 100, say. `whole` is the worst.
    NothingOf {
        /// What would be everything, in the metric's unit.
        whole: f64,
    },
    /// Nothing, with no end to the other side. `half_at` is a cost that is worth half the score, in the metric's unit.
    Nothing {
        /// Chosen for each metric; the reason says from what.
        half_at: f64,
    },
    /// A pass.
    Pass,
}

/// What must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// That many devices in one host.
    Gpus(u32),
    /// The NCCL library.
    Nccl,
    /// The cuBLAS library.
    Cublas,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Gpus(count) => write!(f, "{count} GPUs"),
            Self::Nccl => write!(f, "NCCL (libnccl.so.2, `--nccl`)"),
            Self::Cublas => write!(f, "cuBLAS (libcublas.so, `--cublas`)"),
        }
    }
}

/// What a metric belongs to, in the order they are run and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// What the system costs a program that is alone.
    Overhead,
    /// What tenants feel of each other.
    Isolation,
    /// What language models do.
    Llm,
    /// Device memory's bandwidth among tenants.
    Bandwidth,
    /// The L2 cache among tenants.
    Cache,
    /// Copies between host and device.
    Pcie,
    /// Collectives and copies between devices.
    Nccl,
    /// Hand-overs and arrivals.
    Scheduling,
    /// What is left of memory after use.
    Fragmentation,
    /// What comes after faults.
    Errors,
}

impl Category {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Overhead,
        Self::Isolation,
        Self::Llm,
        Self::Bandwidth,
        Self::Cache,
        Self::Pcie,
        Self::Nccl,
        Self::Scheduling,
        Self::Fragmentation,
        Self::Errors,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overhead => "Overhead",
            Self::Isolation => "Isolation",
            Self::Llm => "LLM",
            Self::Bandwidth => "Memory bandwidth",
            Self::Cache => "Cache",
            Self::Pcie => "PCIe",
            Self::Nccl => "NCCL and P2P",
            Self::Scheduling => "Scheduling",
            Self::Fragmentation => "Fragmentation",
            Self::Errors => "Error recovery",
        }
    }

    /// What ids of it begin with.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Overhead => "OH",
            Self::Isolation => "IS",
            Self::Llm => "LLM",
            Self::Bandwidth => "BW",
            Self::Cache => "CACHE",
            Self::Pcie => "PCIE",
            Self::Nccl => "NCCL",
            Self::Scheduling => "SCHED",
            Self::Fragmentation => "FRAG",
            Self::Errors => "ERR",
        }
    }

    /// Its part of the overall score; all together are 1.
    ///
    /// A choice, like every weight: isolation is what a sharing system is for, so it counts most; then what everybody pays
    /// and what most run. The public suite weighs only overhead 0.30, isolation 0.30 and LLM 0.40.
    pub fn weight(self) -> f64 {
        match self {
            Self::Isolation => 0.25,
            Self::Overhead | Self::Llm => 0.20,
            Self::Bandwidth => 0.07,
            Self::Scheduling => 0.06,
            Self::Cache | Self::Pcie | Self::Nccl => 0.05,
            Self::Errors => 0.04,
            Self::Fragmentation => 0.03,
        }
    }

    /// Its metrics, in order.
    pub fn metrics(self) -> &'static [Definition] {
        match self {
            Self::Overhead => overhead::METRICS,
            Self::Isolation => isolation::METRICS,
            Self::Llm => llm::METRICS,
            Self::Bandwidth => bandwidth::METRICS,
            Self::Cache => cache::METRICS,
            Self::Pcie => pcie::METRICS,
            Self::Nccl => nccl::METRICS,
            Self::Scheduling => scheduling::METRICS,
            Self::Fragmentation => fragmentation::METRICS,
            Self::Errors => errors::METRICS,
        }
    }
}

/// All metrics, in order.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    Category::ALL
        .into_iter()
        .flat_map(|category| category.metrics())
}

/// The metric of this id, in any case of letters.
pub fn find(id: &str) -> Option<&'static Definition> {
    all().find(|metric| metric.id.eq_ignore_ascii_case(id))
}

/// The metrics that any of these patterns names, in order: an id, or one with `*` for anything (`OH-*`, `*-001`), in any
/// case of letters; everything for no pattern at all.
///
/// # Errors
///
/// The first pattern that names nothing.
pub fn select(patterns: &[String]) -> Result<Vec<&'static Definition>, UnknownMetric> {
    if let Some(unknown) = patterns
        .iter()
        .find(|pattern| !all().any(|metric| matches(pattern, metric.id)))
    {
        return Err(UnknownMetric(unknown.clone()));
    }
    Ok(all()
        .filter(|metric| {
            patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, metric.id))
        })
        .collect())
}

/// A pattern that names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no metric is called {0:?}; ids look like OH-001, IS-008 or, for a whole category, LLM-* ({prefixes})", prefixes = prefixes())]
pub struct UnknownMetric(
    /// The pattern as it was given.
    pub String,
);

fn prefixes() -> String {
    Category::ALL.map(Category::prefix).join(", ")
}

/// Whether `text` is what `pattern` describes; `*` stands for any number of characters.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_uppercase(), text.to_ascii_uppercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(patterns: &[&str]) -> Vec<&'static str> {
        let patterns: Vec<String> = patterns.iter().map(|&it| it.to_owned()).collect();
        let chosen = select(&patterns).expect("they exist");
        chosen.iter().map(|metric| metric.id).collect()
    }

    #[test]
    fn there_are_the_fields_56_metrics_each_once() {
        let counts = Category::ALL.map(|category| category.metrics().len());
        assert_eq!(counts, [10, 10, 10, 4, 4, 4, 4, 4, 3, 3]);
        for category in Category::ALL {
            for (index, metric) in category.metrics().iter().enumerate() {
                let id = format!("{}-{:03}", category.prefix(), index + 1);
                assert_eq!((metric.id, metric.category), (id.as_str(), category));
            }
        }
    }

    #[test]
    fn weights_add_up_to_one() {
        let sum: f64 = Category::ALL.map(Category::weight).iter().sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
    }

    #[test]
    fn a_definition_agrees_with_itself() {
        for metric in all() {
            let id = metric.id;
            for text in [
                metric.measures,
                metric.how,
                metric.differs,
                metric.ideal_reason,
            ] {
                assert!(text.ends_with('.') && !text.contains("  "), "{id}: {text}");
            }
            assert_eq!(metric.better == Better::Pass, metric.unit == "bool", "{id}");
            assert_eq!(
                metric.better == Better::Pass,
                metric.ideal == Ideal::Pass,
                "{id}"
            );
            let good_side = match metric.ideal {
                Ideal::LikeNative => metric.native.is_some(),
                Ideal::Value(value) => metric.better == Better::Higher && value > 0.0,
                Ideal::NothingOf { whole: scale } | Ideal::Nothing { half_at: scale } => {
                    metric.better == Better::Lower && scale > 0.0
                }
                Ideal::Pass => true,
            };
            assert!(good_side, "{id}: {:?}", metric.ideal);
            assert!(
                metric.native.is_none_or(|it| it.better != Better::Pass),
                "{id}"
            );
            assert!(
                metric.plan.blocks >= 6 || metric.better == Better::Pass,
                "{id}"
            );
            assert!(
                metric.plan.per_block > 0 && !metric.plan.of.is_empty(),
                "{id}"
            );
        }
    }

    #[test]
    fn patterns_choose_in_the_catalogues_order() {
        assert_eq!(ids(&["is-008", "OH-00*"]).len(), 10);
        assert_eq!(ids(&["is-008", "OH-001"]), ["OH-001", "IS-008"]);
        assert_eq!(ids(&["*-010"]), ["OH-010", "IS-010", "LLM-010"]);
        assert_eq!(ids(&["C*E-*4"]), ["CACHE-004"]);
        assert_eq!(ids(&[]).len(), 56);
    }

    #[test]
    fn a_pattern_that_names_nothing_is_an_error_that_helps() {
        let error = select(&["OH-001".into(), "OH-11".into()]).expect_err("it names nothing");
        assert_eq!(error, UnknownMetric("OH-11".into()));
        assert!(error.to_string().contains("OH, IS, LLM"), "{error}");
        assert!(select(&["OH".into()]).is_err(), "a prefix needs its star");
    }

    #[test]
    fn a_metric_is_found_by_its_id() {
        assert_eq!(
            find("frag-003").map(|it| it.name),
            Some("Memory Compaction Efficiency")
        );
        assert_eq!(find("FRAG-004"), None);
    }

    #[test]
    fn a_quick_run_still_has_an_interval() {
        for metric in all().filter(|it| it.native.is_some()) {
            let plan = metric.plan;
            assert!(
                plan.quick_blocks >= 3 && plan.quick_blocks <= plan.blocks,
                "{}",
                metric.id
            );
        }
    }
}
