//! What is made of many short rounds: each turn beside another program against the turns alone around it.
//!
//! Rounds come two by two. The first begins with the turns alone and ends with those together, the second goes
//! the other way round, so that turns together have turns alone on both sides. Pure: paces in, ratios out.

use anyhow::{Result, ensure};
use fcsp_hw_tests::stats::{mean, median, quantile_sorted};
use serde::Serialize;

use crate::suites::python::Pace;

/// What the two processes of a group did in one round.
#[derive(Debug, Clone, Serialize)]
pub struct Round {
    /// One at a time.
    pub alone: [Pace; 2],
    /// At once, where the group does that.
    pub both: Option<[Pace; 2]>,
}

/// One turn of a round, of the group with that index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One of its processes.
    Alone { side: usize, group: usize },
    /// Both.
    Both { group: usize },
}

/// The turns of a round in their order; `meets` tells which groups run both at once.
pub fn order(round: usize, meets: &[bool]) -> Vec<Step> {
    let groups = 0..meets.len();
    let alone = [0, 1]
        .into_iter()
        .flat_map(|side| groups.clone().map(move |group| Step::Alone { side, group }));
    let both = groups.clone().filter(|group| meets[*group]);
    let mut steps: Vec<Step> = alone
        .chain(both.map(|group| Step::Both { group }))
        .collect();
    if round % 2 == 1 {
        steps.reverse();
    }
    steps
}

/// One value a round, as a person looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// First quartile.
    pub low: f64,
    /// The median, by which is judged.
    pub median: f64,
    /// Third quartile.
    pub high: f64,
}

impl Spread {
    /// None of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut ascending = values.to_vec();
        ascending.sort_by(f64::total_cmp);
        Some(Self {
            low: quantile_sorted(&ascending, 0.25)?,
            median: median(values)?,
            high: quantile_sorted(&ascending, 0.75)?,
        })
    }

    /// The quartiles.
    pub fn quartiles(&self) -> String {
        format!("{:.3} to {:.3}", self.low, self.high)
    }
}

/// What both of a group reach at once, of what the same processes reach alone.
#[derive(Debug, Clone, Serialize)]
pub struct OfAlone {
    /// Each, over the rounds.
    pub sides: [Spread; 2],
    /// Their sum in each round, over the rounds.
    pub sum: Spread,
    /// Each in each round.
    pub rounds: Vec<[f64; 2]>,
}

/// Each turn together over the mean of the last turn alone before it and the first after it: those of its own round
/// and of the other round of the two.
pub fn of_alone(rounds: &[Round]) -> Result<OfAlone> {
    of_others_alone(rounds, rounds)
}

/// The same over what other processes of the same programs reach alone in the same rounds.
pub fn of_others_alone(rounds: &[Round], others: &[Round]) -> Result<OfAlone> {
    ensure!(rounds.len() == others.len(), "not the same rounds");
    ensure!(
        !rounds.is_empty() && rounds.len().is_multiple_of(2),
        "rounds come two by two, and there are {}",
        rounds.len()
    );
    let mut ratios = Vec::new();
    for (two, others) in rounds.chunks(2).zip(others.chunks(2)) {
        let alone = [0, 1].map(|side: usize| {
            let around: Vec<f64> = others
                .iter()
                .map(|it| it.alone[side].iterations_per_s)
                .collect();
            mean(&around)
        });
        for paces in two.iter().filter_map(|it| it.both.as_ref()) {
            ratios.push([0, 1].map(|side: usize| paces[side].iterations_per_s / alone[side]));
        }
    }
    let spread = |value: fn(&[f64; 2]) -> f64| {
        let values: Vec<f64> = ratios.iter().map(value).collect();
        ensure!(
            values.iter().all(|it| it.is_finite()),
            "a process took no step alone"
        );
        Spread::of(&values).ok_or_else(|| anyhow::anyhow!("nothing ran beside anything"))
    };
    Ok(OfAlone {
        sides: [spread(|it| it[0])?, spread(|it| it[1])?],
        sum: spread(|it| it[0] + it[1])?,
        rounds: ratios,
    })
}

/// What processes reach alone, of what others of the same programs reach alone in the same round.
pub fn alone_of(rounds: &[Round], others: &[Round]) -> Option<[Spread; 2]> {
    let spread = |side: usize| {
        let ratio = |(here, there): (&Round, &Round)| {
            here.alone[side].iterations_per_s / there.alone[side].iterations_per_s
        };
        Spread::of(&rounds.iter().zip(others).map(ratio).collect::<Vec<_>>())
    };
    Some([spread(0)?, spread(1)?])
}

/// The median over rounds of something each side has in turns alone.
pub fn median_alone(rounds: &[Round], value: fn(&Pace) -> f64) -> [f64; 2] {
    medians(rounds.iter().map(|it| &it.alone), value)
}

/// The same of turns together.
pub fn median_both(rounds: &[Round], value: fn(&Pace) -> f64) -> [f64; 2] {
    medians(rounds.iter().filter_map(|it| it.both.as_ref()), value)
}

fn medians<'a>(turns: impl Iterator<Item = &'a [Pace; 2]>, value: fn(&Pace) -> f64) -> [f64; 2] {
    let turns: Vec<_> = turns.collect();
    [0, 1].map(|side: usize| {
        let values: Vec<f64> = turns.iter().map(|it| value(&it[side])).collect();
        // What was not measured is not a number.
        median(&values).unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn paces(decode: f64, train: f64) -> [Pace; 2] {
        let pace = |workload: &str, iterations_per_s| Pace {
            workload: workload.into(),
            iterations_per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
        };
        [pace("decode", decode), pace("train", train)]
    }

    pub fn round(alone: [f64; 2], both: [f64; 2]) -> Round {
        Round {
            alone: paces(alone[0], alone[1]),
            both: Some(paces(both[0], both[1])),
        }
    }

    #[test]
    fn turns_together_lie_between_turns_alone() {
        let there: Vec<Step> = order(0, &[true, false]);
        let alone = |side, group| Step::Alone { side, group };
        let both = Step::Both { group: 0 };
        let expected = [alone(0, 0), alone(0, 1), alone(1, 0), alone(1, 1), both];
        assert_eq!(there, expected);
        let mut back = order(1, &[true, false]);
        back.reverse();
        assert_eq!(back, expected);
        assert_eq!(order(2, &[true, false]), expected);
    }

    #[test]
    fn a_processor_that_slows_down_falls_on_both_sides_of_a_ratio() {
        // Halfway through everything takes twice as long, and between alone and together a half more.
        let rounds = [
            round([120.0, 60.0], [90.0, 25.0]),
            round([80.0, 40.0], [90.0, 25.0]),
            round([60.0, 30.0], [45.0, 12.5]),
            round([40.0, 20.0], [45.0, 12.5]),
        ];
        let found = of_alone(&rounds).expect("measured");
        assert_eq!(found.rounds, [[0.9, 0.5]; 4]);
        assert_eq!(found.sides[0].median, 0.9);
        assert_eq!(found.sum.low, found.sum.high);
    }

    #[test]
    fn one_bad_round_does_not_decide() {
        let good = round([100.0, 10.0], [95.0, 6.0]);
        let mut rounds = vec![good; 8];
        rounds[3] = round([100.0, 10.0], [30.0, 1.0]);
        let found = of_alone(&rounds).expect("measured");
        assert_eq!(found.sides.map(|it| it.median), [0.95, 0.6]);
        assert_eq!(found.rounds[3], [0.3, 0.1]);
        assert_eq!(found.sides[0].quartiles(), "0.950 to 0.950");
    }

    #[test]
    fn what_cannot_be_judged_is_an_error() {
        let one = round([100.0, 10.0], [95.0, 6.0]);
        assert!(of_alone(&[]).is_err());
        assert!(of_alone(std::slice::from_ref(&one)).is_err());
        let apart = Round {
            both: None,
            ..one.clone()
        };
        assert!(of_alone(&[apart.clone(), apart]).is_err());
        let still = round([0.0, 10.0], [95.0, 6.0]);
        assert!(of_alone(&[still.clone(), still]).is_err());
    }

    #[test]
    fn both_are_compared_with_others_alone() {
        let native = [round([100.0, 10.0], [0.0; 2]), round([50.0, 5.0], [0.0; 2])];
        let here = [
            round([80.0, 8.0], [60.0, 6.0]),
            round([80.0, 8.0], [30.0, 9.0]),
        ];
        let found = of_others_alone(&here, &native).expect("measured");
        assert_eq!(found.rounds, [[0.8, 0.8], [0.4, 1.2]]);
        assert!((found.sum.median - 1.6).abs() < 1e-9);
        assert!(of_others_alone(&here, &native[..1]).is_err());
    }

    #[test]
    fn two_baselines_are_compared_round_by_round() {
        let native = [
            round([100.0, 10.0], [0.0, 0.0]),
            round([50.0, 5.0], [0.0, 0.0]),
        ];
        let other = [
            round([90.0, 11.0], [0.0, 0.0]),
            round([45.0, 5.5], [0.0, 0.0]),
        ];
        let found = alone_of(&other, &native).expect("measured");
        assert_eq!(found[0].median, 0.9);
        assert!((found[1].median - 1.1).abs() < 1e-9);
        assert_eq!(median_alone(&native, |it| it.iterations_per_s), [75.0, 7.5]);
        assert_eq!(alone_of(&[], &native), None);
    }
}
