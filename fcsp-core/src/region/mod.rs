//! The shared-memory file through which the programs on one device agree.
pub mod layout;
