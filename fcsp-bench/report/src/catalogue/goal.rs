//! What FCSP sets out to reach, and what was published for such a system before.

use super::{Better, Definition};
use crate::figures;

/// A bound of a metric's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Of which metric.
    pub id: &'static str,
    /// In the metric's unit: at most that where lower is better, at least where higher is.
    pub bound: f64,
    /// The figure that was published for an earlier system of this kind, in the same unit; its measurement may have been
    /// another one.
    pub published: Option<f64>,
}

const fn goal(id: &'static str, bound: f64, published: f64) -> Goal {
    Goal {
        id,
        bound,
        published: Some(published),
    }
}

/// All goals, in the catalogue's order.
pub const GOALS: &[Goal] = &[
    goal("OH-004", 100.0, 78.0),
    goal("OH-005", 5.0, 40.0),
    Goal {
        id: "OH-007",
        bound: 60.0,
        published: None,
    },
    goal("OH-008", 20.0, 1_500.0),
    goal("OH-009", 1.0, 0.38),
    goal("OH-010", 0.5, 2.1),
    goal("IS-002", 0.15, 0.3),
    goal("IS-003", 98.0, 96.2),
    goal("IS-004", 50.0, 84.0),
    goal("IS-006", 97.0, 81.4),
    goal("IS-007", 0.02, 0.07),
    goal("IS-008", 0.999, 0.996),
    goal("IS-009", 2.0, 4.66),
    Goal {
        id: "BW-003",
        bound: 0.97,
        published: None,
    },
    Goal {
        id: "SCHED-004",
        bound: 0.7,
        published: None,
    },
];

impl Goal {
    /// The goal of a metric, if it has one.
    pub fn of(definition: &Definition) -> Option<&'static Self> {
        GOALS.iter().find(|goal| goal.id == definition.id)
    }

    /// Whether a value reaches it.
    pub fn is_met(&self, definition: &Definition, value: f64) -> bool {
        match definition.better {
            Better::Lower => value <= self.bound,
            Better::Higher | Better::Pass => value >= self.bound,
        }
    }

    /// For people: `at most 5 ns`.
    pub(crate) fn text(&self, definition: &Definition) -> String {
        let side = match definition.better {
            Better::Lower => "at most",
            Better::Higher | Better::Pass => "at least",
        };
        format!("{side} {}", plain(self.bound, definition))
    }

    /// For tables: `≤ 5 ns`.
    pub(crate) fn short(&self, definition: &Definition) -> String {
        let side = match definition.better {
            Better::Lower => "≤",
            Better::Higher | Better::Pass => "≥",
        };
        format!("{side} {}", plain(self.bound, definition))
    }

    /// For people: `40 ns`; nothing where nothing was published.
    pub(crate) fn published_text(&self, definition: &Definition) -> Option<String> {
        self.published.map(|it| plain(it, definition))
    }
}

/// A round number with its unit.
fn plain(value: f64, definition: &Definition) -> String {
    format!("{value} {}", figures::unit(definition.unit))
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn every_goal_is_of_a_metric_and_in_order() {
        let places: Vec<usize> = GOALS
            .iter()
            .map(|goal| {
                catalogue::all()
                    .position(|it| it.id == goal.id)
                    .unwrap_or_else(|| panic!("no {}", goal.id))
            })
            .collect();
        assert!(
            places.windows(2).all(|pair| pair[0] < pair[1]),
            "{places:?}"
        );
    }

    #[test]
    fn a_goal_is_met_on_its_good_side() {
        let goal = |id| {
            let definition = catalogue::find(id).expect("it exists");
            (Goal::of(definition).expect("it has one"), definition)
        };
        let (calls, definition) = goal("OH-005");
        assert!(calls.is_met(definition, 4.0) && !calls.is_met(definition, 6.0));
        assert_eq!(calls.text(definition), "at most 5 ns");
        assert_eq!(calls.short(definition), "≤ 5 ns");
        assert_eq!(calls.published_text(definition).as_deref(), Some("40 ns"));
        let (fairness, definition) = goal("IS-008");
        assert!(fairness.is_met(definition, 0.9995) && !fairness.is_met(definition, 0.996));
        assert_eq!(fairness.text(definition), "at least 0.999");
        let without = catalogue::find("LLM-001").expect("it exists");
        assert_eq!(Goal::of(without), None);
    }
}
