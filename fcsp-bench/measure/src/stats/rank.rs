//! Whether two sets of values differ by more than chance.

use std::f64::consts::SQRT_2;

/// The smallest set that [`rank_test`] judges: below that the normal approximation is none.
pub const RANK_TEST_MIN: usize = 6;

/// The two-sided probability that two sets of independent values from one distribution differ in their ranks as much as
/// these do, or more; `None` where one has fewer than [`RANK_TEST_MIN`] values, or where all values are equal.
///
/// The Mann-Whitney U test with the normal approximation, corrected for ties and continuity (Mann, Whitney 1947; Conover,
/// *Practical Nonparametric Statistics*, 1999, section 5.1).
pub fn rank_test(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len().min(b.len()) < RANK_TEST_MIN {
        return None;
    }
    let mut all: Vec<(f64, bool)> = a.iter().map(|&it| (it, true)).collect();
    all.extend(b.iter().map(|&it| (it, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank_sum, mut ties, mut before) = (0.0, 0.0, 0);
    for equal in all.chunk_by(|x, y| x.0 == y.0) {
        let count = equal.len();
        let rank = before as f64 + (count + 1) as f64 / 2.0;
        rank_sum += rank * equal.iter().filter(|it| it.1).count() as f64;
        ties += (count as f64).powi(3) - count as f64;
        before += count;
    }
    let (of_a, of_b, of_all) = (a.len() as f64, b.len() as f64, all.len() as f64);
    let above_mean = rank_sum - of_a * (of_all + 1.0) / 2.0;
    let variance = of_a * of_b / 12.0 * (of_all + 1.0 - ties / (of_all * (of_all - 1.0)));
    (variance > 0.0).then(|| {
        let z = (above_mean.abs() - 0.5).max(0.0) / variance.sqrt();
        libm::erfc(z / SQRT_2)
    })
}

/// Each probability, adjusted for how many are looked at together: calling those below a level a finding, that part of the
/// findings is chance, on average (Benjamini, Hochberg 1995). In the order given.
pub fn adjusted(probabilities: &[f64]) -> Vec<f64> {
    let count = probabilities.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&x, &y| probabilities[y].total_cmp(&probabilities[x]));
    let mut adjusted = vec![1.0; count];
    let mut least = 1.0_f64;
    for (from_top, index) in order.into_iter().enumerate() {
        let rank = count - from_top;
        least = least.min(probabilities[index] * count as f64 / rank as f64);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn close(seen: Option<f64>, wanted: f64) -> bool {
        seen.is_some_and(|it| (it - wanted).abs() < 1e-4)
    }

    #[test]
    fn probabilities_are_those_of_the_formula() {
        let a: Vec<f64> = (1..=8).map(f64::from).collect();
        let b: Vec<f64> = (9..=16).map(f64::from).collect();
        // U = 0: z = (32 - 0.5) / √(64 · 17 / 12) = 3.30816.
        assert!(
            close(rank_test(&a, &b), 0.000_939),
            "{:?}",
            rank_test(&a, &b)
        );
        let mixed: Vec<f64> = (1..=8).map(|it| f64::from(it) + 0.5).collect();
        // U = 28: z = 3.5 / 9.5219.
        assert!(
            close(rank_test(&a, &mixed), 0.713_2),
            "{:?}",
            rank_test(&a, &mixed)
        );
    }

    #[test]
    fn ties_are_half_above_and_half_below() {
        let same = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0];
        assert!(close(rank_test(&same, &same), 1.0));
        assert_eq!(rank_test(&[5.0; 9], &[5.0; 9]), None, "nothing differs");
        assert_eq!(rank_test(&[1.0; 5], &[2.0; 9]), None, "too few");
    }

    #[test]
    fn sets_of_one_distribution_are_seldom_called_different() {
        const TRIALS: usize = 2_000;
        let mut random = Random::new(7);
        let mut set = || -> Vec<f64> { (0..15).map(|_| random.below(1_000_000) as f64).collect() };
        let found = (0..TRIALS)
            .filter(|_| rank_test(&set(), &set()).is_some_and(|p| p < 0.05))
            .count();
        let part = found as f64 / TRIALS as f64;
        assert!((0.03..0.065).contains(&part), "{part}");
    }

    #[test]
    fn a_shift_is_found() {
        let mut random = Random::new(3);
        let mut set = |by: f64| -> Vec<f64> {
            (0..20)
                .map(|_| random.below(1_000) as f64 / 1_000.0 + by)
                .collect()
        };
        let probability = rank_test(&set(0.0), &set(0.8)).expect("enough");
        assert!(probability < 0.001, "{probability}");
    }

    #[test]
    fn many_looks_raise_the_bar() {
        let seen = adjusted(&[0.01, 0.04, 0.03, 0.5]);
        let wanted = [0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5];
        for (seen, wanted) in seen.iter().zip(wanted) {
            assert!((seen - wanted).abs() < 1e-12, "{seen} is not {wanted}");
        }
        assert!(adjusted(&[]).is_empty());
    }
}
