//! What a report has no value for, and why: what has the same reason together.

use crate::model::{Report, State};

/// Metrics and systems without a value, for one reason.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) state: &'a State,
    pub(crate) ids: Vec<&'a str>,
    pub(crate) systems: Vec<&'a str>,
}

impl Group<'_> {
    /// Whether it counts as 0 in the scores.
    pub(crate) fn counts_as_zero(&self) -> bool {
        matches!(self.state, State::Failed { .. } | State::NotValid { .. })
    }

    /// Which systems, for people.
    pub(crate) fn who(&self, report: &Report) -> String {
        if self.systems.len() == report.systems.len() && self.systems.len() > 1 {
            return "all systems".to_owned();
        }
        self.systems.join(", ")
    }
}

/// All of them; what counts as 0 first. A group is the same metrics of several systems, or several metrics of the same
/// systems, so that no pair is named that has a value.
pub(crate) fn groups(report: &Report) -> Vec<Group<'_>> {
    // First the systems of each metric and reason, then the metrics that share reason and systems.
    let mut of_metric: Vec<Group> = Vec::new();
    for system in &report.systems {
        for metric in system
            .metrics
            .iter()
            .filter(|it| it.state != State::Measured)
        {
            let same = of_metric
                .iter_mut()
                .find(|it| it.state == &metric.state && it.ids == [metric.id.as_str()]);
            match same {
                Some(group) => group.systems.push(&system.system_name),
                None => of_metric.push(Group {
                    state: &metric.state,
                    ids: vec![&metric.id],
                    systems: vec![&system.system_name],
                }),
            }
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for one in of_metric {
        match groups
            .iter_mut()
            .find(|it| it.state == one.state && it.systems == one.systems)
        {
            Some(group) => group.ids.extend(one.ids),
            None => groups.push(one),
        }
    }
    groups.sort_by_key(|it| !it.counts_as_zero());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn no_pair_is_named_that_has_a_value() {
        let report = fixture::report(1, false);
        for group in groups(&report) {
            for system in report
                .systems
                .iter()
                .filter(|it| group.systems.contains(&it.system_name.as_str()))
            {
                for id in &group.ids {
                    let metric = system
                        .metrics
                        .iter()
                        .find(|it| it.id == *id)
                        .expect("it is there");
                    assert_eq!(&metric.state, group.state);
                }
            }
        }
    }

    #[test]
    fn every_metric_without_a_value_is_named_once() {
        let report = fixture::report(1, false);
        let named: usize = groups(&report)
            .iter()
            .map(|it| it.ids.len() * it.systems.len())
            .sum();
        let missing = report
            .systems
            .iter()
            .flat_map(|it| &it.metrics)
            .filter(|it| it.value.is_none());
        assert_eq!(named, missing.count());
        assert!(groups(&report)[0].counts_as_zero(), "failures come first");
    }
}
