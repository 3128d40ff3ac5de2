//! When the programs on a device run together, and when they take turns.

mod common;

use fcsp_core::backend::{DeviceInfo, SharingMode};
use fcsp_core::policy::{Limits, Policy, Sharing, live};
use fcsp_core::region::sharing::{self, Because};
use fcsp_core::region::{Attachment, Region};
use fcsp_core::sched::plan::View;
use fcsp_core::sched::view;
use std::path::Path;
use std::sync::Arc;

/// A process that can, or cannot, run beside others.
fn attach(dir: &Path, can: SharingMode) -> Attachment {
    let device = DeviceInfo {
        sharing: can,
        ..common::device("GPU-1")
    };
    let region = Arc::new(Region::create_or_open(dir, &device).expect("a region"));
    let write = |page: &_| Limits::default().store(page);
    Attachment::join(&region, "a", write).expect("joins")
}

fn in_force(process: &Attachment) -> (SharingMode, Because) {
    let layout = process.region().layout();
    let mut view = View::default();
    view::read(layout, &mut view, fcsp_core::sched::clock::now_ns());
    let found = sharing::in_force(layout);
    assert_eq!(view.sharing, found.0, "the arbiter sees the same");
    found
}

#[test]
fn programs_run_together_only_if_each_of_them_can() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let stranger = attach(dir.path(), SharingMode::Exclusive);
    assert_eq!(
        in_force(&stranger),
        (SharingMode::Exclusive, Because::NoneCan)
    );
    let client = attach(dir.path(), SharingMode::Concurrent);
    let because = Because::OneCannot(stranger.slot_index());
    assert_eq!(in_force(&client), (SharingMode::Exclusive, because));
    stranger.detach().expect("leaves");
    let together = (SharingMode::Concurrent, Because::AllCan);
    assert_eq!(in_force(&client), together, "nothing is to be put right");
    let second = attach(dir.path(), SharingMode::Concurrent);
    assert_eq!(in_force(&second), together);
    second.detach().expect("leaves");
    client.detach().expect("leaves");
    let late = attach(dir.path(), SharingMode::Exclusive);
    let alone = (SharingMode::Exclusive, Because::NoneCan);
    assert_eq!(in_force(&late), alone, "its slot was a client's before");
}

#[test]
fn the_policy_can_demand_turns_while_programs_run() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let client = attach(dir.path(), SharingMode::Concurrent);
    let put_in_force = |text: &str| {
        let policy = Policy::parse(Path::new("p.toml"), text).expect("valid");
        let regions = [Region::open(client.region().path()).expect("it is there")];
        live::put_in_force(&policy, &regions, &|_| Some(0), &|_| true).expect("nobody objects");
    };
    put_in_force("[device.\"0\"]\nsharing = \"exclusive\"\n");
    assert_eq!(in_force(&client), (SharingMode::Exclusive, Because::Policy));
    for word in ["concurrent", "auto"] {
        put_in_force(&format!("sharing = \"{word}\"\n"));
        assert_eq!(
            in_force(&client),
            (SharingMode::Concurrent, Because::AllCan)
        );
    }
    // A word cannot make a program do what it cannot.
    let _stranger = attach(dir.path(), SharingMode::Exclusive);
    sharing::want(client.region().layout(), Sharing::Concurrent);
    assert_eq!(in_force(&client).0, SharingMode::Exclusive);
}
