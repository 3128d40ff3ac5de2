//! The ways in: programs that know nothing of the library behave as without it.

use crate::support::{Node, WAYS, Way};

#[test]
fn programs_of_the_simulated_driver_pass_by_every_way_in() {
    let Some(node) = Node::new() else { return };
    for name in ["queues", "immediate", "memory", "ipc", "sysman"] {
        let program = node.build_simulators(name);
        for way in WAYS {
            println!("{name} {way:?}");
            node.passes(node.command(&program, way).env_remove("BUD_MEMORY_LIMIT"));
        }
    }
}

#[test]
fn a_loader_that_was_opened_finds_the_limited_device() {
    let Some(node) = Node::new() else { return };
    let program = node.build_simulators("opened");
    for way in WAYS {
        let said = node.passes(&mut node.command(&program, way));
        assert!(
            said.contains("devices 1") && said.contains("(simulated)"),
            "{said}"
        );
    }
}

#[test]
fn what_is_nobodys_business_is_the_drivers_own_function() {
    let Some(node) = Node::new() else { return };
    let [ours, driver] = Node::libraries();
    let mut command = node.command(&node.build("tables"), Way::Shim);
    let said = node.passes(command.args([&ours, &driver]));
    let mut numbers = said
        .split_whitespace()
        .map(|it| it.parse::<u32>().expect("a number"));
    let [all, replaced, lost, is_own] = [(); 4].map(|()| numbers.next().expect("four numbers"));
    println!("{replaced} of {all} functions are replaced");
    assert!(
        replaced > 20 && replaced < all / 2 + 10,
        "{replaced} of {all}"
    );
    assert_eq!((lost, is_own), (0, 1));
}

#[test]
fn without_a_driver_there_is_none() {
    let Some(node) = Node::new() else { return };
    let program = node.build_simulators("opened");
    for way in WAYS {
        let mut command = node.command(&program, way);
        command.env("FCSP_SIM_INTEL_DEVICES", "0");
        assert_eq!(node.passes(&mut command), "init 78000001\n", "{way:?}");
    }
    let mut command = node.command(&program, Way::Shim);
    command.env("FCSP_ZE_DRIVER", "libfcsp-no-such-driver.so.1");
    assert_eq!(node.passes(&mut command), "init 78000001\n");
}

/// The library stands before one driver. The devices of another are as without it, by whatever way calls come in, because
/// programs' calls are the loader's to distribute once it has a driver with tables of ours.
#[test]
fn of_two_drivers_the_one_behind_the_library_is_limited_wherever_it_stands() {
    for way in [Way::Shim, Way::Both] {
        for ours_first in [true, false] {
            let Some(node) = Node::new() else { return };
            let [ours, driver] = Node::libraries();
            // The same file would be opened once.
            let other = node.run_dir().join("libze_other_gpu.so.1");
            std::fs::copy(&driver, &other).expect("room for it");
            let mut list = [ours, other].map(|it| it.display().to_string());
            let mut wanted = ["refused", "passes"];
            if !ours_first {
                list.reverse();
                wanted.reverse();
            }
            let mut command = node.command(&node.build("drivers"), way);
            let said = node.passes(command.env("ZE_ENABLE_ALT_DRIVERS", list.join(",")));
            let said: Vec<&str> = said.lines().collect();
            assert_eq!(said, wanted, "{way:?}, ours first: {ours_first}");
        }
    }
}
