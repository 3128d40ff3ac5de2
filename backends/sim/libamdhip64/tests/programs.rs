//! Programs that Debian's hipcc compiles, run on the simulated `libamdhip64.so.5`. Without hipcc each is skipped, by name.

mod support;

use std::process::Command;
use support::{Program, checked};

fn done(name: &str, options: &[&str], env: &[(&str, &str)]) {
    if let Some(program) = Program::compile(name, options) {
        assert_eq!(program.run(&[], env), "done\n", "{name}");
    }
}

#[test]
fn kernels_are_launched_in_every_way_hipcc_knows() {
    done("launches", &[], &[]);
}

#[test]
fn per_thread_streams_are_not_held_back_by_others() {
    let options = [
        "-fgpu-default-stream=per-thread",
        "-DHIP_API_PER_THREAD_DEFAULT_STREAM",
        "-pthread",
    ];
    done("per_thread", &options, &[]);
}

#[test]
fn memory_has_contents_and_is_counted() {
    done("memory", &[], &[]);
}

#[test]
fn graphs_are_captured_built_launched_and_changed() {
    done("graphs", &[], &[]);
}

#[test]
fn a_process_opens_memory_of_another() {
    done("sharing", &[], &[]);
}

#[test]
fn calls_of_the_library_to_itself_are_seen_by_who_interposes() {
    done("interposed", &["-rdynamic", "-ldl"], &[]);
}

#[test]
fn devices_say_what_they_are() {
    done("device", &[], &[("FCSP_SIM_AMD_DEVICES", "2")]);
}

#[test]
fn visible_devices_are_chosen_by_both_layers() {
    let Some(program) = Program::compile("no_device", &[]) else {
        return;
    };
    let count = |env: &[(&str, &str)]| {
        let mut env = env.to_vec();
        env.push(("FCSP_SIM_AMD_DEVICES", "4"));
        let text = program.run(&[], &env);
        let line = text.lines().find_map(|line| line.strip_prefix("count "));
        line.expect("a count").parse::<u32>().expect("a number")
    };
    assert_eq!(count(&[]), 4);
    assert_eq!(count(&[("ROCR_VISIBLE_DEVICES", "0,2,3")]), 3);
    let both = [
        ("ROCR_VISIBLE_DEVICES", "0,2"),
        ("HIP_VISIBLE_DEVICES", "1"),
    ];
    assert_eq!(count(&both), 1);
    assert_eq!(count(&[("HIP_VISIBLE_DEVICES", "-1")]), 0);
}

#[test]
fn a_code_object_is_loaded_from_a_file() {
    let Some(program) = Program::compile("modules", &[]) else {
        return;
    };
    let code = program.devices.path().join("code.co");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/code.cpp");
    let output = Command::new("hipcc")
        .args(["--offload-arch=gfx90a", "--genco", "-O1", "-o"])
        .arg(&code)
        .arg(source)
        .output()
        .expect("hipcc, which compiled the program");
    checked(&output, "hipcc --genco".as_ref());
    let path = code.to_str().expect("a plain path");
    assert_eq!(program.run(&[path], &[]), "done\n");
}

/// The real library's answers, where it is installed and the machine has no device.
#[test]
fn without_a_device_answers_are_the_real_librarys() {
    let Some(program) = Program::compile("no_device", &[]) else {
        return;
    };
    let simulated = program.run(&[], &[("FCSP_SIM_AMD_DEVICES", "0")]);
    assert!(
        simulated.starts_with("hipInit 101\nhipGetDeviceCount 100\ncount 0\n"),
        "{simulated}"
    );
    if std::path::Path::new("/dev/kfd").exists() {
        fcsp_skipped::skip("the real library is not asked: there may be a device here");
        return;
    }
    let real = program.command().env_remove("LD_LIBRARY_PATH").output();
    let real = checked(&real.expect("starts"), "no_device".as_ref());
    assert_eq!(simulated, real);
}

/// Rates of programs that run at the same time.
fn rates(program: &Program, tenants: &[(&str, &[(&str, &str)])]) -> Vec<f64> {
    let running: Vec<_> = tenants
        .iter()
        .map(|(kind, env)| {
            program
                .command()
                .args(["600", kind])
                .envs(env.iter().copied())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("the program starts")
        })
        .collect();
    running
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().expect("it ends");
            let text = checked(&output, "tenant".as_ref());
            text.trim().parse().expect("a rate")
        })
        .collect()
}

#[test]
fn processes_run_side_by_side_and_masks_restrict_them() {
    let Some(program) = Program::compile("tenant", &[]) else {
        return;
    };
    let half: &[(&str, &str)] = &[("HSA_CU_MASK", "0:0-51")];
    // The machine may be busy: what must hold is tried a few times.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let alone = rates(&program, &[("plain", &[])])[0];
        let masked = rates(&program, &[("plain", half)])[0];
        let stream_masked = rates(&program, &[("masked", &[])])[0];
        let both = rates(&program, &[("plain", half), ("plain", half)]);
        let ratio = |rate: f64| rate / alone;
        let fits = (0.4..0.6).contains(&ratio(masked))
            && (0.4..0.6).contains(&ratio(stream_masked))
            && both.iter().all(|rate| (0.35..0.6).contains(&ratio(*rate)));
        if fits {
            return;
        }
        seen.push((alone, masked, stream_masked, both));
    }
    panic!("measured {seen:?}");
}
