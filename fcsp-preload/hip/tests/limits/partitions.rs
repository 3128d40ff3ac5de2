//! The partitions of a device have one address on the bus, and limits of their own.

use crate::support::{Library, run_managed};
use fcsp_core::region::list;
use std::path::Path;
use std::ptr::null_mut;

const HALVES: (&str, &str) = ("FCSP_SIM_AMD_PARTITION", "DPX/NPS1");
const TWO: (&str, &str) = ("FCSP_SIM_AMD_DEVICES", "2");
const MEBIBYTE: usize = 1 << 20;

/// The devices that there are regions of, by their partitions.
fn partitions() -> Vec<String> {
    let directory = std::env::var_os("FCSP_RUN_DIR").expect("set");
    let regions = list(Path::new(&directory)).expect("readable").into_iter();
    let id = |region: fcsp_core::region::Region| region.layout().header.device_id.read();
    let ids = regions.filter_map(|(_, region)| region.ok()).map(id);
    let partition = |id: String| id.split_once(".0").expect("an address").1.to_owned();
    let mut partitions: Vec<String> = ids.map(partition).collect();
    partitions.sort();
    partitions
}

fn take(hip: &Library, device: i32, mebibytes: usize) {
    let mut address = null_mut();
    ok!(hip, hipSetDevice(device));
    ok!(hip, hipMalloc(&mut address, mebibytes * MEBIBYTE));
}

#[test]
fn each_partition_has_a_region_of_its_own() {
    run_managed(crate::here!(), &[HALVES, TWO], |hip, _| {
        take(hip, 0, 100);
        take(hip, 1, 300);
        assert_eq!(partitions(), ["", "-p1"]);
        ok!(hip, hipSetDevice(0));
        let first = hip.free_bytes();
        ok!(hip, hipSetDevice(1));
        assert!(first >= hip.free_bytes() + 150 * MEBIBYTE as u64);
    });
}

#[test]
fn a_partition_is_known_where_the_program_sees_no_other() {
    let hidden = ("ROCR_VISIBLE_DEVICES", "1");
    run_managed(crate::here!(), &[HALVES, TWO, hidden], |hip, _| {
        take(hip, 0, 100);
        assert_eq!(partitions(), ["-p1"]);
    });
}

#[test]
fn devices_that_are_not_partitioned_have_their_addresses() {
    run_managed(crate::here!(), &[TWO], |hip, _| {
        take(hip, 0, 100);
        take(hip, 1, 100);
        assert_eq!(partitions(), ["", ""]);
    });
}
