//! What the arbiter sees and what it decides, as plain data.

use super::SegmentState;
use super::segment::reached;
use super::shares::Promise;
use crate::policy::Mode;

/// The device's programs at one instant, read from the region by [`super::view`].
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Live tenants.
    pub tenants: Vec<TenantView>,
    /// Live processes.
    pub processes: Vec<ProcessView>,
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
#[derive(Clone, Debug)]
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
    /// Segments it had to close because a thread was about to wait, so far.
    pub synced: u32,
    /// Times a thread of it had to wait for room, so far.
    pub blocked: u32,
    /// Threads of it sleep, and look meanwhile whether the device is done.
    pub looks: bool,
    /// What a hand-over costs it, as it measured.
    pub handover_ns: u64,
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
    /// Whether its submissions form segments.
    pub gated: bool,
    /// Predicted device time a segment may hold, microseconds.
    pub segment_us: u32,
}

impl View {
    pub(super) fn process(&self, slot: usize) -> Option<&ProcessView> {
        self.processes.iter().find(|p| p.slot == slot)
    }

    pub(super) fn mode(&self, tenant: usize) -> Mode {
        self.tenants
            .iter()
            .find(|t| t.index == tenant)
            .map_or(Mode::Balanced, |t| t.promise.mode)
    }
}

impl ProcessView {
    /// True while it has segments that are not retired.
    pub fn has_work(&self) -> bool {
        self.opened != self.retired && self.segments.iter().any(|s| s.launches > 0)
    }

    /// True while it has work that was not granted.
    pub(super) fn waits(&self) -> bool {
        self.segments
            .iter()
            .any(|s| s.launches > 0 && !reached(self.granted, s.number))
    }

    pub(super) fn granted_segments(&self) -> impl Iterator<Item = &SegmentView> {
        self.segments
            .iter()
            .filter(|s| reached(self.granted, s.number))
    }
}

impl SegmentView {
    pub(super) fn finished(&self) -> bool {
        self.state == SegmentState::Expired || self.done
    }
}

impl Plan {
    /// Newest segment of the process that is retired once the plan is carried out.
    pub(super) fn retired(&self, process: &ProcessView) -> u32 {
        self.retire
            .iter()
            .filter(|r| r.segment.slot == process.slot)
            .map(|r| r.segment.number)
            .fold(
                process.retired,
                |newest, n| if reached(n, newest) { n } else { newest },
            )
    }

    /// Newest segment of the process that is granted once the plan is carried out.
    pub(super) fn granted(&self, process: &ProcessView) -> u32 {
        self.grant
            .iter()
            .filter(|g| g.slot == process.slot)
            .map(|g| g.to)
            .fold(
                process.granted,
                |newest, n| if reached(n, newest) { n } else { newest },
            )
    }
}
