//! What is remembered of a tenant: [`TenantAccount`].

use crate::policy::Priority;
use crate::sched::clock::ms;
use crate::sched::shares::{Promise, Share, WHOLE_PPM};

/// Share at which a paused tenant is charged for what ran on.
const PAUSED_PPM: u32 = WHOLE_PPM / 100;

/// Without work for so long a tenant did not think, but paused.
const PAUSE_NS: u64 = ms(5);
/// What is left of what a tenant may be behind once it paused and nobody of it waits for results.
const PAUSED_PART: u64 = 8;

/// What its processes do at a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// There is one.
    pub is_there: bool,
    /// One has work.
    pub works: bool,
    /// One has more work waiting than what it is just submitting.
    pub backlogged: bool,
    /// One waits for its results.
    pub waits: bool,
}

/// Device time of one tenant.
#[derive(Clone, Debug, Default)]
pub struct TenantAccount {
    /// Device time divided by share; the least is next.
    pub vtime_ns: u64,
    /// Device time charged.
    pub device_ns: u64,
    /// What its finished segments were expected to take.
    pub work_ns: u64,
    /// For how long it had more work waiting than what it was just submitting.
    pub backlog_ns: u64,
    /// Whether it had at the last step.
    pub backlogged: bool,
    /// When that was.
    pub stepped_ns: u64,
    /// Tokens left under the ceiling, nanoseconds of device time.
    pub tokens_ns: i64,
    /// When tokens were last added.
    pub filled_ns: u64,
    /// When its last turn began.
    pub turn_ns: u64,
    /// When it last had work.
    pub active_ns: u64,
    /// It had none for a while before that.
    pub rested: bool,
    /// What its processes did at the last step.
    pub seen: Seen,
    /// Had work at the last step.
    pub had_work: bool,
    /// What it was promised, as far as it is known.
    pub promise: Option<Promise>,
    /// What it may have now.
    pub share: Share,
    /// Who goes before it.
    pub priority: Priority,
}

impl TenantAccount {
    /// Charges device time.
    pub fn charge(&mut self, ns: u64) {
        self.device_ns += ns;
        self.tokens_ns -= ns as i64;
        self.vtime_ns += self.virtual_ns(ns);
    }

    /// It has work.
    pub fn note_active(&mut self, now_ns: u64) {
        self.rested |= !self.had_work && now_ns.saturating_sub(self.active_ns) > PAUSE_NS;
        self.active_ns = now_ns;
    }

    /// It has work again: by how much it may be behind the others, if that is `turn_ns` as a rule. Who asks for little is behind
    /// those who take all they get, and so is answered at once. Who takes all it gets would have that much more than its share
    /// until it has caught up, at the cost of tenants that never kept it from anything.
    pub fn credit_ns(&self, turn_ns: u64) -> u64 {
        let is_answered = self.seen.waits || self.priority == Priority::High;
        match self.rested && !is_answered {
            true => turn_ns / PAUSED_PART,
            false => turn_ns,
        }
    }

    /// Counts the time since the last step as one in which the tenant had more work waiting, if it had then.
    pub fn note_backlog(&mut self, now_ns: u64, backlogged: bool) {
        if self.backlogged {
            self.backlog_ns += now_ns.saturating_sub(self.stepped_ns);
        }
        (self.stepped_ns, self.backlogged) = (now_ns, backlogged);
    }

    /// Device time as virtual time.
    pub fn virtual_ns(&self, ns: u64) -> u64 {
        // What still ran when it was paused is not to be paid for for ever.
        let share = match self.share {
            Share { paused: true, .. } => PAUSED_PPM,
            Share { share_ppm, .. } => share_ppm.max(1),
        };
        (u128::from(ns) * u128::from(WHOLE_PPM) / u128::from(share)) as u64
    }

    /// Gives back device time charged too much.
    pub fn refund(&mut self, ns: u64) {
        let ns = ns.min(self.device_ns);
        self.device_ns -= ns;
        self.tokens_ns += ns as i64;
        self.vtime_ns = self.vtime_ns.saturating_sub(self.virtual_ns(ns));
    }

    /// Of an allowance that is taken back: gives back what was charged in advance and not used, and charges what was used
    /// beyond it.
    pub fn settle_allowance(&mut self, unused_ns: u64, beyond_ns: u64) {
        if self.filled_ns == 0 {
            // An earlier arbiter gave it, for a share that this one does not know before its first step is over, and of
            // tokens that this one never had.
            self.device_ns = self.device_ns.saturating_sub(unused_ns) + beyond_ns;
        } else {
            self.refund(unused_ns);
            self.charge(beyond_ns);
        }
    }

    /// Adds the tokens of the time since the last fill, at most `burst_ns` in all.
    pub fn fill(&mut self, now_ns: u64, burst_ns: u64) {
        let elapsed = now_ns.saturating_sub(self.filled_ns);
        let add = if self.filled_ns == 0 {
            burst_ns
        } else {
            (u128::from(elapsed) * u128::from(self.share.ceiling_ppm) / u128::from(WHOLE_PPM))
                as u64
        };
        self.tokens_ns = (self.tokens_ns.saturating_add(add as i64)).min(burst_ns as i64);
        self.filled_ns = now_ns;
    }

    /// True unless the ceiling or its priority holds the tenant back.
    pub fn eligible(&self) -> bool {
        !self.share.paused && self.within_ceiling()
    }

    fn within_ceiling(&self) -> bool {
        self.share.ceiling_ppm >= WHOLE_PPM || self.tokens_ns > 0
    }

    /// When the ceiling will let it run again.
    pub fn eligible_at_ns(&self, now_ns: u64) -> u64 {
        if self.within_ceiling() {
            return now_ns;
        }
        let missing = (1 - self.tokens_ns) as u128 * u128::from(WHOLE_PPM);
        now_ns + (missing / u128::from(self.share.ceiling_ppm.max(1))) as u64
    }
}
