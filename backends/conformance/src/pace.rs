//! How fast a device counts, for kernels that count down: [`rounds_per_ns`].

use std::time::Duration;

/// Rounds of the first run; twice as many until a run is [`LONG`].
const ROUNDS_FIRST: u32 = 1 << 10;
/// More are not tried.
const ROUNDS_MAX: u32 = 1 << 30;
/// A run this long is long against the cost of launching and waiting.
const LONG: Duration = Duration::from_millis(10);
/// Runs of one length of which the fastest counts, while the length is looked for.
const TRIES: usize = 3;
/// Runs of the length that was found. The clocks of an idle device take some tens of milliseconds to rise.
const RUNS: usize = 10;

/// Rounds that a kernel does in a nanosecond. `time` runs it for so many rounds and tells how long that took, launch and
/// wait included.
///
/// Of several runs the fastest counts, in the search for a length too: whatever disturbs a run makes it longer, and then
/// too little would be asked for.
pub fn rounds_per_ns(mut time: impl FnMut(u32) -> Result<Duration, String>) -> Result<f64, String> {
    let mut fastest = |rounds, runs| {
        (0..runs).try_fold(Duration::MAX, |fastest, _| {
            Ok::<_, String>(fastest.min(time(rounds)?))
        })
    };
    let mut rounds = ROUNDS_FIRST;
    while rounds < ROUNDS_MAX && fastest(rounds, TRIES)? < LONG {
        rounds *= 2;
    }
    let took = fastest(rounds, RUNS)?;
    Ok(f64::from(rounds) / took.as_nanos().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A launch of 5 us, and one round in a nanosecond.
    fn undisturbed(rounds: u32) -> Duration {
        Duration::from_micros(5) + Duration::from_nanos(u64::from(rounds))
    }

    #[test]
    fn a_busy_machine_does_not_make_a_device_slow() {
        let mut run = 0;
        let rounds = rounds_per_ns(|rounds| {
            run += 1;
            let is_disturbed = run % 3 != 0;
            let late = Duration::from_millis(if is_disturbed { 50 } else { 0 });
            Ok(undisturbed(rounds) + late)
        });
        let rounds = rounds.expect("it always runs");
        assert!((0.99..=1.0).contains(&rounds), "{rounds}");
    }

    #[test]
    fn what_the_driver_refuses_is_told() {
        let told = rounds_per_ns(|_| Err("refused".to_owned()));
        assert_eq!(told, Err("refused".to_owned()));
    }
}
