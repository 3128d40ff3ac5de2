//! Kinds of work, by what it is for: what operators see a tenant's device time divided into, and what a policy
//! can weight.
//!
//! The vendor's side tells the class of a submission, as a rule by the kernel's name (`fcsp-preload/program/src/class.rs`).
//! What communicates with other devices is none of these: it is not gated, and so nobody tells what it takes.

use std::fmt;

/// Places for classes in the region; a power of two, so that none is out of bounds.
pub const CLASSES: usize = 8;

/// Weight of a class that counts as it is, thousandths.
pub const EVEN_MILLI: u32 = 1_000;

/// Why the device is kept busy.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Anything else.
    #[default]
    Other = 0,
    /// Attention of a transformer.
    Attention = 1,
    /// Matrix products, which is what feed-forward layers and projections are.
    FeedForward = 2,
    /// Moves or fills memory.
    Copy = 3,
    /// A graph, recorded once and launched as one; nobody looks at what is in it.
    Graph = 4,
}

impl Class {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Other,
        Self::Attention,
        Self::FeedForward,
        Self::Copy,
        Self::Graph,
    ];

    /// The class with that number; an unknown number is none of the known ones.
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Attention,
            2 => Self::FeedForward,
            3 => Self::Copy,
            4 => Self::Graph,
            _ => Self::Other,
        }
    }

    /// The number that stands for it in the region.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The word for it in files and tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Attention => "attention",
            Self::FeedForward => "feed-forward",
            Self::Copy => "copy",
            Self::Graph => "graph",
        }
    }

    /// Its place among [`CLASSES`].
    #[inline]
    pub const fn place(self) -> usize {
        self as usize % CLASSES
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_numbers_and_places_of_their_own() {
        for (number, class) in (0..).zip(Class::ALL) {
            assert_eq!(class.number(), number);
            assert_eq!(Class::from_number(number), class);
            assert_eq!(class.place(), number as usize);
        }
        assert_eq!(Class::from_number(99), Class::Other);
    }
}
