//! What the arbiter remembers of tenants and processes between steps.

mod lengths;
mod tenant;

pub use lengths::{Lengths, is_steady, is_timed};
pub use tenant::{Seen, TenantAccount};

use super::clock::{ms, us};
use super::foresight::{Completion, Foresight, Progress, Usual};
use super::margin::Margin;
use super::plan::{ProcessView, SegmentView};
use super::segment::reached;

/// Moving average with weight 1/8.
fn blend(old: u64, new: u64) -> u64 {
    if old == 0 { new } else { (old * 7 + new) / 8 }
}

/// A program that submits at intervals has gone quiet after so many of them, and after no more than this.
const QUIET_GAPS: u64 = 3;
const QUIET_NS_MAX: u64 = ms(2);
/// Thinking counts as no more than so many times the usual, unless that is less than this: who thinks longer from now on is
/// known for it after some batches, and who paused for once goes on as before.
const THINKING_MOST: u64 = 8;
const THINKING_NS_TOLD: u64 = us(100);
/// Longest batch: a program that works longer before it waits is not held up by waiting for its turn.
const BATCH_NS_MAX: u64 = ms(10);

/// What a program submits between two waits: whatever ends its segments, that is what it does.
#[derive(Clone, Copy, Debug, Default)]
struct Batch {
    fill_ns: u64,
    device_ns: u64,
    /// So much work without a wait that this is none: its segments count one by one.
    is_long: bool,
}

impl Batch {
    fn add(&mut self, fill_ns: u64, device_ns: u64) {
        if self.is_long {
            return;
        }
        self.fill_ns += fill_ns;
        self.device_ns += device_ns;
        if self.device_ns > BATCH_NS_MAX {
            *self = Self {
                is_long: true,
                ..Self::default()
            };
        }
    }
}

/// Habits of one process, learnt from its segments.
#[derive(Clone, Debug, Default)]
pub struct ProcessAccount {
    /// Whose habits.
    pub generation: u32,
    /// Index of its tenant's page.
    pub tenant: usize,
    /// Virtual time among the processes of its tenant.
    pub vtime_ns: u64,
    /// Device time charged.
    pub device_ns: u64,
    /// Time from opening a segment to closing it.
    pub fill_ns: u64,
    /// Device time of a segment.
    pub device_ns_mean: u64,
    /// Time from the end of a segment to the next submission, when nothing was pending.
    pub think_ns: u64,
    /// Time between two submissions while a segment fills.
    gap_ns: u64,
    /// How long its work takes, beside what was predicted.
    pub lengths: Lengths,
    /// Part of its segments that ended in a wait, thousandths.
    pub sync_milli: u64,
    /// How much earlier than just in time its filling segments are granted.
    pub margin: Margin,
    /// How to tell when a batch that fills will be complete.
    pub foresight: Foresight,
    /// Its threads wait in place of its queues: every segment costs it a thread's sleep.
    pub threads_wait: bool,
    /// It belongs to a job that spans devices, on which all its processes have their turns at once.
    pub spans: bool,
    /// Of what it submitted since it last waited, in segments that are over.
    batch: Batch,
    /// Batches that ended in a wait.
    pub batches: u64,
    /// When something of it was last counted that ran without turns.
    pub counted_ns: u64,
    /// When it last had nothing left to run.
    pub drained_ns: u64,
    synced_seen: u32,
    blocked_seen: u32,
}

impl ProcessAccount {
    /// A process nothing is known of.
    pub fn new(view: &ProcessView, margin_ns: u64) -> Self {
        Self {
            generation: view.generation,
            tenant: view.tenant,
            lengths: Lengths::new(),
            margin: Margin::new(margin_ns),
            synced_seen: view.synced,
            blocked_seen: view.blocked,
            ..Self::default()
        }
    }

    /// Charges device time.
    pub fn charge(&mut self, ns: u64) {
        self.device_ns += ns;
        self.vtime_ns += ns;
    }

    /// As [`TenantAccount::settle_allowance`].
    pub fn settle_allowance(&mut self, unused_ns: u64, beyond_ns: u64) {
        self.device_ns = self.device_ns.saturating_sub(unused_ns);
        self.vtime_ns = self.vtime_ns.saturating_sub(unused_ns);
        self.charge(beyond_ns);
    }

    /// Learns how a closed segment came to be. True if it ended a batch.
    pub fn learn_habit(&mut self, fill_ns: u64, device_ns: u64, waits: Waits) -> bool {
        let throttled = waits.blocked != self.blocked_seen;
        // A thread may wait for an event long before the newest of its work, which is known only when it goes on. Where
        // another one began to wait since, the first was for a result.
        let is_told = waits.is_for_it || waits.synced.wrapping_sub(self.synced_seen) > 1;
        let ended = waits.synced != self.synced_seen && is_told && !throttled;
        if is_told || throttled {
            self.synced_seen = waits.synced;
        }
        self.blocked_seen = waits.blocked;
        let mut before = self.batch;
        self.batch.add(fill_ns, device_ns);
        let is_long = self.batch.is_long;
        if is_long {
            before = Batch::default();
        }
        if !ended && !throttled && !is_long {
            return false;
        }
        let (fill_ns, device_ns) = (fill_ns + before.fill_ns, device_ns + before.device_ns);
        if ended || throttled {
            self.batch = Batch::default();
        }
        let waited = ended && !is_long;
        self.batches += u64::from(waited);
        if !throttled {
            self.fill_ns = blend(self.fill_ns, fill_ns);
        }
        self.device_ns_mean = blend(self.device_ns_mean, device_ns);
        let milli = if waited { 1000 } else { 0 };
        self.sync_milli = (self.sync_milli * 7 + milli) / 8;
        waited
    }

    /// Waits of its threads that nothing was learnt from yet.
    pub fn unseen_waits(&self, process: &ProcessView) -> u32 {
        process.synced.wrapping_sub(self.synced_seen)
    }

    /// A segment that was still filling is ended by force: the next one is the rest of the same batch.
    pub fn carry_over(&mut self, fill_ns: u64, device_ns: u64) {
        self.batch.add(fill_ns, device_ns);
    }

    /// Learns how long the program takes from one submission to the next, from a segment of so many.
    pub fn learn_gap(&mut self, fill_ns: u64, launches: u32) {
        if launches > 1 {
            self.gap_ns = blend(self.gap_ns, fill_ns / u64::from(launches - 1));
        }
    }

    /// After how long without a submission an open segment of it has gone quiet, if that takes `least_ns` at least.
    pub fn quiet_ns(&self, least_ns: u64) -> u64 {
        (QUIET_GAPS * self.gap_ns).min(QUIET_NS_MAX).max(least_ns)
    }

    /// Learns how long the program thinks between batches. That it paused once says nothing of its next ones.
    pub fn learn_thinking(&mut self, think_ns: u64) {
        let most_ns = match self.think_ns {
            0 => u64::MAX,
            usual_ns => (THINKING_MOST * usual_ns).max(THINKING_NS_TOLD),
        };
        self.think_ns = blend(self.think_ns, think_ns.min(most_ns)).max(1);
    }

    /// True for a program that waits for what it submits and whose processor is clearly the slower of
    /// the two: it feels every delay. One that keeps the device busy most of the time has to wait for its
    /// share anyway, and one of a job that spans devices for the others of its job.
    pub fn interactive(&self) -> bool {
        self.feels_waits_of(self.fill_ns)
    }

    /// True for a program that waits for what it submits, and for which that is no more than a part of what it does: it feels
    /// every delay as well.
    pub fn rests(&self) -> bool {
        self.feels_waits_of(self.fill_ns + self.think_ns)
    }

    /// Whether it waits for its results, and what it does itself meanwhile takes clearly longer than they do.
    fn feels_waits_of(&self, own_ns: u64) -> bool {
        !self.spans && self.sync_milli >= 250 && 2 * own_ns >= 3 * self.device_ns_mean
    }

    /// True for a program that waits for nearly everything it submits.
    pub fn waits(&self) -> bool {
        self.sync_milli >= 500
    }

    /// True for a program that hardly ever waits for what it submits, nor for its turn.
    pub fn never_waits(&self) -> bool {
        self.sync_milli < 100 && !self.threads_wait
    }

    /// The same, if it worked at all: of one that only has the device open nobody has seen that it waits.
    pub fn always_has_work(&self) -> bool {
        self.never_waits() && self.device_ns_mean > 0
    }

    /// The same of one that waited once of late: few and long segments make one wait a large part of them.
    pub fn seldom_waits(&self) -> bool {
        self.sync_milli < 250 && !self.threads_wait
    }

    /// What the program itself takes for `batches`: to think, and to submit.
    pub fn own_ns(&self, batches: u64) -> u64 {
        batches * (self.think_ns + self.fill_ns)
    }

    /// True for a program that submits again within `think_ns_max` of its last result, all at once.
    pub fn quick(&self, think_ns_max: u64) -> bool {
        self.think_ns != 0
            && self.think_ns <= think_ns_max
            && self.fill_ns <= 2 * self.device_ns_mean + think_ns_max
    }

    /// When a batch that begins to fill at `opened_ns` is best granted: so late that its program will have submitted
    /// everything by the time the device has run it, less the margin.
    pub fn just_in_time_ns(&self, opened_ns: u64) -> u64 {
        let complete_ns = opened_ns + self.fill_ns.saturating_sub(self.batch.fill_ns);
        self.begins_ns(opened_ns, complete_ns)
    }

    /// The same of a segment that fills, by what it holds.
    pub fn due_ns(&self, segment: &SegmentView) -> u64 {
        self.begins_ns(segment.opened_ns, self.complete_ns(segment))
    }

    fn begins_ns(&self, opened_ns: u64, complete_ns: u64) -> u64 {
        let device_ns = self.device_ns_mean.saturating_sub(self.batch.device_ns);
        let lead_ns = self.margin.lead_ns(device_ns);
        complete_ns.saturating_sub(lead_ns).max(opened_ns)
    }

    /// When its program will have submitted all of a segment that fills.
    pub fn complete_ns(&self, segment: &SegmentView) -> u64 {
        self.foresight
            .complete_ns(self.fill_ns, self.completion(segment))
    }

    /// The guesses at that.
    pub fn completion(&self, segment: &SegmentView) -> Completion {
        let usual = Usual {
            fill_ns: self.fill_ns,
            device_ns: self.device_ns_mean,
        };
        let so_far = Progress {
            opened_ns: segment.opened_ns,
            submitted_ns: segment.submitted_ns.max(segment.opened_ns),
            filled_before_ns: self.batch.fill_ns,
            device_ns: self.batch.device_ns + self.lengths.corrected_ns(segment.predicted_ns),
        };
        Completion::expected(usual, so_far)
    }

    /// Whether it is told by how far the work is, and so may change with every submission.
    pub fn is_told_by_work(&self) -> bool {
        self.foresight.goes_by_work(self.fill_ns)
    }
}

/// How often the threads of a program waited, when a segment of it was over.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// The counter of its slot: for the device.
    pub synced: u32,
    /// The same: for room, or for an event behind which there was more.
    pub blocked: u32,
    /// Nothing newer was there when a thread began to wait last: what that waits for is over.
    pub is_for_it: bool,
}

impl Waits {
    /// As of now, for that segment.
    pub fn of(process: &ProcessView, segment: &SegmentView) -> Self {
        Self {
            synced: process.synced,
            blocked: process.blocked,
            is_for_it: reached(segment.number, process.waits_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For the newest segment.
    fn waits(synced: u32, blocked: u32) -> Waits {
        Waits {
            synced,
            blocked,
            is_for_it: true,
        }
    }

    #[test]
    fn a_wait_for_something_older_is_none_for_a_result() {
        let mut account = ProcessAccount::default();
        for turn in 1..=20 {
            // The thread waits while the first of several is over, and goes on later.
            for blocked in [turn - 1, turn - 1, turn, turn] {
                let seen = Waits {
                    is_for_it: false,
                    ..waits(turn, blocked)
                };
                assert!(!account.learn_habit(us(10), ms(1), seen), "{account:?}");
            }
        }
        assert!(account.never_waits());
        // Two threads, of which one has begun to wait again before the other's result is there.
        for turn in 20..60 {
            let seen = Waits {
                is_for_it: false,
                ..waits(2 * turn + 2, 20)
            };
            account.learn_habit(us(10), us(100), seen);
        }
        assert!(account.waits(), "{account:?}");
    }

    /// `batches` of as many segments, the last of which ends in a wait.
    fn learn(account: &mut ProcessAccount, batches: u32, segments: u32, fill_ns: u64, ns: u64) {
        for batch in 1..=batches {
            for segment in 1..=segments {
                let synced = account.synced_seen + u32::from(segment == segments);
                let ended = account.learn_habit(fill_ns, ns, waits(synced, 0));
                assert!(!ended || segment == segments, "batch {batch}");
            }
        }
    }

    #[test]
    fn one_wait_in_a_while_is_seldom_and_several_are_not() {
        let mut account = ProcessAccount::default();
        let segment = |account: &mut ProcessAccount, count: u32| {
            let (synced, blocked) = (account.synced_seen, account.blocked_seen);
            account.learn_habit(us(10), ms(5), waits(synced + count, blocked + 1 - count));
        };
        for _ in 0..20 {
            segment(&mut account, 1);
            assert!(account.seldom_waits() && !account.never_waits());
            for _ in 0..8 {
                segment(&mut account, 0);
            }
            assert!(account.never_waits());
        }
        for _ in 0..3 {
            segment(&mut account, 1);
        }
        assert!(!account.seldom_waits());
    }

    #[test]
    fn a_program_that_waits_is_known_for_one_whatever_ends_its_segments() {
        for segments in [1, 3, 9] {
            let mut account = ProcessAccount::default();
            let n = u64::from(segments);
            learn(&mut account, 30, segments, us(3600) / n, us(1800) / n);
            assert!(account.waits() && account.interactive(), "{segments}");
            let off_ns = account.device_ns_mean.abs_diff(us(1800));
            assert!(off_ns < us(1), "{segments}: {account:?}");
            // The rest of the batch is due that much earlier.
            let whole_ns = account.just_in_time_ns(0);
            account.carry_over(us(400), us(100));
            assert_eq!(account.just_in_time_ns(0), whole_ns - us(300));
        }
    }

    #[test]
    fn a_program_that_works_long_before_it_waits_is_held_up_by_its_share() {
        let mut account = ProcessAccount::default();
        assert!(!account.always_has_work(), "it has done nothing");
        learn(&mut account, 30, 60, us(400), us(250));
        assert!(account.never_waits() && !account.interactive());
        assert!(account.always_has_work());
        let off_ns = account.device_ns_mean.abs_diff(us(250));
        assert!(off_ns < us(1), "{account:?}");
    }

    #[test]
    fn a_program_that_keeps_the_device_busy_is_held_up_by_its_share() {
        let mut account = ProcessAccount::default();
        learn(&mut account, 30, 1, us(2000), us(1800));
        assert!(account.waits() && !account.interactive());
    }
}
