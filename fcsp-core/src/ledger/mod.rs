//! Memory accounting: exact, without locks, and indifferent to where its users are killed.

pub mod word;

pub use word::UsedWord;
