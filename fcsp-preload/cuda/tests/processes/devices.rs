//! Several devices with limits of their own, named in every way there is; several contexts on one.

use crate::{client, is_left_clean, see, seen, stage};

/// What `CUDA_VISIBLE_DEVICES` says, given the first bytes of the devices' UUIDs; nothing for `None`.
type Visible = Option<fn(&[String]) -> String>;

/// The two devices' lines under limits of 1 and 2 GiB, by ordinal, when `visible` says what is visible.
fn lines(here: &str, visible: Visible) -> (Vec<String>, Vec<String>) {
    let stage = stage(here);
    let with = |visible: Option<&str>| -> Vec<String> {
        let mut program = client(&stage, "devices");
        program
            .env_remove("BUD_MEMORY_LIMIT")
            .env("BUD_MEMORY_LIMIT_DEV0", "1GiB")
            .env("BUD_MEMORY_LIMIT_DEV1", "2GiB")
            .env("FCSP_SIM_DEVICES", "2");
        if let Some(visible) = visible {
            program.env("CUDA_VISIBLE_DEVICES", visible);
        }
        let printed = seen(&mut program);
        is_left_clean(&stage);
        printed.lines().map(str::to_owned).collect()
    };
    let all = with(None);
    let ids: Vec<String> = all[1..].iter().map(|line| line[..8].to_owned()).collect();
    let chosen = visible.map_or_else(|| all.clone(), |visible| with(Some(&visible(&ids))));
    (ids, chosen)
}

const SMALL: &str = ": total=1024 large=2";
const LARGE: &str = ": total=2048 large=0";

#[test]
fn each_device_has_its_own_limit() {
    let (ids, lines) = lines(crate::here!(), None);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(
        lines,
        [
            "init=0 count=2".to_owned(),
            format!("{}{SMALL}", ids[0]),
            format!("{}{LARGE}", ids[1])
        ]
    );
}

#[test]
fn limits_go_by_the_programs_own_numbers_when_devices_are_reordered() {
    let (ids, lines) = lines(crate::here!(), Some(|_| "1,0".into()));
    assert_eq!(
        lines[1..],
        [format!("{}{SMALL}", ids[1]), format!("{}{LARGE}", ids[0])]
    );
}

#[test]
fn a_single_visible_device_is_number_0() {
    let (ids, lines) = lines(crate::here!(), Some(|_| "1".into()));
    assert_eq!(lines[1..], [format!("{}{SMALL}", ids[1])]);
}

#[test]
fn a_device_may_be_named_by_its_uuid() {
    let (ids, lines) = lines(
        crate::here!(),
        Some(|ids| format!("GPU-{},GPU-{}", ids[1], ids[0])),
    );
    assert_eq!(
        lines[1..],
        [format!("{}{SMALL}", ids[1]), format!("{}{LARGE}", ids[0])]
    );
}

#[test]
fn a_program_without_a_visible_device_is_told_so() {
    let (_, lines) = lines(crate::here!(), Some(|_| "-1".into()));
    assert_eq!(lines, ["init=100 count=0"]);
}

#[test]
fn contexts_on_one_device_share_its_quota() {
    let stage = stage(crate::here!());
    let printed = seen(client(&stage, "contexts").env("BUD_MEMORY_LIMIT", "1600MiB"));
    // 518 MiB for a context: 918 after the first allocation, 1436 with the second context. What is left is not
    // enough for 200, in whichever context, until the first has ended with what it held.
    assert_eq!(
        printed,
        "first=0 fits=0 second=0 shared=2 in_first=2 ended=0 after=0\n"
    );
    is_left_clean(&stage);
}

#[test]
fn a_program_with_one_device_is_limited_as_one() {
    let printed = see(crate::here!(), "limits");
    assert_eq!(printed, format!("program: {}\n", crate::HELD));
}
