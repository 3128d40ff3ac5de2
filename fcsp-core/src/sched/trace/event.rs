//! What an event says, and how it fits into three words.

use serde::Serialize;

use super::ring::Entry;
use crate::backend::SharingMode;
use crate::sched::SegmentState;

/// Something that the arbiter met or decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, nanoseconds of `CLOCK_MONOTONIC`: of the step that it happened in.
    pub time_ns: u64,
    /// Index of the tenant's page; `None` if it concerns none.
    pub tenant: Option<usize>,
    /// Index of the process's slot; `None` if it concerns none.
    pub slot: Option<usize>,
    /// What happened.
    pub what: What,
}

/// What happened. Lengths are nanoseconds; those of segments, budgets and hand-overs end at 4.29 s, and
/// longer ones are told as that. Shares are millionths of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The process became the arbiter. Programs take turns until it says otherwise.
    Elected,
    /// The arbiter looked.
    Woke {
        /// Somebody rang; otherwise it was time.
        rung: bool,
        /// How much later than it had planned; `None` if it was rung.
        late_ns: Option<u64>,
    },
    /// A turn began.
    TurnBegan {
        /// How long it is to last, its hand-over included.
        budget_ns: u64,
        /// What the hand-over is expected to cost.
        handover_ns: u64,
        /// The turn before was another tenant's.
        handed_over: bool,
    },
    /// A turn ended.
    TurnEnded {
        /// How long it lasted.
        used_ns: u64,
    },
    /// Segments may run.
    Granted {
        /// First of them.
        from: u32,
        /// Last of them.
        to: u32,
        /// What those of them that exist are expected to take.
        expected_ns: u64,
        /// State of the first; `None` if it is yet to be opened.
        first: Option<SegmentState>,
        /// The first still fills and was kept back so far, so that it ends when its program is ready.
        just_in_time: bool,
    },
    /// A segment is over.
    Retired {
        /// Which.
        number: u32,
        /// What it was expected to take, its hand-over included.
        expected_ns: u64,
        /// Time since it could begin; `None` where nobody can tell: it ended with the one before it, or
        /// beside others.
        took_ns: Option<u64>,
        /// It ended now, not at some time since the last look.
        exact: bool,
        /// It was not over, and nobody waits for it any more.
        given_up: bool,
    },
    /// An open segment was ended by force.
    Expired {
        /// Which.
        number: u32,
        /// What it was expected to take.
        expected_ns: u64,
        /// Submissions in it.
        launches: u32,
    },
    /// Segments that were granted may not run any more.
    Revoked {
        /// Last one that still may.
        to: u32,
        /// Last one that could until now.
        from: u32,
        /// The turn goes on to the end of that one only: somebody goes first.
        cut_short: bool,
    },
    /// A process's submissions are treated in another way.
    Gate {
        /// They form segments.
        gated: bool,
        /// What they take is measured.
        measured: bool,
        /// Predicted device time a segment may hold, microseconds.
        segment_us: u32,
    },
    /// A tenant's part of the device changed.
    Share {
        /// Its part now.
        share_ppm: u32,
        /// Its part until now.
        share_ppm_before: u32,
        /// What it may not pass.
        ceiling_ppm: u32,
    },
    /// Rounds of turns have another length, since a tenant in adaptive mode is at work, or none any more.
    Round {
        /// Length of a round, hand-overs included, while somebody waits for results; 0 for the usual one.
        round_ns: u64,
        /// The same until now.
        round_ns_before: u64,
    },
    /// Programs share the device in another way.
    Sharing {
        /// How they run.
        how: How,
        /// Whether the device and its programs can run together now.
        concurrent: bool,
    },
}

/// How programs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// One after the other.
    #[default]
    Turns,
    /// Together, to see whether that is better.
    Trial,
    /// Together.
    Together,
}

// Bits of `what`: kind 0..8, tenant 8..16, slot 16..28, flags 28..32, number 32..64.
const NO_TENANT: u64 = 0xff;
const NO_SLOT: u64 = 0xfff;

const ELECTED: u64 = 1;
const WOKE: u64 = 2;
const TURN_BEGAN: u64 = 3;
const TURN_ENDED: u64 = 4;
const GRANTED: u64 = 5;
const RETIRED: u64 = 6;
const EXPIRED: u64 = 7;
const REVOKED: u64 = 8;
const GATE: u64 = 9;
const SHARE: u64 = 10;
const SHARING: u64 = 11;
const ROUND: u64 = 12;

impl Event {
    /// As it lies in the ring. Does not allocate.
    pub fn encode(&self) -> Entry {
        let (kind, flags, number, value) = self.what.parts();
        let index = |it: Option<usize>, none: u64| it.map_or(none, |it| it as u64 & none);
        Entry {
            time_ns: self.time_ns,
            what: kind
                | index(self.tenant, NO_TENANT) << 8
                | index(self.slot, NO_SLOT) << 16
                | flags << 28
                | u64::from(number) << 32,
            value,
        }
    }

    /// From the ring; `None` if it means nothing to this version.
    pub fn decode(entry: Entry) -> Option<Self> {
        let index = |at: u32, none: u64| Some(entry.what >> at & none).filter(|it| *it != none);
        Some(Self {
            time_ns: entry.time_ns,
            tenant: index(8, NO_TENANT).map(|it| it as usize),
            slot: index(16, NO_SLOT).map(|it| it as usize),
            what: What::from_parts(entry)?,
        })
    }
}

impl What {
    /// Kind, flags, number and value.
    fn parts(self) -> (u64, u64, u32, u64) {
        match self {
            Self::Elected => (ELECTED, 0, 0, 0),
            Self::Woke { rung, late_ns } => {
                let flags = bits([rung, late_ns.is_some()]);
                (WOKE, flags, 0, late_ns.unwrap_or(0))
            }
            Self::TurnBegan {
                budget_ns,
                handover_ns,
                handed_over,
            } => {
                let flags = bits([handed_over]);
                (TURN_BEGAN, flags, 0, pair(budget_ns, handover_ns))
            }
            Self::TurnEnded { used_ns } => (TURN_ENDED, 0, 0, used_ns),
            Self::Granted {
                from,
                to,
                expected_ns,
                first,
                just_in_time,
            } => {
                let state = first.map_or(0, |it| it as u64);
                let flags = state | u64::from(just_in_time) << 3;
                (GRANTED, flags, from, pair(expected_ns, to.into()))
            }
            Self::Retired {
                number,
                expected_ns,
                took_ns,
                exact,
                given_up,
            } => {
                let flags = bits([took_ns.is_some(), exact, given_up]);
                let value = pair(expected_ns, took_ns.unwrap_or(0));
                (RETIRED, flags, number, value)
            }
            Self::Expired {
                number,
                expected_ns,
                launches,
            } => (EXPIRED, 0, number, pair(expected_ns, launches.into())),
            Self::Revoked {
                to,
                from,
                cut_short,
            } => (REVOKED, bits([cut_short]), to, from.into()),
            Self::Gate {
                gated,
                measured,
                segment_us,
            } => (GATE, bits([gated, measured]), segment_us, 0),
            Self::Share {
                share_ppm,
                share_ppm_before,
                ceiling_ppm,
            } => {
                let value = pair(share_ppm.into(), ceiling_ppm.into());
                (SHARE, 0, share_ppm_before, value)
            }
            Self::Round {
                round_ns,
                round_ns_before,
            } => (ROUND, 0, 0, pair(round_ns, round_ns_before)),
            Self::Sharing { how, concurrent } => {
                let flags = how as u64 | u64::from(concurrent) << 3;
                (SHARING, flags, 0, 0)
            }
        }
    }

    fn from_parts(entry: Entry) -> Option<Self> {
        let flag = |at: u32| entry.what >> (28 + at) & 1 != 0;
        let number = (entry.what >> 32) as u32;
        let (first, second) = ((entry.value >> 32) as u32, entry.value as u32);
        Some(match entry.what & 0xff {
            ELECTED => Self::Elected,
            WOKE => Self::Woke {
                rung: flag(0),
                late_ns: flag(1).then_some(entry.value),
            },
            TURN_BEGAN => Self::TurnBegan {
                budget_ns: first.into(),
                handover_ns: second.into(),
                handed_over: flag(0),
            },
            TURN_ENDED => Self::TurnEnded {
                used_ns: entry.value,
            },
            GRANTED => {
                let state = SegmentState::from_number((entry.what >> 28) as u32 & 7);
                Self::Granted {
                    from: number,
                    to: second,
                    expected_ns: first.into(),
                    first: Some(state).filter(|it| *it != SegmentState::Unused),
                    just_in_time: flag(3),
                }
            }
            RETIRED => Self::Retired {
                number,
                expected_ns: first.into(),
                took_ns: flag(0).then_some(second.into()),
                exact: flag(1),
                given_up: flag(2),
            },
            EXPIRED => Self::Expired {
                number,
                expected_ns: first.into(),
                launches: second,
            },
            REVOKED => Self::Revoked {
                to: number,
                from: second,
                cut_short: flag(0),
            },
            GATE => Self::Gate {
                gated: flag(0),
                measured: flag(1),
                segment_us: number,
            },
            SHARE => Self::Share {
                share_ppm: first,
                share_ppm_before: number,
                ceiling_ppm: second,
            },
            ROUND => Self::Round {
                round_ns: first.into(),
                round_ns_before: second.into(),
            },
            SHARING => Self::Sharing {
                how: How::from_number(entry.what >> 28 & 7)?,
                concurrent: flag(3),
            },
            _ => return None,
        })
    }

    /// How a device is shared that could be shared so.
    pub(super) fn sharing(how: How, device: SharingMode) -> Self {
        Self::Sharing {
            how,
            concurrent: device == SharingMode::Concurrent,
        }
    }
}

impl How {
    /// The way with that number; `None` if there is none.
    pub fn from_number(number: u64) -> Option<Self> {
        [Self::Turns, Self::Trial, Self::Together]
            .into_iter()
            .find(|it| *it as u64 == number)
    }
}

fn bits<const COUNT: usize>(flags: [bool; COUNT]) -> u64 {
    let bit = |(at, flag): (usize, bool)| u64::from(flag) << at;
    flags.into_iter().enumerate().map(bit).sum()
}

/// Two numbers in one word, each cut to what fits.
fn pair(first: u64, second: u64) -> u64 {
    let most = u64::from(u32::MAX);
    first.min(most) << 32 | second.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::layout::{SLOTS_MAX, TENANTS_MAX};
    use proptest::prelude::*;

    fn what() -> impl Strategy<Value = What> {
        let ns = || any::<u32>().prop_map(u64::from);
        let state = prop_oneof![
            Just(None),
            (1..=5_u32).prop_map(|number| Some(SegmentState::from_number(number))),
        ];
        let how = prop_oneof![Just(How::Turns), Just(How::Trial), Just(How::Together)];
        prop_oneof![
            Just(What::Elected),
            (any::<bool>(), any::<Option<u64>>())
                .prop_map(|(rung, late_ns)| What::Woke { rung, late_ns }),
            (ns(), ns(), any::<bool>()).prop_map(|(budget_ns, handover_ns, handed_over)| {
                What::TurnBegan {
                    budget_ns,
                    handover_ns,
                    handed_over,
                }
            }),
            any::<u64>().prop_map(|used_ns| What::TurnEnded { used_ns }),
            (any::<[u32; 2]>(), ns(), state, any::<bool>()).prop_map(
                |([from, to], expected_ns, first, just_in_time)| What::Granted {
                    from,
                    to,
                    expected_ns,
                    first,
                    just_in_time,
                }
            ),
            (
                any::<u32>(),
                ns(),
                prop::option::of(ns()),
                any::<[bool; 2]>()
            )
                .prop_map(|(number, expected_ns, took_ns, [exact, given_up])| {
                    What::Retired {
                        number,
                        expected_ns,
                        took_ns,
                        exact,
                        given_up,
                    }
                }),
            (any::<[u32; 2]>(), ns()).prop_map(|([number, launches], expected_ns)| {
                What::Expired {
                    number,
                    expected_ns,
                    launches,
                }
            }),
            (any::<[u32; 2]>(), any::<bool>()).prop_map(|([to, from], cut_short)| {
                What::Revoked {
                    to,
                    from,
                    cut_short,
                }
            }),
            (any::<[bool; 2]>(), any::<u32>()).prop_map(|([gated, measured], segment_us)| {
                What::Gate {
                    gated,
                    measured,
                    segment_us,
                }
            }),
            any::<[u32; 3]>().prop_map(|[share_ppm, share_ppm_before, ceiling_ppm]| {
                What::Share {
                    share_ppm,
                    share_ppm_before,
                    ceiling_ppm,
                }
            }),
            (ns(), ns()).prop_map(|(round_ns, round_ns_before)| What::Round {
                round_ns,
                round_ns_before,
            }),
            (how, any::<bool>()).prop_map(|(how, concurrent)| What::Sharing { how, concurrent }),
        ]
    }

    proptest! {
        #[test]
        fn events_come_out_of_the_ring_as_they_went_in(
            time_ns: u64,
            tenant in prop::option::of(0..TENANTS_MAX),
            slot in prop::option::of(0..SLOTS_MAX),
            what in what(),
        ) {
            let event = Event { time_ns, tenant, slot, what };
            prop_assert_eq!(Event::decode(event.encode()), Some(event));
        }
    }

    #[test]
    fn what_is_too_long_is_told_as_the_longest() {
        let event = Event {
            time_ns: 1,
            tenant: None,
            slot: None,
            what: What::TurnBegan {
                budget_ns: u64::MAX,
                handover_ns: 7,
                handed_over: false,
            },
        };
        let told = Event::decode(event.encode()).expect("it means something");
        let expected = What::TurnBegan {
            budget_ns: u32::MAX.into(),
            handover_ns: 7,
            handed_over: false,
        };
        assert_eq!(told.what, expected);
    }

    #[test]
    fn what_another_version_wrote_means_nothing() {
        let entry = Entry {
            time_ns: 1,
            what: 0xfe,
            value: 0,
        };
        assert_eq!(Event::decode(entry), None);
    }
}
