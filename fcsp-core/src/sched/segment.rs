//! What both sides of the gate must agree on about a segment: its states and its numbering.

/// Life of a segment. The process moves `Open → Closed` (or `Watched`, or `Unmarked`), the arbiter `Open → Expired`, each by
/// compare-and-swap, so that exactly one of them ends it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// Nothing is known of it.
    Unused = 0,
    /// Submissions may still join.
    Open = 1,
    /// Complete: every queue it used will write its number when done.
    Closed = 2,
    /// Complete, but the device will not say when it is done, nor can anybody see: judged by its
    /// predicted end.
    Unmarked = 4,
    /// Complete; threads of the process write its number when they see that it is done. They may be
    /// too busy to look: then it is judged by its predicted end, some time later.
    Watched = 5,
    /// Ended by the arbiter; what is submitted next belongs to a new segment.
    Expired = 3,
}

impl SegmentState {
    /// The state with that number; an unknown number is nothing known.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Open,
            2 => Self::Closed,
            3 => Self::Expired,
            4 => Self::Unmarked,
            5 => Self::Watched,
            _ => Self::Unused,
        }
    }
}

/// True if segment number `a` is `b` or later. Numbers wrap. A queue that waits comes to the same end, or a thread
/// waits in its place: [`StreamGate::wait`](crate::backend::StreamGate::wait).
#[inline]
pub const fn reached(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_the_wrap() {
        assert!(reached(5, 5) && reached(6, 5) && !reached(4, 5));
        assert!(reached(2, u32::MAX - 1) && !reached(u32::MAX - 1, 2));
    }
}
