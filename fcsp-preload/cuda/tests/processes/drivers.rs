//! Drivers of other versions, which lack functions, and what programs ask of a driver too early.

use crate::{HELD, client, is_left_clean, seen, stage};

#[test]
fn a_function_the_driver_lacks_is_lacking_by_every_way_of_looking() {
    let stage = stage(crate::here!()).with_nvml();
    let all = seen(&mut client(&stage, "functions"));
    assert!(
        !all.contains("dlsym=0") && !all.contains("found=0"),
        "{all}"
    );
    assert!(all.contains("nvml: info=1 v2=1"), "{all}");
    let lacking = [
        "cuMemCreate",
        "cuMemAllocAsync",
        "nvmlDeviceGetMemoryInfo_v2",
    ];
    stage.hide("libcuda.so.1", &lacking);
    stage.hide("libnvidia-ml.so.1", &lacking);
    let mut older = client(&stage, "functions");
    older.env("FCSP_SIM_HIDE", lacking.join(","));
    let ours = seen(&mut older);
    let bare = seen(older.env_remove("LD_PRELOAD"));
    let looked = |text: &str| -> Vec<String> {
        // In the global scope the bare driver, which was loaded privately, is not at all.
        let lines = text.lines().map(|line| line.split(" default=").next());
        lines.map(|line| line.expect("a part").to_owned()).collect()
    };
    assert_eq!(looked(&ours), looked(&bare));
    assert_eq!(
        ours,
        "cuMemAlloc: dlsym=1 code=0 status=0 found=1 default=1\n\
         cuMemCreate: dlsym=0 code=0 status=1 found=0 default=0\n\
         cuMemAllocAsync: dlsym=0 code=0 status=1 found=0 default=0\n\
         cuMemAllocManaged: dlsym=1 code=0 status=0 found=1 default=1\n\
         cuGraphLaunch: dlsym=1 code=0 status=0 found=1 default=1\n\
         nvml: info=1 v2=0\n"
    );
    // And it works: what is there is limited.
    let limits = seen(client(&stage, "limits").env("FCSP_SIM_HIDE", lacking.join(",")));
    assert_eq!(limits, format!("program: {HELD}\n"));
    is_left_clean(&stage);
}

#[test]
fn a_driver_without_what_markers_and_gates_need_is_still_limited_in_memory() {
    let stage = stage(crate::here!());
    let lacking = [
        "cuStreamWaitValue32_v2",
        "cuStreamWriteValue32_v2",
        "cuMemHostRegister_v2",
        "cuEventElapsedTime_v2",
        "cuDeviceGetUuid_v2",
        "cuMemPoolTrimTo",
        "cuThreadExchangeStreamCaptureMode",
    ];
    stage.hide("libcuda.so.1", &lacking);
    // The client itself asks for the newer of the two functions that give a UUID in one scenario only.
    assert_eq!(
        seen(&mut client(&stage, "limits")),
        format!("program: {HELD}\n")
    );
    is_left_clean(&stage);
}

#[test]
fn private_tables_are_the_drivers_own() {
    let stage = stage(crate::here!());
    let ours = seen(&mut client(&stage, "export_table"));
    let bare = seen(client(&stage, "export_table").env_remove("LD_PRELOAD"));
    assert_eq!(ours, bare);
    assert!(ours.contains("code=500 table=(nil)"), "{ours}");
}

#[test]
fn calls_before_the_driver_is_initialised_do_not_cost_a_device_its_limits() {
    let stage = stage(crate::here!());
    let ours = seen(&mut client(&stage, "too_early"));
    assert_eq!(
        ours,
        format!("retain=3 create=3 alloc=3 nobody=101\nprogram: {HELD}\n")
    );
    is_left_clean(&stage);
}
