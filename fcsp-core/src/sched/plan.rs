//! What the arbiter sees and what it decides, as plain data.

use super::SegmentState;
use super::class::CLASSES;
use super::shares::Promise;
use crate::backend::SharingMode;
use crate::region::layout::{GATED, GATED_BESIDE_OTHERS, GATED_ON_TRIAL, GATED_WITHIN_REACH};

/// The device's programs at one instant, read from the region by [`super::view`].
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Whether processes may run together now.
    pub sharing: SharingMode,
    /// Whether the driver may slice time among processes that cannot, where that is better than turns.
    pub may_slice: bool,
    /// What a nanosecond of each class of work counts, thousandths; 0 counts as 1000.
    pub class_weights_milli: [u32; CLASSES],
    /// Whose turn it is on the other devices of jobs that span several.
    pub lead: Lead,
    /// Live tenants.
    pub tenants: Vec<TenantView>,
    /// Live processes.
    pub processes: Vec<ProcessView>,
}

/// What jobs that span devices make of the order of turns: one device of each such group leads, and the others
/// follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// No job here spans devices.
    #[default]
    Nobody,
    /// This device leads.
    Here,
    /// Another one does; which of the tenants here had the last turn there, as far as one had.
    There(Option<usize>),
}

/// One tenant.
#[derive(Clone, Debug)]
pub struct TenantView {
    /// Index of its page.
    pub index: usize,
    /// Its limits; `active` is ignored, the arbiter knows better.
    pub promise: Promise,
}

/// One process.
#[derive(Clone, Debug, Default)]
pub struct ProcessView {
    /// Index of its slot.
    pub slot: usize,
    /// Changes when another process takes the slot.
    pub generation: u32,
    /// Index of its tenant's page.
    pub tenant: usize,
    /// Newest segment opened.
    pub opened: u32,
    /// Newest segment granted.
    pub granted: u32,
    /// Newest segment retired.
    pub retired: u32,
    /// Whether its submissions form segments now.
    pub gated: bool,
    /// Device time that it may submit without forming segments, since it attached.
    pub allowed_ns: u64,
    /// Expected device time of what it submitted so, since it attached.
    pub passed_ns: u64,
    /// When the newest of that is expected to be over; 0 before any.
    pub passed_until_ns: u64,
    /// Segments it had to close because a thread was about to wait, so far.
    pub synced: u32,
    /// Times a thread of it had to wait for room, so far.
    pub blocked: u32,
    /// When a thread of it last looked and the device was not done, where only threads can tell; 0 for never.
    pub looked_ns: u64,
    /// Threads of it sleep, and look meanwhile whether the device is done.
    pub looks: bool,
    /// Threads of it wait for grants in place of its queues.
    pub threads_wait: bool,
    /// What a hand-over costs it, as it measured.
    pub handover_ns: u64,
    /// Percent of the device that it can use at all beside others; 0 is all of it.
    pub partition_percent: u32,
    /// Newest segment whose expected length is a guess in part.
    pub guessed: u32,
    /// By how much one submission is usually off what was expected of it, in millionths of that.
    pub spread_ppm: u32,
    /// Newest segment when a thread of it last began to wait for the device.
    pub waits_at: u32,
    /// When it last submitted work that other devices take part in; 0 for never.
    pub collective_ns: u64,
    /// It has work that the device has yet to come to, which is not among `segments`: up to this segment.
    pub hides: Option<u32>,
    /// Its tenant has work on a device that follows this one.
    pub has_peers_at_work: bool,
    /// The device runs work of it, or of its tenant on a device that follows this one, that other devices take
    /// part in.
    pub in_collective: bool,
    /// Expected device time of what it submitted so far, by class, nanoseconds; zeros unless classes have weights.
    pub classes_ns: [u64; CLASSES],
    /// Segments after `retired`, oldest first.
    pub segments: Vec<SegmentView>,
}

/// One segment that is not retired.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// Its number.
    pub number: u32,
    /// Its state.
    pub state: SegmentState,
    /// Expected device time of what is in it, nanoseconds.
    pub predicted_ns: u64,
    /// When it was opened.
    pub opened_ns: u64,
    /// When something last joined it.
    pub submitted_ns: u64,
    /// Submissions in it.
    pub launches: u32,
    /// Several queues have a part of it; not known before it is complete.
    pub is_spread: bool,
    /// True once every queue it used has written its number.
    pub done: bool,
}

/// What to do now, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Segments to retire, in order.
    pub retire: Vec<Retire>,
    /// Open segments to end.
    pub expire: Vec<SegmentRef>,
    /// Segments to grant: everything up to this number.
    pub grant: Vec<Grant>,
    /// Grants given ahead that no longer hold: the process may run up to this number.
    pub revoke: Vec<SegmentRef>,
    /// Gates to set.
    pub gate: Vec<Gate>,
    /// Allowances to give or to take back.
    pub allow: Vec<Allowance>,
    /// When to step again if nothing rings before; `None` is not before the doorbell.
    pub wake_ns: Option<u64>,
    /// The turn passed to another tenant.
    pub handed_over: bool,
}

/// Names a segment of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRef {
    /// Slot of the process.
    pub slot: usize,
    /// Number of the segment.
    pub number: u32,
}

/// A segment is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retire {
    /// Which.
    pub segment: SegmentRef,
    /// False if it was given up on: it did not finish in the bound.
    pub finished: bool,
    /// It ended now, not at some time since the last look.
    pub exact: bool,
}

/// Permission to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// To this process.
    pub slot: usize,
    /// First segment of the grant.
    pub from: u32,
    /// Last segment of the grant.
    pub to: u32,
    /// A turn begins with it.
    pub first_of_turn: bool,
}

/// How a process's submissions are to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The process.
    pub slot: usize,
    /// Whether and how its submissions form segments.
    pub gating: Gating,
    /// Predicted device time a segment may hold, microseconds.
    pub segment_us: u32,
    /// Predicted device time of its turns while they have places in a period, microseconds; 0 while they have none.
    pub turn_us: u32,
}

/// Device time that a process may submit without forming segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The process.
    pub slot: usize,
    /// In all since it attached, nanoseconds.
    pub allowed_ns: u64,
}

/// What a process does with its submissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gating {
    /// They pass.
    Untouched,
    /// They form segments.
    Segments,
    /// They form segments that run at the same time as others'; what they take is not measured.
    BesideOthers,
    /// They form segments that wait for their grant even if they have it: it may be taken back.
    WithinReach,
    /// The same, and they run at the same time as others'.
    OnTrial,
}

impl Gating {
    /// What stands for it in the process's slot.
    pub fn number(self) -> u32 {
        match self {
            Self::Untouched => 0,
            Self::Segments => GATED,
            Self::BesideOthers => GATED_BESIDE_OTHERS,
            Self::WithinReach => GATED_WITHIN_REACH,
            Self::OnTrial => GATED_ON_TRIAL,
        }
    }

    /// Whether submissions form segments.
    pub fn is_gated(self) -> bool {
        self != Self::Untouched
    }

    /// Whether what submissions take is measured.
    pub fn measures(self) -> bool {
        !matches!(self, Self::BesideOthers | Self::OnTrial)
    }
}
