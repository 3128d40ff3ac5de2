//! What follows from a view, and from a plan as far as it is made.

use crate::policy::Mode;
use crate::sched::class::{CLASSES, EVEN_MILLI};
use crate::sched::plan::{Plan, ProcessView, SegmentView, TenantView, View};
use crate::sched::segment::{SegmentState, reached};

impl View {
    /// What a nanosecond of the class at that place counts, thousandths.
    pub(in crate::sched) fn weight_milli(&self, place: usize) -> u32 {
        match self.class_weights_milli[place] {
            0 => EVEN_MILLI,
            weight => weight,
        }
    }

    /// Whether a class counts more or less than others.
    pub(in crate::sched) fn weights_classes(&self) -> bool {
        (0..CLASSES).any(|place| self.weight_milli(place) != EVEN_MILLI)
    }

    /// The process in that slot.
    pub fn process(&self, slot: usize) -> Option<&ProcessView> {
        // All slots are usually in use from the first on.
        let at_place = self.processes.get(slot).filter(|it| it.slot == slot);
        at_place.or_else(|| self.processes.iter().find(|it| it.slot == slot))
    }

    /// The tenant whose page has that index.
    pub(in crate::sched) fn tenant(&self, index: usize) -> Option<&TenantView> {
        let at_place = self.tenants.get(index).filter(|it| it.index == index);
        at_place.or_else(|| self.tenants.iter().find(|it| it.index == index))
    }

    pub(in crate::sched) fn mode(&self, tenant: usize) -> Mode {
        self.tenant(tenant)
            .map_or(Mode::Balanced, |it| it.promise.mode)
    }
}

impl ProcessView {
    /// True while it has segments that are not retired.
    pub fn has_work(&self) -> bool {
        self.opened != self.retired && self.segments.iter().any(|s| s.launches > 0)
    }

    /// True while it has work that was not granted.
    pub(in crate::sched) fn waits(&self) -> bool {
        self.segments
            .iter()
            .any(|s| s.launches > 0 && !reached(self.granted, s.number))
    }

    /// That segment, unless it is retired or was never opened.
    pub(in crate::sched) fn segment(&self, number: u32) -> Option<&SegmentView> {
        self.segments.iter().find(|it| it.number == number)
    }

    pub(in crate::sched) fn granted_segments(&self) -> impl Iterator<Item = &SegmentView> {
        self.segments
            .iter()
            .filter(|s| reached(self.granted, s.number))
    }
}

impl SegmentView {
    pub(in crate::sched) fn finished(&self) -> bool {
        self.state == SegmentState::Expired || self.done
    }
}

impl Plan {
    /// Newest segment of the process that is retired once the plan is carried out.
    pub(in crate::sched) fn retired(&self, process: &ProcessView) -> u32 {
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
    pub(in crate::sched) fn granted(&self, process: &ProcessView) -> u32 {
        let revoked = self.revoke.iter().rfind(|it| it.slot == process.slot);
        let granted = revoked.map_or(process.granted, |it| it.number);
        let grants = self.grant.iter().filter(|it| it.slot == process.slot);
        grants.map(|it| it.to).fold(
            granted,
            |newest, n| {
                if reached(n, newest) { n } else { newest }
            },
        )
    }
}
