//! `--only`: patterns of ids.

use crate::exit::WithCode;
use anyhow::Result;
use fcsp_bench_report::catalogue::{self, Definition, UnknownMetric};

/// How many ids are named to somebody who may have meant one of them.
const NEAREST: usize = 3;

/// The metrics that these name, in the catalogue's order; all of them for none.
///
/// # Errors
/// A pattern names nothing; the error is one of the command line, and says what may be meant.
pub fn select(patterns: &[String]) -> Result<Vec<&'static Definition>> {
    catalogue::select(patterns).map_err(|error| {
        let message = format!("{error}; did you mean {}?", nearest(&error).join(" or "));
        WithCode { code: 2, message }.into()
    })
}

fn nearest(UnknownMetric(pattern): &UnknownMetric) -> Vec<&'static str> {
    let wanted = pattern.to_uppercase();
    let mut ids: Vec<&str> = catalogue::all().map(|metric| metric.id).collect();
    ids.sort_by_key(|id| strsim::damerau_levenshtein(id, &wanted));
    ids.truncate(NEAREST);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_names_nothing_is_told_what_may_be_meant() {
        let error = select(&["OH-0011".into()])
            .expect_err("no such metric")
            .to_string();
        assert!(error.contains("did you mean OH-001 or"), "{error}");
        let error = select(&["is8".into()])
            .expect_err("no such metric")
            .to_string();
        assert!(error.contains("IS-008"), "{error}");
    }

    #[test]
    fn ids_and_stars_choose() {
        let ids = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&it| it.to_owned()).collect();
            select(&patterns)
                .expect("they exist")
                .iter()
                .map(|it| it.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ids(&["frag-*", "OH-001"]),
            ["OH-001", "FRAG-001", "FRAG-002", "FRAG-003"]
        );
    }
}
