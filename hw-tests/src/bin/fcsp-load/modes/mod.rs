//! The kinds of program this load program can be, one a file.

pub mod alloc_race;
pub mod calibrate;
pub mod copy;
pub mod decode;
pub mod grow;
pub mod hog;
pub mod idle;
pub mod overhead;
pub mod pingpong;
pub mod resume;
pub mod saturate;
pub mod watch;
