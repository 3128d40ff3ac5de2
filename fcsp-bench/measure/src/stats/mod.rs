//! Statistics of a measurement: order statistics, rates over windows, fairness.
//!
//! Pure functions over numbers; nothing here reads a clock or knows what a tenant is.

mod fairness;
mod interval;
mod quantile;
mod rank;
mod windows;

pub use fairness::{cv, jain_weighted, mean, share_error_points};
pub use interval::{MedianInterval, log_mean_interval, median_interval};
pub use quantile::{Quantiles, median, median_error, quantile_sorted};
pub use rank::{RANK_TEST_MIN, adjusted, rank_test};
pub use windows::{Cumulative, shares_per_window};
