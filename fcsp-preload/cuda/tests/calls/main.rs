//! Random driver calls, right and wrong: does the library answer as the driver does, refuse only what the quota
//! refuses, and charge exactly what is live?
//!
//! A round is a sequence of calls by a seed, from an empty device to an empty device. Every call goes to the driver
//! behind the library and to a second, bare one; [`model`] says what is charged. At the first difference the calls of
//! the round so far are printed, with what repeats them: `FCSP_CALLS_SEED` and `FCSP_CALLS_COUNT`, the number of
//! calls in all.

#[path = "../support/mod.rs"]
mod support;

mod arrays;
mod ask;
mod bytes;
mod captures;
mod capturing;
mod contexts;
mod graphs;
mod linear;
mod model;
mod pool_book;
mod pools;
mod rounds;
mod threads;
mod vmm;
mod work;
mod world;

use support::Stage;

/// Room for a few contexts and a few gigabytes, so that the quota is met often.
const QUOTA: (&str, &str) = ("BUD_MEMORY_LIMIT_DEV0", "6442450944");
/// Memory of a device: more than the programs here ask for, but for absurd sizes.
const MEMORY: (&str, &str) = ("FCSP_SIM_MEMORY_BYTES", "1125899906842624");

#[test]
fn random_calls_answer_as_the_bare_driver_does_and_leave_nothing_charged() {
    let set = [QUOTA, MEMORY, ("FCSP_SIM_DEVICES", "2")];
    Stage::run_self(here!(), &set, || rounds::run(200_000));
}

#[test]
fn so_do_random_calls_of_a_tenant_that_is_held_back() {
    let strict = [("BUD_SM_LIMIT", "90"), ("BUD_ISOLATION_MODE", "strict")];
    let set = [&[QUOTA, MEMORY, ("FCSP_SIM_DEVICES", "2")][..], &strict].concat();
    Stage::run_self(here!(), &set, || rounds::run(20_000));
}

#[test]
fn segments_that_close_during_a_capture_leave_the_graph_alone() {
    let strict = [("BUD_SM_LIMIT", "90"), ("BUD_ISOLATION_MODE", "strict")];
    Stage::run_self(here!(), &strict, captures::close_segments_meanwhile);
}

#[test]
fn a_capture_that_is_ended_in_vain_goes_on() {
    Stage::run_self(here!(), &[], captures::end_in_vain);
}

#[test]
fn what_eight_threads_allocate_at_once_is_charged_to_the_byte() {
    let set = [QUOTA, MEMORY, ("FCSP_SIM_DEVICES", "2")];
    Stage::run_self(here!(), &set, || threads::run(4_000));
}
