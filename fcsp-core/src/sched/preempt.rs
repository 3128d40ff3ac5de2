//! What a program does itself, before the arbiter is awake, if it goes first: by its priority, or because the
//! other had the device to itself.
//!
//! A sleeping arbiter takes 34 µs to come in the middle, 169 at p99 and 268 at most (1,233 requests in a
//! virtual machine with an H200, docs/results/h200-2026-11-26-later). Meanwhile the holder's next segment may
//! begin, which costs the program in a hurry all of that segment. So it takes back by itself what the arbiter
//! is about to: the holder's grants behind the segment that runs. All else is the arbiter's. One that was awake
//! and granted more in the same instant wins, since it saw more.

use super::clock::ms;
use super::handshake::read_segment;
use super::producer::AHEAD;
use super::segment::reached;
use super::trace;
use crate::policy::Priority;
use crate::region::layout::{GATED_WITHIN_REACH, RegionLayout, SEGMENTS, Tenant};
use crate::region::scan::tenant_of;
use crate::sync::Ordering;

/// A tenant that had more than others by at most so much virtual time may still go first: the shortest round
/// of turns. Beyond that the arbiter would only grant again what was taken back.
const CREDIT_NS: u64 = ms(10);

/// Takes back what the process that has the device was granted behind the segment that runs, if the process
/// in slot `me` goes before it. Does not block; some hundred nanoseconds.
pub fn cut_short(region: &RegionLayout, me: usize) {
    let mine = tenant(region, me);
    // Relaxed: a hint, as all that follows is.
    let holder = region.header.arbiter.holder.load(Ordering::Relaxed) as usize;
    let Some(holder) = holder
        .checked_sub(1)
        .filter(|slot| *slot < region.slots.len())
    else {
        return;
    };
    let theirs = tenant(region, holder);
    let vtime_ns = |tenant: &Tenant| tenant.compute.vtime_ns.load(Ordering::Relaxed);
    let is_guarded = || {
        let gated = region.slots[holder].slot.gate.gated.load(Ordering::Relaxed);
        gated == GATED_WITHIN_REACH
    };
    let is_before = priority(mine) == Priority::High && priority(theirs) != Priority::High;
    let goes_first = !core::ptr::eq(mine, theirs)
        && (is_before || is_guarded())
        && vtime_ns(mine) <= vtime_ns(theirs).saturating_add(CREDIT_NS);
    if !goes_first {
        return;
    }
    let pages = &region.slots[holder];
    let grant = &pages.page.grant;
    let granted = grant.load(Ordering::Relaxed);
    // Acquire pairs with the producer's Release: the segments up to `opened` can be read.
    let opened = pages.slot.queue.opened.load(Ordering::Acquire);
    let retired = pages.slot.compute.retired.load(Ordering::Relaxed);
    let newest = if reached(granted, opened) {
        opened
    } else {
        granted
    };
    let pending = newest.wrapping_sub(retired).min(AHEAD);
    let running = (1..=pending)
        .map(|i| retired.wrapping_add(i))
        .find(|number| {
            let segment = &pages.page.segments[*number as usize % SEGMENTS];
            !read_segment(segment, &pages.page.done, *number).finished()
        });
    let running = running.unwrap_or(newest);
    if !reached(running, granted) {
        // Release: as when the arbiter takes something back. If the word is another by now, the arbiter is
        // awake.
        let taken = grant.compare_exchange(granted, running, Ordering::Release, Ordering::Relaxed);
        if taken.is_ok() {
            trace::taken_back(region, holder, granted, running);
        }
    }
}

fn tenant(region: &RegionLayout, slot: usize) -> &Tenant {
    &region.tenants[tenant_of(&region.slots[slot].slot).0 as usize]
}

fn priority(tenant: &Tenant) -> Priority {
    Priority::from_number(tenant.priority.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::handshake::{end_segment, open_segment};
    use crate::sched::segment::SegmentState;

    const HOLDER: usize = 3;
    const ME: usize = 5;

    /// A holder with segments 1 to 8, of which 1 is retired, 2 is done and 3 runs, granted up to 8, and a
    /// process of high priority.
    fn region() -> &'static RegionLayout {
        let region = {
            // SAFETY: a zeroed region is a valid empty one.
            let region: &'static RegionLayout =
                unsafe { Box::leak(Box::new_zeroed().assume_init()) };
            region
        };
        let holder = &region.slots[HOLDER];
        for number in 1..=8 {
            let segment = &holder.page.segments[number as usize];
            open_segment(segment, &holder.slot.queue.opened, number, 1);
            segment.lanes.store(1, Ordering::Relaxed);
            end_segment(segment, SegmentState::Closed);
        }
        holder.slot.compute.retired.store(1, Ordering::Relaxed);
        holder.page.done[0].store(2, Ordering::Relaxed);
        holder.page.grant.store(8, Ordering::Relaxed);
        holder.slot.tenant.store(1, Ordering::Relaxed);
        region.slots[ME].slot.tenant.store(2, Ordering::Relaxed);
        let high = Priority::High.number();
        region.tenants[2].priority.store(high, Ordering::Relaxed);
        let words = &region.header.arbiter;
        words.holder.store(HOLDER as u32 + 1, Ordering::Relaxed);
        region
    }

    fn granted(region: &RegionLayout) -> u32 {
        region.slots[HOLDER].page.grant.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_granted_behind_the_running_segment_is_taken_back() {
        let region = region();
        cut_short(region, ME);
        assert_eq!(granted(region), 3);
        cut_short(region, ME);
        assert_eq!(granted(region), 3);
    }

    #[test]
    fn what_is_taken_back_is_told_to_who_traces() {
        let region = region();
        let ring = trace::ring(region);
        ring.keep_on(u64::MAX);
        let mut reader = trace::ring::Reader::new(ring);
        cut_short(region, ME);
        let told = reader.next(ring, 0).and_then(trace::Event::decode);
        let told = told.map(|it| (it.tenant, it.slot, it.what));
        let what = trace::What::Revoked {
            to: 3,
            from: 8,
            cut_short: true,
        };
        assert_eq!(told, Some((Some(1), Some(HOLDER), what)));
        cut_short(region, ME);
        assert_eq!(reader.next(ring, 0), None, "nothing was left to take");
    }

    #[test]
    fn nothing_is_taken_from_one_that_goes_as_soon() {
        type Change = fn(&RegionLayout);
        let changes: [Change; 5] = [
            |it| {
                it.tenants[2]
                    .priority
                    .store(Priority::Normal.number(), Ordering::Relaxed)
            },
            |it| {
                it.tenants[1]
                    .priority
                    .store(Priority::High.number(), Ordering::Relaxed)
            },
            |it| it.slots[HOLDER].slot.tenant.store(2, Ordering::Relaxed),
            |it| {
                it.tenants[2]
                    .compute
                    .vtime_ns
                    .store(CREDIT_NS + 1, Ordering::Relaxed)
            },
            |it| it.header.arbiter.holder.store(0, Ordering::Relaxed),
        ];
        for change in changes {
            let region = region();
            change(region);
            cut_short(region, ME);
            assert_eq!(granted(region), 8);
        }
    }

    #[test]
    fn what_is_granted_before_it_is_opened_is_taken_back() {
        let region = region();
        let holder = &region.slots[HOLDER];
        holder.page.grant.store(20, Ordering::Relaxed);
        cut_short(region, ME);
        assert_eq!(granted(region), 3);
        holder.page.grant.store(20, Ordering::Relaxed);
        holder.page.done[0].store(8, Ordering::Relaxed);
        cut_short(region, ME);
        assert_eq!(granted(region), 8);
    }

    #[test]
    fn the_last_segment_granted_runs_on() {
        let region = region();
        region.slots[HOLDER].page.done[0].store(7, Ordering::Relaxed);
        cut_short(region, ME);
        assert_eq!(granted(region), 8);
    }
}
