//! Two processes of `bench.py` that meet nobody but each other, and the turns that several such groups take.

use anyhow::Result;
use fcsp_hw_tests::interrupt;
use std::path::Path;
use std::time::Instant;

use super::rounds::{Round, Step, order};
use crate::bench::Bench;
use crate::child::Child;
use crate::processors;
use crate::suites::python::{self, Pace, WITHIN};
use crate::tenant::{Sharing, Tenant};
use crate::traces::Trace;

/// What they run; also the names of their tenants.
pub const WORKLOADS: [&str; 2] = ["decode", "train"];
/// Processors of each workload. It needs one, its process has some threads more, and FCSP's are among them.
const PROCESSORS: usize = 4;

/// Of one turn, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Not measured, before: what was different until now finds its new pace.
    pub lead_s: f64,
    /// Measured.
    pub seconds: f64,
    /// Not measured, after: nobody is alone before the other's last measured step is over.
    pub tail_s: f64,
}

impl Turn {
    /// For `bench.py`.
    fn command(self) -> String {
        format!("turn {} {} {}", self.seconds, self.lead_s, self.tail_s)
    }
}

/// A turn alone: processors and clocks wake up in its lead.
const ALONE: Turn = Turn {
    lead_s: 0.1,
    seconds: 0.3,
    tail_s: 0.0,
};

/// The modes of a group under FCSP.
pub const LIMITED: &str = "balanced";
const UNLIMITED: &str = "none";

/// What puts both tenants of a group into a mode.
type SetMode<'a> = Box<dyn FnMut(&str) -> Result<()> + 'a>;
/// Records what the scheduler decides in so many seconds from now on, if that is asked for.
type Record<'a> = Box<dyn Fn(f64) -> Option<Trace> + 'a>;
/// What is done while both take a turn; it gets the number of the round.
type Meanwhile<'a> = Box<dyn FnMut(usize) + 'a>;

/// Two processes, one of each workload.
pub struct Group<'a> {
    children: [Child; 2],
    both: Option<Turn>,
    set_mode: Option<SetMode<'a>>,
    mode: &'static str,
    record: Option<Record<'a>>,
    meanwhile: Option<Meanwhile<'a>>,
}

impl<'a> Group<'a> {
    /// A process of each workload that meet in `run_dir`, native but for what `dress` makes of them. They are not
    /// waited for. Those of one workload stay on the same processors in every group, since one of them runs at a time.
    pub fn start(
        bench: &Bench,
        scripts: &Path,
        run_dir: &Path,
        dress: impl Fn(Tenant) -> Tenant,
    ) -> Result<Self> {
        let processors = processors::apart::<2>(PROCESSORS);
        let start = |side: usize| {
            let pinned = processors.as_ref().map(|it| ["--cpus", it[side].as_str()]);
            let arguments = pinned.as_ref().map_or(&[][..], |it| &it[..]);
            let command = python::command(bench, scripts, "bench.py", arguments);
            let native = Tenant::new(WORKLOADS[side], Sharing::Native, command);
            python::spawn(bench, &dress(native), run_dir)
        };
        Ok(Self::of([start(0)?, start(1)?]))
    }

    fn of(children: [Child; 2]) -> Self {
        Self {
            children,
            both: None,
            set_mode: None,
            mode: LIMITED,
            record: None,
            meanwhile: None,
        }
    }

    /// The group runs both at once as well, for that long.
    pub fn meeting(self, turn: Turn) -> Self {
        Self {
            both: Some(turn),
            ..self
        }
    }

    /// Nothing is limited while one of them is alone: `set_mode` puts the tenants into a mode.
    pub fn unlimited_alone(self, set_mode: impl FnMut(&str) -> Result<()> + 'a) -> Self {
        Self {
            set_mode: Some(Box::new(set_mode)),
            ..self
        }
    }

    /// What the scheduler decides for the programs of `run_dir` is recorded in each turn of both, if traces are made.
    pub fn traced(self, bench: &'a Bench, run_dir: &'a Path) -> Self {
        let site = &bench.site;
        let record = |seconds| site.traces.record(site, run_dir, &WORKLOADS, Some(seconds));
        Self {
            record: Some(Box::new(record)),
            ..self
        }
    }

    /// `meanwhile` is called as soon as both have begun a turn, and is to be back before that ends.
    pub fn watched_by(self, meanwhile: impl FnMut(usize) + 'a) -> Self {
        Self {
            meanwhile: Some(Box::new(meanwhile)),
            ..self
        }
    }

    /// Waits until both are ready.
    pub fn prepare(&mut self) -> Result<()> {
        for (child, workload) in self.children.iter_mut().zip(WORKLOADS) {
            child.ask(&format!("prepare {workload}"), Instant::now() + WITHIN)?;
        }
        Ok(())
    }

    /// Waits until both have ended.
    pub fn finish(self) -> Result<()> {
        for child in self.children {
            child.finish(Instant::now() + WITHIN)?;
        }
        Ok(())
    }

    fn alone(&mut self, side: usize) -> Result<Pace> {
        self.put_into(UNLIMITED)?;
        let turn = ALONE.command();
        python::pace(&self.children[side].ask(&turn, Instant::now() + WITHIN)?)
    }

    fn both(&mut self, round: usize, turn: Turn) -> Result<[Pace; 2]> {
        self.put_into(LIMITED)?;
        let seconds = turn.lead_s + turn.seconds + turn.tail_s;
        let turn = turn.command();
        for child in &mut self.children {
            child.say(&turn)?;
        }
        // Until both have answered.
        let _trace = self.record.as_ref().and_then(|record| record(seconds));
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile(round);
        }
        let [a, b] = &mut self.children;
        let first = python::pace(&a.answer(&turn, Instant::now() + WITHIN)?)?;
        let second = python::pace(&b.answer(&turn, Instant::now() + WITHIN)?)?;
        Ok([first, second])
    }

    fn put_into(&mut self, mode: &'static str) -> Result<()> {
        if let Some(set_mode) = &mut self.set_mode
            && self.mode != mode
        {
            set_mode(mode)?;
            self.mode = mode;
        }
        Ok(())
    }
}

/// Lets the groups take turns for some rounds; the rounds of each group.
pub fn play<const N: usize>(groups: &mut [Group; N], rounds: usize) -> Result<[Vec<Round>; N]> {
    let meets: Vec<bool> = groups.iter().map(|it| it.both.is_some()).collect();
    let mut played = [(); N].map(|()| Vec::new());
    for round in 0..rounds {
        // Rounds count two by two.
        if round % 2 == 0 && round > 0 && interrupt::came() {
            break;
        }
        let mut alone = [(); N].map(|()| [None, None]);
        let mut both = [(); N].map(|()| None);
        for step in order(round, &meets) {
            match step {
                Step::Alone { side, group } => {
                    alone[group][side] = Some(groups[group].alone(side)?)
                }
                Step::Both { group } => {
                    let turn = groups[group].both;
                    both[group] = turn
                        .map(|turn| groups[group].both(round, turn))
                        .transpose()?;
                }
            }
        }
        for ((played, alone), both) in played.iter_mut().zip(alone).zip(both) {
            if let [Some(first), Some(second)] = alone {
                played.push(Round {
                    alone: [first, second],
                    both,
                });
            }
        }
    }
    Ok(played)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::process::Command;

    /// Answers as `bench.py` does, with the seconds it is to measure as its pace and the lead as its p99.
    const ANSWERS: &str = r#"while read command a b c; do case $command in
        prepare) name=$a; echo "{\"ready\": \"$a\"}";;
        turn) echo "{\"workload\": \"$name\", \"iterations_per_s\": $a, \"p50_ms\": $c, \"p99_ms\": $b}";;
    esac; done"#;

    fn answering(dir: &Path, name: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", ANSWERS]);
        Child::spawn(name, command, &dir.join(name)).expect("a shell is there")
    }

    #[test]
    fn groups_take_turns_and_are_limited_only_while_both_run() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let told = RefCell::new(Vec::new());
        let group = |name: &str| {
            Group::of(["a", "b"].map(|side| answering(dir.path(), &format!("{name}-{side}"))))
        };
        let turn = Turn {
            lead_s: 0.3,
            seconds: 0.5,
            tail_s: 0.125,
        };
        let mut groups = [
            group("native"),
            group("fcsp")
                .meeting(turn)
                .unlimited_alone(|mode| {
                    told.borrow_mut().push(mode.to_owned());
                    Ok(())
                })
                .watched_by(|round| told.borrow_mut().push(format!("both {round}"))),
        ];
        for group in &mut groups {
            group.prepare().expect("it answers");
        }
        let [native, fcsp] = play(&mut groups, 3).expect("they answer");
        for group in groups {
            group.finish().expect("it ends with its input");
        }
        let modes = [
            "none", "balanced", "both 0", "both 1", "none", "balanced", "both 2",
        ];
        assert_eq!(*told.borrow(), modes);
        assert_eq!([native.len(), fcsp.len()], [3, 3]);
        assert!(native.iter().all(|it| it.both.is_none()));
        assert_eq!(native[0].alone[1].workload, "train");
        assert_eq!(native[0].alone[1].iterations_per_s, ALONE.seconds);
        let both = fcsp[2].both.as_ref().expect("they met");
        assert_eq!(
            [both[0].iterations_per_s, both[1].p99_ms, both[0].p50_ms],
            [0.5, 0.3, 0.125]
        );
    }

    #[test]
    fn a_mode_that_cannot_be_set_ends_the_rounds() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let group = Group::of(["a", "b"].map(|side| answering(dir.path(), side)));
        let mut groups = [group.unlimited_alone(|_| anyhow::bail!("nobody is there"))];
        assert!(play(&mut groups, 1).is_err());
    }
}
