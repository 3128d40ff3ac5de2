//! A policy file that is edited while the program runs.

use crate::support::{CONTEXT_BYTES, Library, MIB, Program, TENANT};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// No limit of its own.
const POLICED: Program = Program {
    quota_mib: 0,
    ..TENANT
};

fn total_mib(cuda: &Library) -> u64 {
    let (mut free, mut total) = (0, 0);
    ok!(cuda, cuMemGetInfo_v2(&mut free, &mut total));
    total as u64 / MIB
}

/// Gives the tenant that much memory in the policy file.
fn write(policy: &PathBuf, mib: u64) {
    let text = format!("[[tenant]]\nname = \"tester\"\nmemory = \"{mib}MiB\"\n");
    let fresh = policy.with_extension("fresh");
    std::fs::write(&fresh, text).expect("writes");
    std::fs::rename(fresh, policy).expect("renames");
}

#[test]
fn an_edited_quota_comes_to_a_program_that_is_alone() {
    POLICED.run_bare(crate::here!(), |cuda| {
        let run_dir = std::env::var_os("FCSP_RUN_DIR").expect("the harness sets it");
        let policy = PathBuf::from(run_dir).join("policy.toml");
        write(&policy, 2048);
        // SAFETY: no other thread of the program runs yet.
        unsafe { std::env::set_var("FCSP_POLICY", &policy) };
        ok!(cuda, cuInit(0));
        let mut context = std::ptr::null_mut();
        ok!(cuda, cuDevicePrimaryCtxRetain(&mut context, 0));
        ok!(cuda, cuCtxSetCurrent(context));
        assert_eq!(total_mib(cuda), 2048);
        let kept = cuda.alloc_mib(1000);
        write(&policy, 1024);
        let started = Instant::now();
        while total_mib(cuda) != 1024 {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "it still has 2 GiB"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        // It keeps what it has and gets no more until it has freed the difference.
        refused!(cuda, cuMemAlloc_v2(&mut 0, MIB as usize));
        ok!(cuda, cuMemFree_v2(kept));
        refused!(
            cuda,
            cuMemAlloc_v2(&mut 0, (1024 * MIB - CONTEXT_BYTES) as usize + 1)
        );
        cuda.alloc_mib(500);
    });
}
