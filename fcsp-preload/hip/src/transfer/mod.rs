//! Handlers of copies and fills: how many bytes go from where to where. What becomes of them:
//! [`fcsp_program::transfer`].
//!
//! The kind that a copy is called with is not believed: what an address is, the driver knows better, and is asked only
//! while the program is gated.

pub mod batch;
pub mod copy;
pub mod fill;
