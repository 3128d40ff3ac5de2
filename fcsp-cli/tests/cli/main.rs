//! The `fcsp` command as a whole: what it prints, what it changes, how it ends.

mod bench;
mod demo;
mod hooks;
mod live;
mod mps;
mod node;
mod offline;
mod sharing;
mod trace;
