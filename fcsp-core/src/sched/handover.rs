//! What it costs to hand the device over to a process: learnt towards the median, since what a late look or a stopped program
//! adds once in a while says nothing.

use super::clock::us;

/// The first measurement counts as no more than that.
const FIRST_NS_MAX: u64 = us(200);
/// How far one measurement moves it: an eighth of it, or that if it is more.
const STEP_NS: u64 = us(5);

/// What is known after a measurement of `seen_ns`; `known_ns` is 0 before the first, and never after it.
pub fn learn(known_ns: u64, seen_ns: u64) -> u64 {
    let step_ns = (known_ns / 8).max(STEP_NS);
    let learnt_ns = match known_ns {
        0 => seen_ns.min(FIRST_NS_MAX),
        _ if seen_ns > known_ns => known_ns + (seen_ns - known_ns).min(step_ns),
        _ => known_ns - (known_ns - seen_ns).min(step_ns),
    };
    learnt_ns.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_look_now_and_then_says_nothing() {
        let mut known_ns = 0;
        for at in 0..100 {
            let seen_ns = if at % 10 == 0 { us(5_000) } else { us(150) };
            known_ns = learn(known_ns, seen_ns);
        }
        assert!((us(140)..=us(175)).contains(&known_ns), "{known_ns} ns");
    }

    #[test]
    fn what_is_known_is_never_nothing() {
        assert_eq!(learn(0, 0), 1);
        assert_eq!(learn(us(3), 0), 1);
    }
}
