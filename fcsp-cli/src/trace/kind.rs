//! Kinds of events that can be asked for.

use fcsp_core::sched::trace::What;

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Everything
    All,
    /// Each time the arbiter looks: thousands a second
    Wakes,
    /// Another process becomes the arbiter
    Arbiter,
    /// Turns that begin and end
    Turns,
    /// Segments that may run, or may not any more
    Grants,
    /// Segments that are over, or were ended by force
    Retirements,
    /// How submissions are treated: gated or not, and how long segments are
    Gates,
    /// Shares and ceilings that change
    Shares,
    /// Rounds that become longer or shorter for tenants in adaptive mode
    Rounds,
    /// Programs begin or cease to run together
    Sharing,
}

impl Kind {
    /// The kind of an event; never [`Kind::All`].
    pub fn of(what: &What) -> Self {
        match what {
            What::Elected => Self::Arbiter,
            What::Woke { .. } => Self::Wakes,
            What::TurnBegan { .. } | What::TurnEnded { .. } => Self::Turns,
            What::Granted { .. } | What::Revoked { .. } => Self::Grants,
            What::Retired { .. } | What::Expired { .. } => Self::Retirements,
            What::Gate { .. } => Self::Gates,
            What::Share { .. } => Self::Shares,
            What::Round { .. } => Self::Rounds,
            What::Sharing { .. } => Self::Sharing,
        }
    }

    /// Whether an event is among those asked for: if nothing was asked for, among all that is decided.
    pub fn is_among(asked: &[Self], what: &What) -> bool {
        let kind = Self::of(what);
        match asked {
            [] => kind != Self::Wakes,
            asked => asked.contains(&kind) || asked.contains(&Self::All),
        }
    }
}
