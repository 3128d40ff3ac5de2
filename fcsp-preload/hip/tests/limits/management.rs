//! What the management libraries tell: the tenant's quota, and its own processes. And what they tell us: what a context
//! really takes.

use crate::support::{Library, MIB, QUOTA_BYTES, run_managed};
use rocm_smi_sys::{
    amdsmi_memory_type_t, amdsmi_proc_info_by_pid_t, amdsmi_proc_info_t, amdsmi_process_info_t,
    amdsmi_processor_handle, amdsmi_status_t, amdsmi_vram_info_t, amdsmi_vram_usage_t, fn_types,
    rsmi_memory_type_t, rsmi_process_info_t,
};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// Calls a function that must succeed; 0 is that in both libraries.
macro_rules! smi {
    ($smi:expr, $name:ident($($arg:expr),* $(,)?)) => {{
        let function: fn_types::$name = $smi.function(stringify!($name));
        #[allow(clippy::macro_metavars_in_unsafe, reason = "a call is all the macro makes")]
        // SAFETY: the arguments are what the vendor's header wants of this function.
        let result = unsafe { function($($arg),*) };
        assert_eq!(result.0, 0, stringify!($name));
    }};
}

const VRAM: rsmi_memory_type_t = rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM;

#[test]
fn the_management_library_shows_the_tenants_part() {
    run_managed(crate::here!(), &[], |hip, _| {
        let smi = Library::open(c"librocm_smi64.so.1");
        smi!(smi, rsmi_init(0));
        let (mut address, mut total, mut used) = (null_mut(), 0, 0);
        ok!(hip, hipMalloc(&mut address, 100 << 20));
        smi!(smi, rsmi_dev_memory_total_get(0, VRAM, &mut total));
        assert_eq!(total, QUOTA_BYTES);
        smi!(smi, rsmi_dev_memory_usage_get(0, VRAM, &mut used));
        assert_eq!(used, QUOTA_BYTES - hip.free_bytes());
        let mut list = [rsmi_process_info_t::default(); 4];
        let mut count = 4;
        smi!(
            smi,
            rsmi_compute_process_info_get(list.as_mut_ptr(), &mut count)
        );
        let pids: Vec<u32> = list[..count as usize]
            .iter()
            .map(|it| it.process_id)
            .collect();
        assert_eq!(pids, [std::process::id()]);
    });
}

#[test]
fn what_a_context_takes_is_charged_as_the_management_library_shows_it() {
    run_managed(crate::here!(), &[], |hip, _| {
        let mut address = null_mut();
        ok!(hip, hipMalloc(&mut address, 100 << 20));
        // What is seen is charged, and 12 MiB that the driver may come to take.
        let charged = || QUOTA_BYTES - hip.free_bytes();
        let smi = Library::open(c"librocm_smi64.so.1");
        smi!(smi, rsmi_init(0));
        let mut info = rsmi_process_info_t::default();
        smi!(
            smi,
            rsmi_compute_process_info_by_pid_get(std::process::id(), &mut info)
        );
        assert!(info.vram_usage > 100 * MIB, "the context is among it");
        let expected = info.vram_usage + 12 * MIB;
        let began = Instant::now();
        while charged() != expected && began.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(charged(), expected);
    });
}

/// AMD SMI, started, and the only device's handle.
fn amd_smi() -> (Library, amdsmi_processor_handle) {
    const GPUS: u64 = 1 << 1;
    let smi = Library::open(c"libamd_smi.so.27");
    smi!(smi, amdsmi_init(GPUS));
    let (mut socket, mut device, mut count) = (null_mut(), null_mut(), 1);
    smi!(smi, amdsmi_get_socket_handles(&mut count, &mut socket));
    count = 1;
    smi!(
        smi,
        amdsmi_get_processor_handles(socket, &mut count, &mut device)
    );
    (smi, device)
}

#[test]
fn its_successor_shows_the_same() {
    run_managed(crate::here!(), &[], |hip, _| {
        let (smi, device) = amd_smi();
        let mut address = null_mut();
        ok!(hip, hipMalloc(&mut address, 100 << 20));
        let kind = amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM;
        let (mut total, mut used) = (0, 0);
        smi!(smi, amdsmi_get_gpu_memory_total(device, kind, &mut total));
        assert_eq!(total, QUOTA_BYTES);
        smi!(smi, amdsmi_get_gpu_memory_usage(device, kind, &mut used));
        assert_eq!(used, QUOTA_BYTES - hip.free_bytes());
        let mut usage = amdsmi_vram_usage_t::default();
        smi!(smi, amdsmi_get_gpu_vram_usage(device, &mut usage));
        assert_eq!(u64::from(usage.vram_total), QUOTA_BYTES / MIB);
        assert_eq!(u64::from(usage.vram_used), used / MIB);
        let mut info = amdsmi_vram_info_t::default();
        smi!(smi, amdsmi_get_gpu_vram_info(device, &mut info));
        assert_eq!(info.vram_size, QUOTA_BYTES / MIB);
    });
}

/// Process ids by each of AMD SMI's lists.
fn listed(smi: &Library, mut device: amdsmi_processor_handle) -> [Vec<u32>; 3] {
    const ROOM: u32 = 8;
    let mut of_device = [amdsmi_proc_info_t::default(); ROOM as usize];
    let mut by_pid = [amdsmi_proc_info_by_pid_t::default(); ROOM as usize];
    let mut compute = [amdsmi_process_info_t::default(); ROOM as usize];
    let mut counts = [ROOM; 3];
    let [first, second, third] = &mut counts;
    smi!(
        smi,
        amdsmi_get_gpu_process_list(device, first, of_device.as_mut_ptr())
    );
    smi!(
        smi,
        amdsmi_get_gpu_process_list_by_pid(&mut device, 1, by_pid.as_mut_ptr(), second)
    );
    smi!(
        smi,
        amdsmi_get_gpu_compute_process_info(compute.as_mut_ptr(), third)
    );
    let [first, second, third] = counts.map(|count| count as usize);
    [
        of_device[..first].iter().map(|it| it.pid).collect(),
        by_pid[..second].iter().map(|it| it.pid).collect(),
        compute[..third].iter().map(|it| it.process_id).collect(),
    ]
}

#[test]
fn its_successor_shows_no_process_of_others() {
    const STRANGER: &str = "FCSP_TEST_STRANGER";
    let here = crate::here!();
    run_managed(here, &[], |hip, _| {
        let mut address = null_mut();
        ok!(hip, hipMalloc(&mut address, 1 << 20));
        let (smi, device) = amd_smi();
        if std::env::var_os(STRANGER).is_some() {
            // It is under no library of ours, and sees both.
            assert!(listed(&smi, device).iter().all(|pids| pids.len() == 2));
            println!("{STRANGER}");
            let _eof = std::io::stdin().read_line(&mut String::new());
            return;
        }
        let mut stranger = Command::new(std::env::current_exe().expect("own path"));
        let mut stranger = stranger
            .args(["--exact", here, "--nocapture"])
            .env(STRANGER, "1")
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(stranger.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with(STRANGER)));

        let own = std::process::id();
        for pids in listed(&smi, device) {
            assert_eq!(pids, [own]);
        }
        let mut count = 0;
        smi!(
            smi,
            amdsmi_get_gpu_process_list(device, &mut count, null_mut())
        );
        assert_eq!(count, 1);
        let mut info = amdsmi_process_info_t::default();
        smi!(
            smi,
            amdsmi_get_gpu_compute_process_info_by_pid(own, &mut info)
        );
        assert_eq!(info.process_id, own);
        let of_pid: fn_types::amdsmi_get_gpu_compute_process_info_by_pid =
            smi.function("amdsmi_get_gpu_compute_process_info_by_pid");
        // SAFETY: a place for what is known of it.
        let result = unsafe { of_pid(stranger.id(), &mut info) };
        assert_eq!(result, amdsmi_status_t::AMDSMI_STATUS_NOT_FOUND);
        drop(stranger.stdin.take());
        assert!(stranger.wait().expect("it ends").success());
    });
}
