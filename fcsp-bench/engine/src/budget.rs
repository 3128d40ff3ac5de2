//! How a run's time is divided over its metrics.
//!
//! Every metric has its least number of blocks, enough for an interval, whatever they take: what comes late in the order is
//! not what is left out. Only where all of that cannot fit, or turns out not to, have metrics whose blocks start processes
//! one block, without an interval, and in a quick run others too, until there is time for more. Time beyond that goes to all
//! metrics alike, as parts of the blocks that each is planned to have. How long blocks take is estimated from their plan, and
//! corrected by what those of earlier metrics took.

use crate::metrics::order::{self, Set};
use crate::metrics::{self, Measure};
use fcsp_bench_report::catalogue::{Definition, Need};
use std::time::Instant;

/// How long a run is to take: a full one, and a quick one.
const RUN_SECONDS: [f64; 2] = [14.5 * 60.0, 108.0];
/// Blocks that an interval takes: without assumptions, and with that of normally distributed logarithms.
const INTERVAL_BLOCKS: [u32; 2] = [6, 3];
/// What a block of a full and of a quick run costs beyond its own time: messages, waits for the last kernel.
const BLOCK_SECONDS: [f64; 2] = [0.01, 0.025];
/// Where so many processes more have the device open, starting another one takes as much longer as one takes where there is
/// none. On an H200 a lone one took 0.19 s; one of many that start in a row 0.18 s beside 13, 0.32 s beside 35 and 0.4 s
/// beside 48.
const START_DOUBLES: f64 = 30.0;
/// A part of a start that is not there where several start in a row.
const START_ALONE: f64 = 0.4;
/// How long ending takes, as a part of how long starting takes beside nobody.
const END_PART: f64 = 0.3;
/// How long a group works before anything of it counts, and what else it takes to begin.
const GROUP_SECONDS: f64 = 0.1;
/// How far estimates are corrected, and the part of a run's time that it takes to believe half of it: a first metric of
/// many tells little of all others.
const PACE: (f64, f64) = (0.7, 4.0);
const PACE_HALF_PART: f64 = 0.05;

/// What is known of one metric's time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Estimate {
    /// Of a block of every system.
    round_seconds: f64,
    /// Once, for groups and for blocks that do not count.
    first_seconds: f64,
    starts: u32,
    least: u32,
    planned: u32,
}

impl Estimate {
    fn of(planned: Planned, beside: usize, device: Device, quick: bool) -> Self {
        let definition = planned.definition;
        let measure = metrics::find(definition.id);
        let blocks = planned_blocks(definition, quick);
        let round =
            |measure| round_seconds(measure, blocks, planned.systems, beside, device, quick);
        Self {
            round_seconds: measure.map_or(0.0, round),
            first_seconds: measure.map_or(0.0, |measure| {
                f64::from(measure.uncounted(quick)) * round(measure)
            }),
            starts: measure.map_or(0, |measure| measure.starts[usize::from(quick)]),
            least: least_blocks(definition, quick),
            planned: blocks,
        }
    }

    fn seconds(&self, blocks: u32) -> f64 {
        self.first_seconds + f64::from(blocks) * self.round_seconds
    }

    fn least_seconds(&self) -> f64 {
        self.seconds(self.least)
    }

    fn planned_seconds(&self) -> f64 {
        self.seconds(self.planned)
    }
}

/// Where not even the least of all these metrics fits, gives some a single block: those whose blocks start processes, and if
/// that is not enough and `any` may, others, whose blocks take longest.
fn reduce(metrics: &mut [Estimate], seconds: f64, any: bool) {
    let least: f64 = metrics.iter().map(Estimate::least_seconds).sum();
    let mut over = least - seconds;
    let mut costly: Vec<&mut Estimate> = metrics
        .iter_mut()
        .filter(|it| any || it.starts > 0)
        .collect();
    let spared = |it: &Estimate| it.least_seconds() - it.seconds(it.least.min(1));
    costly.sort_by(|a, b| {
        let starts = (b.starts > 0).cmp(&(a.starts > 0));
        starts.then(spared(b).total_cmp(&spared(a)))
    });
    for metric in costly {
        if over <= 0.0 {
            break;
        }
        let before = metric.least_seconds();
        metric.least = metric.least.min(1);
        over -= before - metric.least_seconds();
    }
}

/// Blocks of each system.
pub(crate) fn planned_blocks(definition: &Definition, quick: bool) -> u32 {
    match quick {
        true => definition.plan.quick_blocks,
        false => definition.plan.blocks,
    }
}

/// Blocks that are taken however long they take.
pub(crate) fn least_blocks(definition: &Definition, quick: bool) -> u32 {
    planned_blocks(definition, quick).min(INTERVAL_BLOCKS[usize::from(quick)])
}

/// A block of every system, one of so many blocks, one after the other, beside so many processes.
fn round_seconds(
    measure: &Measure,
    blocks: u32,
    systems: usize,
    beside: usize,
    device: Device,
    quick: bool,
) -> f64 {
    let mut starts = f64::from(measure.starts[usize::from(quick)]);
    let renewals = (0..blocks).filter(|block| measure.renews(*block, quick));
    let sets = order::needs(measure.id, quick);
    let kept: usize = sets.map(|set| set.processes(1)).sum();
    starts += (kept * renewals.count()) as f64 / f64::from(blocks.max(1));
    let starts_seconds = starts * device.start_and_end_seconds(beside);
    let block_seconds = measure.block_seconds(quick) + BLOCK_SECONDS[usize::from(quick)];
    systems as f64 * (block_seconds + starts_seconds)
}

/// What is known of the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    /// How many there are.
    pub(crate) count: u32,
    /// How long a process takes to open it where nobody else has.
    pub(crate) start_seconds: f64,
}

impl Device {
    /// How long it takes to start one of several processes, and to end it, where so many have the device open.
    fn start_and_end_seconds(self, beside: usize) -> f64 {
        let longer = 1.0 - START_ALONE + beside as f64 / START_DOUBLES;
        self.start_seconds * (longer + END_PART)
    }
}

/// A metric, and how many systems it is measured of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    /// Which.
    pub(crate) definition: &'static Definition,
    /// How many.
    pub(crate) systems: usize,
}

/// Estimates of these metrics, one after the other, with the processes that each has to start and finds.
fn estimates(planned: &[Planned], systems: usize, device: Device, quick: bool) -> Vec<Estimate> {
    let mut there = vec![order::CHECKS];
    let mut estimates = Vec::new();
    for (place, planned_one) in planned.iter().enumerate() {
        let later: Vec<Set> = planned[place..]
            .iter()
            .flat_map(|it| order::needs(it.definition.id, quick))
            .collect();
        there.retain(|set| later.contains(set));
        let count = |there: &[Set]| -> usize { there.iter().map(|it| it.processes(systems)).sum() };
        let mut first_seconds = 0.0;
        if !can_run(planned_one.definition, device.count) || planned_one.systems == 0 {
            estimates.push(Estimate {
                round_seconds: 0.0,
                first_seconds: 0.0,
                ..Estimate::of(*planned_one, 0, device, quick)
            });
            continue;
        }
        for set in order::needs(planned_one.definition.id, quick) {
            if there.contains(&set) {
                continue;
            }
            let more = set.processes(planned_one.systems);
            let each = device.start_and_end_seconds(count(&there) + more / 2);
            first_seconds += more as f64 * each;
            if set != Set::Solo {
                first_seconds += GROUP_SECONDS * planned_one.systems as f64;
            }
            there.push(set);
        }
        let mut estimate = Estimate::of(*planned_one, count(&there), device, quick);
        estimate.first_seconds += first_seconds;
        estimates.push(estimate);
    }
    estimates
}

/// Whether there are devices enough for it.
fn can_run(definition: &Definition, devices: u32) -> bool {
    !definition.needs.iter().any(|need| match need {
        Need::Gpus(count) => *count > devices,
        Need::Nccl | Need::Cublas => false,
    })
}

/// What a run has of time.
pub(crate) struct Budget {
    began: Instant,
    seconds: f64,
    quick: bool,
    /// Of each metric, in the order in which they run.
    metrics: Vec<Estimate>,
    /// Of the blocks that are done: how long they were estimated to take, and took.
    estimated_seconds: f64,
    taken_seconds: f64,
}

/// One metric's part of it.
pub(crate) struct Share {
    place: usize,
    began: Instant,
    target: u32,
}

impl Budget {
    /// That of a run of so many systems which began then.
    pub(crate) fn new(
        began: Instant,
        planned: &[Planned],
        systems: usize,
        device: Device,
        quick: bool,
    ) -> Self {
        let mut metrics = estimates(planned, systems, device, quick);
        let seconds = RUN_SECONDS[usize::from(quick)];
        let left = seconds - began.elapsed().as_secs_f64();
        reduce(&mut metrics, left, quick);
        Self {
            began,
            seconds,
            quick,
            metrics,
            estimated_seconds: 0.0,
            taken_seconds: 0.0,
        }
    }

    /// How long the whole run should take.
    pub(crate) fn expected_seconds(&self) -> f64 {
        let least: f64 = self.metrics.iter().map(Estimate::least_seconds).sum();
        let planned: f64 = self.metrics.iter().map(Estimate::planned_seconds).sum();
        planned.min(self.seconds).max(least)
    }

    /// How much longer blocks take than estimated, by those that are done.
    fn pace(&self) -> f64 {
        let (low, high) = PACE;
        let half_seconds = PACE_HALF_PART * self.seconds;
        let pace = (self.taken_seconds + half_seconds) / (self.estimated_seconds + half_seconds);
        pace.clamp(low, high)
    }

    /// How long all metrics after that one should take.
    pub(crate) fn seconds_after(&self, place: usize) -> f64 {
        let later = self.metrics[place + 1..].iter();
        self.pace() * later.map(Estimate::planned_seconds).sum::<f64>()
    }

    /// How long a block of every system of that metric should take.
    pub(crate) fn round_seconds(&self, place: usize) -> f64 {
        self.pace() * self.metrics[place].round_seconds
    }

    /// Begins a metric.
    pub(crate) fn share(&self, place: usize) -> Share {
        Share {
            place,
            began: Instant::now(),
            target: self.metrics[place].planned,
        }
    }

    /// Whether a metric that has so many blocks of every system takes another one.
    pub(crate) fn has_time(&self, share: &mut Share, done: u32) -> bool {
        let estimate = self.metrics[share.place];
        if done < estimate.least {
            return true;
        }
        if done >= share.target {
            return false;
        }
        let round = share.began.elapsed().as_secs_f64() / f64::from(done.max(1));
        let left = self.seconds - self.began.elapsed().as_secs_f64();
        let later = self.metrics[share.place + 1..].iter();
        let least: f64 = self.pace() * later.map(Estimate::least_seconds).sum::<f64>();
        let spare = left - least;
        if done == estimate.least {
            let more = estimate.planned - done;
            let wanted = f64::from(more) * round + self.seconds_after(share.place) - least;
            share.target = done + blocks_within(more, wanted, spare);
        }
        done < share.target && round <= spare
    }

    /// Ends a metric, of which so many blocks of every system were taken. Where later ones turn out not to fit, they have less.
    pub(crate) fn end(&mut self, share: &Share, done: u32) {
        self.estimated_seconds += self.metrics[share.place].seconds(done);
        self.taken_seconds += share.began.elapsed().as_secs_f64();
        let left = self.seconds - self.began.elapsed().as_secs_f64();
        let (seconds, any) = (left / self.pace(), self.quick);
        reduce(&mut self.metrics[share.place + 1..], seconds, any);
    }
}

/// So many of these blocks as are its part where not all that is wanted fits.
fn blocks_within(more: u32, wanted_seconds: f64, spare_seconds: f64) -> u32 {
    if wanted_seconds <= spare_seconds {
        return more;
    }
    let part = (spare_seconds / wanted_seconds).max(0.0);
    (f64::from(more) * part).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_bench_report::catalogue;
    use std::time::Duration;

    /// How long a process takes to open a real device that nobody else has open.
    const START_SECONDS: f64 = 0.2;

    fn all() -> Vec<&'static Definition> {
        let all: Vec<_> = catalogue::all().collect();
        order::ordered(&all)
    }

    fn planned(systems: usize) -> Vec<Planned> {
        let plan = |definition: &&'static Definition| Planned {
            definition,
            systems,
        };
        all().iter().map(plan).collect()
    }

    fn device(start_seconds: f64) -> Device {
        Device {
            count: 1,
            start_seconds,
        }
    }

    fn budget(began: Instant, start_seconds: f64, quick: bool) -> Budget {
        Budget::new(began, &planned(5), 5, device(start_seconds), quick)
    }

    /// What the checks before the first metric take, or more.
    const CHECKS_SECONDS: f64 = 10.0;

    #[test]
    fn what_every_metric_needs_fits_of_five_systems_and_in_a_quick_run_of_four() {
        for (quick, systems) in [(false, 5), (true, 4)] {
            let device = device(START_SECONDS);
            let planned = planned(systems);
            let budget = Budget::new(Instant::now(), &planned, systems, device, quick);
            let least: f64 = budget.metrics.iter().map(Estimate::least_seconds).sum();
            assert!(least <= RUN_SECONDS[usize::from(quick)], "{least} s");
        }
    }

    #[test]
    fn a_quick_run_of_four_systems_in_single_blocks_leaves_time_for_the_checks() {
        let estimates = estimates(&planned(4), 4, device(START_SECONDS), true);
        let single: f64 = estimates.iter().map(|it| it.seconds(1)).sum();
        assert!(single <= RUN_SECONDS[1] - CHECKS_SECONDS, "{single} s");
    }

    #[test]
    fn a_start_takes_longer_beside_others_and_a_kept_process_is_started_once() {
        let device = device(0.2);
        assert!(device.start_and_end_seconds(40) > 2.0 * device.start_and_end_seconds(5));
        let estimates = estimates(&planned(4), 4, device, true);
        let first = |id: &str| {
            let place = all().iter().position(|it| it.id == id);
            estimates[place.expect("it is in the order")].first_seconds
        };
        assert!(first("SCHED-001") > 0.0);
        assert_eq!(first("SCHED-003"), 0.0, "it finds what SCHED-001 started");
    }

    #[test]
    fn a_block_costs_a_part_of_the_start_of_what_lives_for_several() {
        let device = device(0.2);
        let renewed = metrics::find("OH-006").expect("it is there");
        let kept = Measure {
            lives: 0,
            ..*renewed
        };
        let more = |quick| {
            let seconds = |measure| round_seconds(measure, 3 * renewed.lives, 5, 30, device, quick);
            seconds(renewed) - seconds(&kept)
        };
        // Four processes of each of five systems, twice in so many blocks: the first are there.
        let starts = 5.0 * 4.0 * device.start_and_end_seconds(30);
        let part = 2.0 * starts / f64::from(3 * renewed.lives);
        assert!((more(false) - part).abs() < 1e-9, "{} s", more(false));
        assert_eq!(more(true), 0.0, "in a quick run they live for all of it");
    }

    #[test]
    fn a_block_that_does_not_count_takes_its_time() {
        let device = device(0.0);
        let of = |id: &str, quick| {
            let definition = catalogue::find(id).expect("it is there");
            let planned = Planned {
                definition,
                systems: 5,
            };
            Estimate::of(planned, 0, device, quick)
        };
        let learns = of("SCHED-001", false);
        assert_eq!(learns.seconds(8), 9.0 * learns.round_seconds);
        assert_eq!(of("SCHED-001", true).first_seconds, 0.0);
        assert_eq!(of("SCHED-003", false).first_seconds, 0.0);
    }

    #[test]
    fn with_time_enough_all_that_is_planned_is_taken() {
        let budget = budget(Instant::now(), 0.0, false);
        let mut share = budget.share(0);
        let planned = budget.metrics[0].planned;
        assert!((0..planned).all(|done| budget.has_time(&mut share, done)));
        assert!(!budget.has_time(&mut share, planned));
    }

    #[test]
    fn a_run_that_is_late_takes_the_least_of_every_metric() {
        let began = Instant::now().checked_sub(Duration::from_secs(3_600));
        let budget = budget(began.expect("the machine is up for longer"), 0.0, false);
        for place in 0..budget.metrics.len() {
            let mut share = budget.share(place);
            let least = budget.metrics[place].least;
            assert!((0..least).all(|done| budget.has_time(&mut share, done)));
            assert!(!budget.has_time(&mut share, least));
        }
    }

    #[test]
    fn what_turns_out_not_to_fit_has_a_single_block_from_then_on() {
        let began = Instant::now().checked_sub(Duration::from_secs(3_600));
        let began = began.expect("the machine is up for longer");
        for quick in [false, true] {
            let mut budget = budget(began, 0.1, quick);
            let first = budget.share(0);
            budget.end(&first, 1);
            for (definition, estimate) in all().iter().zip(&budget.metrics).skip(1) {
                let is_reduced = quick || estimate.starts > 0;
                let least = least_blocks(definition, quick);
                let expected = if is_reduced { least.min(1) } else { least };
                assert_eq!(
                    estimate.least, expected,
                    "{}, quick: {quick}",
                    definition.id
                );
            }
        }
    }

    #[test]
    fn where_half_of_what_is_wanted_fits_each_has_half() {
        assert_eq!(blocks_within(10, 100.0, 50.0), 5);
        assert_eq!(blocks_within(10, 100.0, 200.0), 10);
        assert_eq!(blocks_within(10, 100.0, -1.0), 0);
    }

    #[test]
    fn slow_blocks_make_later_estimates_longer() {
        let mut budget = budget(Instant::now(), 0.0, true);
        let before = budget.seconds_after(0);
        budget.estimated_seconds += 20.0;
        budget.taken_seconds += 60.0;
        let after = budget.seconds_after(0);
        // Of 108 s a part of 5.4 s is half believed.
        assert!(
            (after / before - 65.4 / 25.4).abs() < 0.01,
            "{before} s, then {after} s"
        );
    }
}
