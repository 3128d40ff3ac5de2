//! What a case's script says: one JSON line for each question.
//!
//! The other side is `python/compat.py`. Owns: the shape of the lines. Does not own: what follows from
//! them, which is `judge.rs`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to `prepare`.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The framework is there, in this version, and what the case needs was built.
    Ready(String),
    /// The case cannot run here, for this reason: no such framework, or one device only.
    Missing(String),
}

/// The answer to `digest`: what a fixed computation gave.
#[derive(Debug, Deserialize, Serialize)]
pub struct Results {
    /// One per quantity.
    pub digests: Vec<Digest>,
}

/// One quantity.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Digest {
    /// Unique within the case.
    pub name: String,
    /// What it came to.
    #[serde(flatten)]
    pub value: Value,
}

/// How a quantity is compared.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// To the bit.
    Exact {
        /// A checksum, or a short text.
        exact: String,
    },
    /// Within a tolerance, where the library itself does not give the same bits twice.
    Close {
        /// A sample of the numbers.
        values: Vec<f64>,
        /// Tolerance relative to the largest of the numbers.
        rtol: f64,
    },
}

/// The answer to `turn SECONDS CPUS`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Pace {
    /// Steps that ended.
    pub iterations: u64,
    /// In this time.
    pub seconds: f64,
}

impl Pace {
    /// Steps per second.
    pub fn rate(&self) -> f64 {
        self.iterations as f64 / self.seconds
    }
}

/// The answer to `quota`: what the program saw when it asked for memory without end.
#[derive(Debug, Deserialize, Serialize)]
pub struct Views {
    /// One per device that the case uses.
    pub views: Vec<View>,
}

/// Memory of one device as the program sees it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct View {
    /// Ordinal, as the program counts.
    pub device: usize,
    /// Total memory, by whom it asked. May be empty: some frameworks do not tell.
    pub totals: BTreeMap<String, u64>,
    /// Size of the framework's own preallocated pool, if it has one that is a fixed part of the total.
    pub pool_bytes: Option<u64>,
    /// What it held when it was refused, in its own count.
    pub held_bytes: u64,
    /// The framework's error when it was refused; nothing if it never was.
    pub refused: Option<String>,
    /// Whether it could compute again after giving memory back.
    pub recovered: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_is_understood() {
        let opening: Opening = serde_json::from_str(r#"{"missing": "no cupy"}"#).expect("missing");
        assert_eq!(opening, Opening::Missing("no cupy".into()));
        let opening: Opening = serde_json::from_str(r#"{"ready": "torch 2"}"#).expect("ready");
        assert_eq!(opening, Opening::Ready("torch 2".into()));
        let results: Results = serde_json::from_str(
            r#"{"digests": [{"name": "a", "exact": "ff"}, {"name": "b", "values": [1.5], "rtol": 0.001}]}"#,
        )
        .expect("digests");
        assert_eq!(
            results.digests[1].value,
            Value::Close {
                values: vec![1.5],
                rtol: 0.001
            }
        );
        let pace: Pace =
            serde_json::from_str(r#"{"iterations": 50, "seconds": 0.2}"#).expect("pace");
        assert_eq!(pace.rate(), 250.0);
        let views: Views = serde_json::from_str(
            r#"{"views": [{"device": 0, "totals": {"mem_get_info": 5}, "held_bytes": 3,
                "refused": "OutOfMemoryError", "recovered": true}]}"#,
        )
        .expect("views");
        assert_eq!(views.views[0].pool_bytes, None);
    }

    #[test]
    fn a_number_that_is_none_is_no_line_of_a_case() {
        // Python writes NaN where JSON has no word for it.
        let line = r#"{"digests": [{"name": "b", "values": [NaN], "rtol": 0.001}]}"#;
        assert!(serde_json::from_str::<Results>(line).is_err());
    }
}
