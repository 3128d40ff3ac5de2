//! What FCSP does inside a program, whoever made its device: all of a preload library that knows no vendor.
//!
//! A preload library has a hook table, and handlers that turn a call's C arguments into what is asked here; what is asked of the driver in turn is [`driver`]'s. Everything is generic over that, and dispatched
//! statically. On the path of a call this stands between the handler and the core:
//!
//! | | |
//! |---|---|
//! | [`device`], [`context`], [`attach`], [`observe`], [`start`] | the devices this process has, attached to their regions, and our threads |
//! | [`memory`] | what is allocated and freed: charged to the tenant, by kind of memory |
//! | [`turn`], [`work`], [`transfer`] | what is submitted in its turn, and what it is expected to cost |
//! | [`waiting`], [`communication`], [`capture`] | what waits, what waits for others, and what is only recorded |
//! | [`kernels`], [`class`] | what is known of kernels by their names, and what their time counts as |
//! | [`queue`] | which stream is which for the gate ([`fcsp_gate`]) |
//! | [`info`] | what a program is told of the device |
//! | [`usage`], [`usage_rhythm`], [`activity`] | what the driver itself takes, and when it is looked at |
//! | `line` | what nearly every call looks at, in one line of the cache |
//! | [`policy_watch`], [`steps`] | the policy file; how long things took |
//!
//! It holds the state of one process for one vendor, in statics: each preload library has a copy of its own. Apart from
//! [`fcsp_preload`], because that is mechanism without the core, which a library over a toy vendor uses as well.

pub mod activity;
pub mod attach;
pub mod capture;
pub mod class;
pub mod communication;
pub mod context;
pub mod device;
pub mod driver;
pub mod info;
pub mod kernels;
mod line;
pub mod memory;
pub mod observe;
pub mod policy_watch;
pub mod queue;
pub mod start;
pub mod steps;
pub mod transfer;
pub mod turn;
pub mod usage;
pub mod usage_rhythm;
pub mod waiting;
pub mod work;
